// SPDX-License-Identifier: GPL-3.0-or-later
//! A template depends on its inputs and on nothing else.

use std::path::Path;

use anyhow::{Context, ensure};
use bulkhead_box::setup;
use template_builder::{Builder, Cache, Recipe, debian};

use crate::report::Report;

pub const CASES: &[&str] = &["images::the_same_inputs_give_the_same_bytes"];

/// Makes the guests' image a second time, in a cache of its own.
pub fn play(report: &mut Report, programs: &Path) {
    let [same] = CASES else { return };
    report.case(same, || {
        let recipe = format!("templates/recipes/{}.toml", setup::TEMPLATE);
        let recipe = Recipe::read(&setup::checkout().join(recipe))?;
        let cache = Cache::of_user();
        let builder = |cache| Builder {
            cache,
            programs,
            progress: &|_: &str| {},
        };
        let first = builder(&cache).build(&recipe)?;
        let date = recipe.image.date;
        let tree = debian::tree(&cache, &recipe.name, &recipe.debian, date, &|_| {})?;
        let folder = tempfile::tempdir_in(cache.root()).context("no room for a second cache")?;
        let other = Cache::below(folder.path());
        let identity = debian::digest(&recipe.debian, date);
        let second = builder(&other).build_on(&recipe, &tree, &identity)?;
        ensure!(first.folder != second.folder, "it was not made again");
        let manifest = |folder: &Path| std::fs::read_to_string(folder.join("manifest.json"));
        let (first, second) = (manifest(&first.folder)?, manifest(&second.folder)?);
        ensure!(first == second, "the manifests differ:\n{first}\n{second}");
        Ok(())
    });
}
