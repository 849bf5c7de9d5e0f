// SPDX-License-Identifier: GPL-3.0-or-later
//! The caller's side: sends the file, and takes it back when it was changed.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, ExitCode};
use std::thread;

use nix::fcntl::OFlag;
use tempfile::NamedTempFile;
use thiserror::Error;

use super::name_field::{BadField, Request};
use crate::call::{Call, CannotCall, Target};
use crate::report::{self, USAGE, came_to_nothing, complain, failure};

const SERVICE: &str = "qubes.OpenInVM";

/// Why a file was not opened, or not taken back.
#[derive(Debug, Error)]
enum OpenError {
    #[error("{0} is not a file that could be opened elsewhere")]
    NotAFile(PathBuf),
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot send the name of {path}")]
    Name { path: PathBuf, source: BadField },
    #[error(transparent)]
    Call(#[from] CannotCall),
    #[error("cannot put the changed file in the place of {path}")]
    Replace { path: PathBuf, source: io::Error },
    #[error("{path} was sent incompletely")]
    Send { path: PathBuf, source: io::Error },
}

/// Opens `file` in `target` and waits; gives the viewer's exit code.
pub fn open_elsewhere(file: &Path, target: &Target, view_only: bool) -> ExitCode {
    match run(file, target, view_only) {
        Ok(code) => ExitCode::from(code),
        Err(error @ OpenError::NotAFile(_)) => {
            complain(&error, None);
            ExitCode::from(USAGE)
        }
        Err(error) => failure(&error),
    }
}

fn run(file: &Path, target: &Target, view_only: bool) -> Result<u8, OpenError> {
    let unreadable = |source| OpenError::Read {
        path: file.to_owned(),
        source,
    };
    // Through links, so that what is replaced is the file and not a link to it.
    let path = match file.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(OpenError::NotAFile(file.to_owned()));
        }
        other => other.map_err(unreadable)?,
    };
    // To open a pipe must not wait for a writer.
    let source = File::options()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(&path)
        .map_err(unreadable)?;
    if !source.metadata().map_err(unreadable)?.is_file() {
        return Err(OpenError::NotAFile(file.to_owned()));
    }
    let name = path.file_name().unwrap_or_default().as_bytes();
    let request = Request::of_file(name, view_only).map_err(|source| OpenError::Name {
        path: path.clone(),
        source,
    })?;

    let (input, output, ending) = Call::begin(target, SERVICE)?.split();
    // Its own thread: the other side may begin to answer before it has read everything.
    let sending = thread::spawn(move || give(&request, source, input));
    let changed = take(output, (!view_only).then_some(&path));
    let code = ending.code()?;
    let sent = sending
        .join()
        .unwrap_or_else(|_| Err(io::Error::other("the sender stopped")));
    let changed = changed.map_err(|source| OpenError::Replace {
        path: path.clone(),
        source,
    })?;
    if code != 0 {
        if changed.is_some() {
            report::error(format_args!(
                "the call failed, so the changes made in {target} are not taken"
            ));
        } else if came_to_nothing(code) {
            let file = file.display();
            report::no_call(format_args!("{file} is not open in {target}"), code);
        }
        return Ok(code);
    }
    sent.map_err(|source| OpenError::Send {
        path: path.clone(),
        source,
    })?;
    if let Some(changed) = changed {
        changed
            .put(&path)
            .map_err(|source| OpenError::Replace { path, source })?;
    }
    Ok(code)
}

fn give(request: &Request, mut file: File, mut input: ChildStdin) -> io::Result<()> {
    input.write_all(&request.encode())?;
    io::copy(&mut file, &mut input)?;
    Ok(())
}

/// What came back.
struct Changed {
    file: NamedTempFile,
    /// Why it does not lie beside the file that it is to replace.
    apart: Option<ErrorKind>,
}

/// What came back for `path`; nothing when nothing came, or it is for nobody.
fn take(mut output: ChildStdout, path: Option<&PathBuf>) -> io::Result<Option<Changed>> {
    let Some(path) = path else {
        return io::copy(&mut output, &mut io::sink()).map(|_| None);
    };
    let mut first = vec![0; 64 * 1024];
    let length = output.read(&mut first)?;
    if length == 0 {
        return Ok(None);
    }
    let mut changed = Changed::beside(path)?;
    changed.file.write_all(&first[..length])?;
    io::copy(&mut output, &mut changed.file)?;
    Ok(Some(changed))
}

impl Changed {
    /// An empty file in the folder of `path`, or among the temporary files if nothing can be written there.
    fn beside(path: &Path) -> io::Result<Self> {
        let name = tempfile::Builder::new().prefix("changed-").to_owned();
        let folder = path.parent().unwrap_or(Path::new("."));
        match name.tempfile_in(folder) {
            Ok(file) => Ok(Self { file, apart: None }),
            Err(error) => Ok(Self {
                file: name.tempfile()?,
                apart: Some(error.kind()),
            }),
        }
    }

    /// Puts it in the place of the file at `path`. Where that cannot be, it stays, and is told of.
    fn put(self, path: &Path) -> io::Result<()> {
        let Self { file, apart } = self;
        if let Some(reason) = apart {
            let (_, kept) = file.keep().map_err(|kept| kept.error)?;
            let (path, kept) = (path.display(), kept.display());
            report::note(format_args!(
                "the changed file cannot replace {path}: {reason}; it is in {kept}"
            ));
            return Ok(());
        }
        let permissions = fs::metadata(path)?.permissions();
        file.as_file().set_permissions(permissions)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    }
}
