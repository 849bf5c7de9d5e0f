// SPDX-License-Identifier: GPL-3.0-or-later
//! `template-builder RECIPE [PROGRAMS]`: makes a template and prints the folder to give to
//! `bulkhead template install`. PROGRAMS is where our programs are; without it, beside this one.
#![forbid(unsafe_code)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use template_builder::{BuildError, Builder, Cache, Recipe};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let own = std::env::current_exe().unwrap_or_default();
    let (recipe, programs) = match &arguments[..] {
        [recipe] => (recipe, own.parent().unwrap_or(Path::new("."))),
        [recipe, programs] => (recipe, programs.as_path()),
        _ => {
            eprintln!("error: usage: template-builder RECIPE [PROGRAMS]");
            return ExitCode::from(2);
        }
    };
    match build(recipe, programs) {
        Ok(folder) => {
            println!("{}", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("caused by: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn build(recipe: &Path, programs: &Path) -> Result<PathBuf, BuildError> {
    let builder = Builder {
        cache: &Cache::of_user(),
        programs,
        progress: &|text| eprintln!("{text}"),
    };
    Ok(builder.build(&Recipe::read(recipe)?)?.folder)
}
