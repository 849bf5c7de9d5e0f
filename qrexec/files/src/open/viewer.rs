// SPDX-License-Identifier: GPL-3.0-or-later
//! A file from another domain, shown by the program that fits its name.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, SystemTime};

use bulkhead_types::DomainName;
use tempfile::TempDir;
use thiserror::Error;

use super::name_field::Request;

/// Endings that the document viewer shows; it also knows common pictures.
const DOCUMENTS: [&str; 14] = [
    "pdf", "xps", "epub", "cbz", "fb2", "svg", "png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff",
    "pnm",
];

/// A file could not be shown or sent back.
#[derive(Debug, Error)]
pub enum ViewError {
    /// The file could not be stored.
    #[error("cannot store the file")]
    Store(#[source] io::Error),
    /// The viewer could not be started.
    #[error("cannot start {viewer}")]
    Start {
        /// The program.
        viewer: String,
        /// Why.
        source: io::Error,
    },
    /// The changed file could not be sent back.
    #[error("cannot send the changed file back")]
    Return(#[source] io::Error),
}

/// A received file in a folder of its own, which goes when this is dropped.
#[derive(Debug)]
pub struct Document {
    folder: TempDir,
    path: PathBuf,
    stored: Option<(SystemTime, u64)>,
}

impl Document {
    /// Stores what `content` holds under the name of `request`.
    pub fn store(
        request: &Request,
        source: &DomainName,
        mut content: impl Read,
    ) -> Result<Self, ViewError> {
        let store = |path: &Path, content: &mut dyn Read| -> io::Result<()> {
            let mut file = File::create_new(path)?;
            io::copy(content, &mut file)?;
            // One second back, so that even a change within the clock's grain is seen.
            let written = file.metadata()?.modified()?;
            file.set_modified(written - Duration::from_secs(1))?;
            let mode = if request.view_only { 0o400 } else { 0o600 };
            file.set_permissions(fs::Permissions::from_mode(mode))
        };
        let folder = tempfile::Builder::new()
            .prefix(&format!("{source}-"))
            .tempdir()
            .map_err(ViewError::Store)?;
        let path = folder.path().join(request.name());
        store(&path, &mut content).map_err(ViewError::Store)?;
        let stored = state(&path);
        Ok(Self {
            folder,
            path,
            stored,
        })
    }

    /// Shows the file and waits until its viewer is closed.
    ///
    /// The viewer's output goes to standard error: standard output is the way back.
    pub fn show(&self) -> Result<ExitStatus, ViewError> {
        let mut command = viewer(&self.path);
        let name = command.get_program().to_string_lossy().into_owned();
        let unable = |source| ViewError::Start {
            viewer: name.clone(),
            source,
        };
        let complaints = io::stderr().as_fd().try_clone_to_owned().map_err(unable)?;
        command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(complaints)
            .status()
            .map_err(unable)
    }

    /// Sends the file to `output` if it was changed; says whether it was. A caller who wanted it viewed only
    /// throws that away; a file may also happen to have a name that looks like this wish.
    pub fn give_back(&self, mut output: impl Write) -> Result<bool, ViewError> {
        if state(&self.path) == self.stored {
            return Ok(false);
        }
        let send = |output: &mut dyn Write| {
            io::copy(&mut File::open(&self.path)?, output)?;
            output.flush()
        };
        send(&mut output).map_err(ViewError::Return)?;
        Ok(true)
    }
}

fn state(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = fs::symlink_metadata(path)
        .ok()
        .filter(fs::Metadata::is_file)?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn viewer(path: &Path) -> Command {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    if ending.is_some_and(|ending| DOCUMENTS.contains(&ending.as_str())) {
        let mut command = Command::new("mupdf");
        command.arg(path);
        return command;
    }
    let mut command = Command::new("xterm");
    let title = path.file_name().unwrap_or_default();
    // The pager must not offer a shell or a filter on what a stranger sent.
    command
        .env("LESSSECURE", "1")
        .env_remove("LESSOPEN")
        .arg("-title")
        .arg(title)
        .args(["-e", "less", "--"])
        .arg(path);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_pictures_get_the_document_viewer_and_all_else_the_pager() {
        let program = |name: &str| viewer(Path::new(name)).get_program().to_owned();
        assert_eq!(program("/tmp/invoice.PDF"), "mupdf");
        assert_eq!(program("/tmp/photo.jpeg"), "mupdf");
        assert_eq!(program("/tmp/notes.txt"), "xterm");
        assert_eq!(program("/tmp/README"), "xterm");
    }

    #[test]
    fn a_file_comes_back_only_when_it_was_changed() {
        let source = DomainName::parse("untrusted").unwrap();
        let shown = |view_only| {
            let request = Request::new(b"a.txt", view_only).unwrap();
            Document::store(&request, &source, &b"before"[..]).unwrap()
        };
        let mut back = Vec::new();
        let document = shown(false);
        assert!(!document.give_back(&mut back).unwrap());
        fs::write(&document.path, "after!").unwrap();
        assert!(document.give_back(&mut back).unwrap());
        assert_eq!(back, b"after!");

        let document = shown(true);
        let mode = document.path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o400);
        assert!(!document.give_back(&mut back).unwrap());
        let folder = document.folder.path().to_owned();
        drop(document);
        assert!(!folder.exists());
    }
}
