// SPDX-License-Identifier: GPL-3.0-or-later
//! The settings file, `bulkhead.toml`.

use std::io;
use std::path::{Path, PathBuf};

use bulkhead_types::{Label, Layout};
use serde::Deserialize;
use thiserror::Error;

use crate::model::Defaults;

/// What runs the guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Real domains under Xen.
    Xen,
    /// Process trees on this machine, which nothing isolates.
    Local,
}

impl Backend {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xen => "xen",
            Self::Local => "local",
        }
    }
}

/// The settings, complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What runs the guests.
    pub backend: Backend,
    /// The display on which guests' windows appear; without one no GUI daemon is started.
    pub display: Option<String>,
    /// What properties are worth that nobody set.
    pub defaults: Defaults,
    /// Where volumes lie.
    pub pool: PathBuf,
    /// Where the other daemons' programs lie.
    pub programs: PathBuf,
    /// What the local back end installs into a guest.
    pub guest_files: PathBuf,
}

/// The settings file cannot be used.
#[derive(Debug, Error)]
pub enum BadSettings {
    /// It exists and cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// It is not what it should be.
    #[error("{path}:{line}: {message}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    backend: Option<Backend>,
    #[serde(default)]
    gui: Gui,
    #[serde(default)]
    defaults: FileDefaults,
    #[serde(default)]
    pool: Place,
    #[serde(default)]
    programs: Programs,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gui {
    display: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    path: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Programs {
    directory: Option<PathBuf>,
    guest_files: Option<PathBuf>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum VirtMode {
    Pv,
    Pvh,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileDefaults {
    virt_mode: Option<VirtMode>,
    memory: Option<u64>,
    vcpus: Option<u64>,
    label: Option<Label>,
    qrexec_timeout: Option<u64>,
    shutdown_timeout: Option<u64>,
    default_user: Option<String>,
}

impl Settings {
    /// Reads the file of an installation; what it does not say has its default, and so
    /// has everything when there is no file.
    ///
    /// `beside` is the directory of the running program, where the others lie as well.
    pub fn read(layout: &Layout, beside: &Path) -> Result<Self, BadSettings> {
        let path = layout.settings_file();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(BadSettings::Unreadable { path, error }),
        };
        Self::parse(&text, &path, layout, beside)
    }

    fn parse(text: &str, path: &Path, layout: &Layout, beside: &Path) -> Result<Self, BadSettings> {
        let file: File = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start).min(text.len());
            BadSettings::Malformed {
                path: path.to_owned(),
                line: 1 + text.as_bytes()[..start]
                    .iter()
                    .filter(|b| **b == b'\n')
                    .count(),
                message: error.message().trim().replace('\n', ", "),
            }
        })?;
        let fallback = Defaults::default();
        let given = file.defaults;
        Ok(Self {
            backend: file.backend.unwrap_or(Backend::Xen),
            display: file.gui.display,
            defaults: Defaults {
                virt_mode: match given.virt_mode {
                    Some(VirtMode::Pv) => "pv".to_owned(),
                    Some(VirtMode::Pvh) => "pvh".to_owned(),
                    None => fallback.virt_mode,
                },
                memory: given.memory.unwrap_or(fallback.memory),
                vcpus: given.vcpus.unwrap_or(fallback.vcpus),
                label: given.label.unwrap_or(fallback.label),
                qrexec_timeout: given.qrexec_timeout.unwrap_or(fallback.qrexec_timeout),
                shutdown_timeout: given.shutdown_timeout.unwrap_or(fallback.shutdown_timeout),
                default_user: given.default_user.unwrap_or(fallback.default_user),
            },
            pool: file.pool.path.unwrap_or_else(|| layout.pool()),
            programs: file.programs.directory.unwrap_or_else(|| beside.to_owned()),
            guest_files: file
                .programs
                .guest_files
                .unwrap_or_else(|| PathBuf::from("/usr/share/bulkhead/guest")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings, String> {
        let layout = Layout::below("/");
        let path = layout.settings_file();
        let settings = Settings::parse(text, &path, &layout, Path::new("/usr/lib/bulkhead"));
        settings.map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_means_xen_without_windows() {
        let settings = parse("").unwrap();
        assert_eq!(settings.backend, Backend::Xen);
        assert_eq!(settings.display, None);
        assert_eq!(settings.programs, Path::new("/usr/lib/bulkhead"));
        assert_eq!(settings.pool, Path::new("/var/lib/bulkhead/pool"));
    }

    #[test]
    fn everything_can_be_set() {
        let text = "backend = 'local'\n[gui]\ndisplay = ':7'\n[defaults]\nvirt_mode = 'pv'\nmemory = 256\nlabel = 'green'\n[pool]\npath = '/srv'";
        let settings = parse(text).unwrap();
        assert_eq!(settings.backend, Backend::Local);
        assert_eq!(settings.display.as_deref(), Some(":7"));
        assert_eq!(
            (
                settings.defaults.virt_mode.as_str(),
                settings.defaults.memory
            ),
            ("pv", 256)
        );
        assert_eq!(settings.defaults.label, Label::Green);
        assert_eq!(settings.pool, Path::new("/srv"));
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        let message = |text| parse(text).unwrap_err();
        insta::assert_snapshot!(message("backend = 'kvm'"), @"/etc/bulkhead/bulkhead.toml:1: unknown variant `kvm`, expected `xen` or `local`");
        insta::assert_snapshot!(message("[gui]\n\ndisplays = ':0'\n"), @"/etc/bulkhead/bulkhead.toml:3: unknown field `displays`, expected `display`");
        insta::assert_snapshot!(message("[defaults]\nmemory = -1\n"), @"/etc/bulkhead/bulkhead.toml:2: invalid value: integer `-1`, expected u64");
    }
}
