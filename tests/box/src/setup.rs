// SPDX-License-Identifier: GPL-3.0-or-later
//! From a checkout to what the box boots: both templates, at the same time where they are slow,
//! and the data disk.

use std::path::{Path, PathBuf};
use std::thread;

use template_builder::{BuildError, Builder, Built, Cache, Recipe};

use crate::qemu::Display;
use crate::{Options, disk};

/// The template that the box's guests start from.
pub const TEMPLATE: &str = "debian-13-minimal";

/// The template of the box itself.
const DOM0: &str = "box-dom0";

/// Where the prompt of dom0's session listens, once it is there.
pub const PROMPT: &str = "/run/bulkhead/session/policy-agent.sock";

/// Memory of the machine in MiB.
const MEMORY: u32 = 4096;

/// Memory of dom0 in MiB.
const DOM0_MEMORY: u32 = 1536;

/// The folder of this checkout.
pub fn checkout() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The programs that the images need, by cargo's names.
pub fn programs() -> Result<Vec<String>, BuildError> {
    let mut names = Vec::new();
    for name in [TEMPLATE, DOM0] {
        names.extend(
            recipe(name)?
                .program
                .into_iter()
                .map(|program| program.name),
        );
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn recipe(name: &str) -> Result<Recipe, BuildError> {
    let path = checkout().join(format!("templates/recipes/{name}.toml"));
    Ok(Recipe::read(&path)?)
}

/// Makes what is not in the cache yet, with our programs from the folder `programs`.
pub fn prepare(
    cache: &Cache,
    programs: &Path,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Options, BuildError> {
    let builder = Builder {
        cache,
        programs,
        progress,
    };
    let (guest, dom0) = (recipe(TEMPLATE)?, recipe(DOM0)?);
    let (guest, dom0) = thread::scope(|scope| {
        let guest = scope.spawn(|| -> Result<(Built, PathBuf), BuildError> {
            let guest = builder.build(&guest)?;
            let data = disk::with_templates(cache, &[(TEMPLATE, &guest)], progress)?;
            Ok((guest, data))
        });
        let dom0 = builder.build(&dom0);
        let guest = guest
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (guest, dom0)
    });
    let (_, data) = guest?;
    Ok(Options {
        dom0: dom0?.folder,
        data,
        memory: MEMORY,
        dom0_memory: DOM0_MEMORY,
        display: Display::Headless,
    })
}
