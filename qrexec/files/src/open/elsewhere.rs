// SPDX-License-Identifier: GPL-3.0-or-later
//! The caller's side: sends the file, and takes it back when it was changed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, ExitCode};
use std::thread;

use tempfile::NamedTempFile;
use thiserror::Error;

use super::name_field::{BadField, Request};
use crate::call::{Call, CannotCall, Target, own_name};
use crate::report::{REFUSED, failure};

const SERVICE: &str = "qubes.OpenInVM";

/// Why a file was not opened, or not taken back.
#[derive(Debug, Error)]
enum OpenError {
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
        Ok(REFUSED) => {
            let name = own_name();
            eprintln!("error: {name} may not open files in {target}: refused by policy");
            ExitCode::from(REFUSED)
        }
        Ok(code) => ExitCode::from(code),
        Err(error) => failure(&error),
    }
}

fn run(file: &Path, target: &Target, view_only: bool) -> Result<u8, OpenError> {
    let unreadable = |source| OpenError::Read {
        path: file.to_owned(),
        source,
    };
    // Through links, so that what is replaced is the file and not a link to it.
    let path = file.canonicalize().map_err(unreadable)?;
    let source = File::open(&path).map_err(unreadable)?;
    if !source.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a regular file")));
    }
    let name = path.file_name().unwrap_or_default().as_bytes();
    let request = Request::new(name, view_only).map_err(|source| OpenError::Name {
        path: path.clone(),
        source,
    })?;

    let (input, output, ending) = Call::begin(target, SERVICE)?.split();
    // Its own thread: the other side may begin to answer before it has read everything.
    let sending = thread::spawn(move || give(&request, source, input));
    let changed = take(output, &path);
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
            eprintln!("error: the call failed, so the changes made in {target} are not taken");
        }
        return Ok(code);
    }
    sent.map_err(|source| OpenError::Send {
        path: path.clone(),
        source,
    })?;
    if let Some(changed) = changed.filter(|_| !view_only) {
        replace(changed, &path).map_err(|source| OpenError::Replace { path, source })?;
    }
    Ok(code)
}

fn give(request: &Request, mut file: File, mut input: ChildStdin) -> io::Result<()> {
    input.write_all(&request.encode())?;
    io::copy(&mut file, &mut input)?;
    Ok(())
}

/// What came back, beside the file it may replace; nothing when nothing came.
fn take(mut output: ChildStdout, path: &Path) -> io::Result<Option<NamedTempFile>> {
    let mut first = vec![0; 64 * 1024];
    let length = output.read(&mut first)?;
    if length == 0 {
        return Ok(None);
    }
    let mut back = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
    back.write_all(&first[..length])?;
    io::copy(&mut output, &mut back)?;
    Ok(Some(back))
}

fn replace(changed: NamedTempFile, path: &Path) -> io::Result<()> {
    changed
        .as_file()
        .set_permissions(fs::metadata(path)?.permissions())?;
    changed.as_file().sync_all()?;
    changed.persist(path)?;
    Ok(())
}
