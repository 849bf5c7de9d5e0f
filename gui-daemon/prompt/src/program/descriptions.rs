// SPDX-License-Identifier: GPL-3.0-or-later
//! Reads what the administrator says that services do.

use std::fs;
use std::path::Path;

use bulkhead_prompt::services::Services;
use tracing::warn;

/// What is shipped, and what the files of a folder add. One that cannot be read is left out,
/// which the log says: a question is still asked then, in fewer words.
pub fn read(folder: &Path) -> Services {
    let mut services = Services::shipped();
    let Ok(entries) = fs::read_dir(folder) else {
        return services;
    };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    for file in files {
        let name = file.display().to_string();
        match fs::read_to_string(&file) {
            Ok(text) => {
                if let Err(error) = services.extend(&name, &text) {
                    let cause = std::error::Error::source(&error);
                    warn!(
                        "{error}: {}",
                        cause.map(ToString::to_string).unwrap_or_default()
                    );
                }
            }
            Err(error) => warn!("{name}: {error}"),
        }
    }
    services
}
