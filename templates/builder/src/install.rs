// SPDX-License-Identifier: GPL-3.0-or-later
//! The list of what every guest of ours gets, whatever its distribution.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::recipe::{File, Link, Program};
use crate::{Recipe, RecipeError};

/// The content of an `install.toml`, which other back ends read too.
#[derive(Clone, Debug, Deserialize)]
pub struct InstallList {
    /// Its entries.
    #[serde(default)]
    pub install: Vec<Installed>,
}

/// One entry; exactly one of `program`, `file` and `link` is there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Installed {
    /// A program of ours.
    pub program: Option<String>,
    /// A file, below the list's folder.
    pub file: Option<PathBuf>,
    /// What a symbolic link says.
    pub link: Option<String>,
    /// Absolute place in the guest.
    pub to: String,
    /// Permission bits in octal; 0755 where they are absent.
    pub mode: Option<String>,
}

impl Recipe {
    /// The recipe with the entries of its install list among its own.
    pub fn with_install_list(mut self) -> Result<Self, RecipeError> {
        let Some(list) = self.install.take() else {
            return Ok(self);
        };
        let path = self.resolve(&list);
        let text = std::fs::read_to_string(&path).map_err(|source| RecipeError::Unreadable {
            path: path.clone(),
            source,
        })?;
        let parsed: InstallList = toml::from_str(&text).map_err(|source| RecipeError::Syntax {
            path: path.clone(),
            source: Box::new(source),
        })?;
        let folder = list.parent().unwrap_or(Path::new("")).to_owned();
        for entry in parsed.install {
            let to = entry.to;
            let mode = entry.mode.as_deref().unwrap_or("0755");
            let mode = u32::from_str_radix(mode, 8);
            match (mode, entry.program, entry.file, entry.link) {
                (Ok(_), Some(name), None, None) => self.program.push(Program { name, to }),
                (Ok(mode), None, Some(from), None) => self.file.push(File {
                    from: folder.join(from),
                    to,
                    mode: Some(mode),
                }),
                (Ok(_), None, None, Some(target)) => self.link.push(Link { path: to, target }),
                _ => {
                    let problem = format!("the entry for `{to}` is not one program, file or link");
                    return Err(RecipeError::Senseless { path, problem });
                }
            }
        }
        match self.problem() {
            None => Ok(self),
            Some(problem) => Err(RecipeError::Senseless { path, problem }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::tests::SMALL;

    #[test]
    fn the_install_list_becomes_part_of_the_recipe() {
        let dir = tempfile::tempdir().unwrap();
        let list = r#"
[[install]]
program = "agent"
to = "/usr/lib/agent"
[[install]]
file = "rpc/shell"
to = "/etc/rpc/shell"
mode = "0644"
[[install]]
link = "agent"
to = "/usr/lib/other"
"#;
        std::fs::create_dir(dir.path().join("guest")).unwrap();
        std::fs::write(dir.path().join("guest/install.toml"), list).unwrap();
        let path = dir.path().join("small.toml");
        std::fs::write(
            &path,
            SMALL.replace("[debian]", "install = \"guest/install.toml\"\n[debian]"),
        )
        .unwrap();
        let recipe = Recipe::read(&path).unwrap();
        assert_eq!(recipe.program[0].name, "agent");
        assert_eq!(recipe.file[0].from, Path::new("guest/rpc/shell"));
        assert_eq!(recipe.file[0].mode, Some(0o644));
        assert_eq!(recipe.link[0].target, "agent");
    }
}
