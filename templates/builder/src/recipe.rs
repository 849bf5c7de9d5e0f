// SPDX-License-Identifier: GPL-3.0-or-later
//! The recipe: what a person writes to describe a template.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A template's description, as read from `templates/recipes/NAME.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The template's name, and the name of its host until it is told another.
    pub name: String,
    /// The first stage.
    pub debian: Debian,
    /// The file system.
    pub image: Image,
    /// Kernel, modules and initramfs.
    pub kernel: Kernel,
    /// Users beside those that Debian makes.
    #[serde(default)]
    pub user: Vec<User>,
    /// Files from the source tree, or folders of them.
    #[serde(default)]
    pub file: Vec<File>,
    /// Our own programs, from the folder that cargo built them into.
    #[serde(default)]
    pub program: Vec<Program>,
    /// A list of what every guest of ours gets ([`crate::InstallList`]).
    #[serde(default)]
    pub install: Option<PathBuf>,
    /// Symbolic links.
    #[serde(default)]
    pub link: Vec<Link>,
    /// Empty folders.
    #[serde(default)]
    pub folder: Vec<Folder>,
    /// Where the recipe was read from; `from` paths start in its folder.
    #[serde(skip)]
    pub source: PathBuf,
}

/// What `mmdebstrap` is asked for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Debian {
    /// Code name of the release.
    pub suite: String,
    /// mmdebstrap's variant: how much is installed beside what is asked for.
    pub variant: String,
    /// Parts of the archive.
    #[serde(default = "main_only")]
    pub components: Vec<String>,
    /// Packages, without their recommendations.
    pub packages: Vec<String>,
    /// Paths that dpkg leaves out (its `path-exclude`).
    #[serde(default)]
    pub exclude: Vec<String>,
}

fn main_only() -> Vec<String> {
    vec!["main".into()]
}

/// The file system of the image.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// Size in MiB; the file is sparse.
    pub size: u64,
    /// The file system's identity; also seeds the hash of its folders.
    pub uuid: String,
    /// Seconds since 1970: no time in the image is later.
    pub date: u32,
    /// Paths of the tree, with shell wildcards, that do not reach the image.
    #[serde(default)]
    pub omit: Vec<String>,
}

/// Kernel, its modules and the initramfs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// Modules in the image; what they depend on comes with them.
    pub modules: Vec<String>,
    /// Modules that the initramfs loads, in this order.
    pub initramfs_modules: Vec<String>,
    /// The initramfs's first program, a script for busybox.
    pub initramfs_init: PathBuf,
    /// Whether the Xen hypervisor of the tree is wanted as an output too.
    #[serde(default)]
    pub hypervisor: bool,
}

/// One user with a group of the same name and number.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Number of user and group.
    pub id: u32,
    /// Home folder (not created: it may lie on another volume).
    pub home: String,
    /// Further groups, which must exist.
    #[serde(default)]
    pub groups: Vec<String>,
}

/// A file or folder of the source tree and its place in the image.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Below the recipe's folder.
    pub from: PathBuf,
    /// Absolute place in the image.
    pub to: String,
    /// Permission bits; without them 755 for what is executable in the source tree, else 644.
    #[serde(default)]
    pub mode: Option<u32>,
}

/// One of our programs.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The name cargo gives it.
    pub name: String,
    /// Absolute place in the image.
    pub to: String,
}

/// A symbolic link.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Absolute place in the image.
    pub path: String,
    /// What it says.
    pub target: String,
}

/// An empty folder.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Folder {
    /// Absolute place in the image.
    pub path: String,
    /// Permission bits.
    #[serde(default = "folder_mode")]
    pub mode: u32,
    /// Number of owner and group.
    #[serde(default)]
    pub owner: u32,
}

fn folder_mode() -> u32 {
    0o755
}

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or not a recipe.
    #[error("the recipe {} cannot be understood", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The recipe says something that cannot be meant.
    #[error("the recipe {}: {problem}", path.display())]
    Senseless {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Recipe {
    /// Reads and checks the recipe in `path`.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let text = std::fs::read_to_string(path).map_err(|source| RecipeError::Unreadable {
            path: path.into(),
            source,
        })?;
        Self::parse(&text, path)?.with_install_list()
    }

    /// Checks `text`, which was read from `path`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let mut recipe: Self = toml::from_str(text).map_err(|source| RecipeError::Syntax {
            path: path.into(),
            source: Box::new(source),
        })?;
        recipe.source = path.into();
        match recipe.problem() {
            None => Ok(recipe),
            Some(problem) => Err(RecipeError::Senseless {
                path: path.into(),
                problem,
            }),
        }
    }

    /// A path of the recipe, which starts in the recipe's own folder.
    pub fn resolve(&self, from: &Path) -> PathBuf {
        self.source
            .parent()
            .unwrap_or_else(|| Path::new(""))
            .join(from)
    }

    pub(crate) fn problem(&self) -> Option<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if self.name.is_empty() || !self.name.chars().all(plain) {
            return Some(format!(
                "`{}` cannot name a template: letters, digits, `-`, `_` and `.` can",
                self.name
            ));
        }
        if let Some(bad) = self
            .debian
            .packages
            .iter()
            .find(|name| name.is_empty() || !name.chars().all(plain))
        {
            return Some(format!("`{bad}` is no name of a package"));
        }
        if self.image.size < 16 {
            return Some(format!(
                "an image of {} MiB is too small: 16 is the least",
                self.image.size
            ));
        }
        let places = (self.file.iter().map(|file| &file.to))
            .chain(self.program.iter().map(|program| &program.to))
            .chain(self.link.iter().map(|link| &link.path))
            .chain(self.folder.iter().map(|folder| &folder.path));
        for place in places {
            let absolute = place.strip_prefix('/');
            if absolute
                .is_none_or(|rest| rest.split('/').any(|part| part.is_empty() || part == ".."))
            {
                return Some(format!("`{place}` is not an absolute path without `..`"));
            }
        }
        None
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const SMALL: &str = r#"
name = "small"
[debian]
suite = "trixie"
variant = "minbase"
packages = ["busybox-static"]
[image]
size = 64
uuid = "0b6e1c52-6a0e-4b8a-9d5b-8d6f3b1f7c13"
date = 1790000000
[kernel]
modules = []
initramfs_modules = []
initramfs_init = "init"
"#;

    fn complaint(text: &str) -> String {
        let error = Recipe::parse(text, Path::new("small.toml")).unwrap_err();
        match error {
            RecipeError::Syntax { source, .. } => source.to_string(),
            error => error.to_string(),
        }
    }

    #[test]
    fn a_misspelt_word_is_pointed_at() {
        insta::assert_snapshot!(complaint(&SMALL.replace("suite", "suit")), @r#"
        TOML parse error at line 4, column 1
          |
        4 | suit = "trixie"
          | ^^^^
        unknown field `suit`, expected one of `suite`, `variant`, `components`, `packages`, `exclude`
        "#);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let complaints = [
            SMALL.replace("\"small\"", "\"../small\""),
            SMALL.replace("size = 64", "size = 1"),
            SMALL.replace("busybox-static", "busybox --force"),
            format!("{SMALL}[[folder]]\npath = \"/a/../b\"\n"),
            format!("{SMALL}[[link]]\npath = \"b\"\ntarget = \"c\"\n"),
        ]
        .map(|text| complaint(&text));
        insta::assert_snapshot!(complaints.join("\n"), @r"
        the recipe small.toml: `../small` cannot name a template: letters, digits, `-`, `_` and `.` can
        the recipe small.toml: an image of 1 MiB is too small: 16 is the least
        the recipe small.toml: `busybox --force` is no name of a package
        the recipe small.toml: `/a/../b` is not an absolute path without `..`
        the recipe small.toml: `b` is not an absolute path without `..`
        ");
    }

    #[test]
    fn the_recipes_of_this_project_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| Recipe::read(&entry.unwrap().path()).unwrap().name)
            .collect();
        names.sort();
        assert_eq!(names, ["box-dom0", "debian-13-minimal"]);
    }
}
