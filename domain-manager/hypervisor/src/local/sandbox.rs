// SPDX-License-Identifier: GPL-3.0-or-later
//! What a local guest sees: the arguments of `bwrap`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use bulkhead_types::{DomId, VolumeName};

use super::system::{GUEST_FILES, HOST_USR, PROGRAMS, SharedSystem};
use super::{INIT, LocalOptions};
use crate::spec::GuestSpec;

/// The guest's user, as in a real guest.
const USER: &str = "user";
const USER_ID: &str = "1000";
const VCHANS: &str = "/run/bulkhead/vchan";

/// What of the host's `/etc` programs need to find fonts, libraries and file types.
const HOST_CONFIGURATION: [&str; 12] = [
    "X11",
    "alternatives",
    "bash.bashrc",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mailcap",
    "mime.types",
    "profile",
    "terminfo",
];
/// What of the host's root leads into `/usr`.
const ROOT_LINKS: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// All that decides what a guest sees.
pub(super) struct Sandbox<'a> {
    pub(super) spec: &'a GuestSpec,
    pub(super) domid: DomId,
    /// The guest's folder.
    pub(super) guest: &'a Path,
    /// Where domains meet for vchans.
    pub(super) vchans: &'a Path,
    pub(super) options: &'a LocalOptions,
    pub(super) system: &'a SharedSystem,
}

/// Whether `bwrap` can be run.
pub(super) fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("bwrap").is_file())
}

/// The command that runs the guest. Writes the guest's own `/etc` and makes its home.
pub(super) fn arguments(sandbox: &Sandbox<'_>) -> io::Result<Vec<OsString>> {
    let mut command = Arguments(vec!["bwrap".into()]);
    command.separate(sandbox);
    command.environment(sandbox.domid);
    command.add(&["--proc", "/proc", "--dev", "/dev"]);
    command.system(sandbox);
    command.configuration(sandbox)?;
    command.places(sandbox)?;
    command.add(&["--remount-ro", "/", "--chdir", "/home/user", "--"]);
    command.add(&[format!("{PROGRAMS}/{INIT}")]);
    Ok(command.0)
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn add<T: AsRef<std::ffi::OsStr>>(&mut self, arguments: &[T]) {
        self.0
            .extend(arguments.iter().map(|a| a.as_ref().to_owned()));
    }

    fn bind(&mut self, how: &str, from: &Path, to: impl AsRef<Path>) {
        self.add(&[how.as_ref(), from.as_os_str(), to.as_ref().as_os_str()]);
    }

    fn separate(&mut self, sandbox: &Sandbox<'_>) {
        self.add(&["--unshare-user", "--uid", USER_ID, "--gid", USER_ID]);
        self.add(&[
            "--unshare-pid",
            "--as-pid-1",
            "--unshare-ipc",
            "--unshare-net",
        ]);
        self.add(&["--unshare-cgroup-try", "--unshare-uts"]);
        self.add(&["--hostname", sandbox.spec.name.as_str()]);
        self.add(&["--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
    }

    fn environment(&mut self, domid: DomId) {
        self.add(&["--clearenv"]);
        for (name, value) in [
            ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"),
            ("HOME", "/home/user"),
            ("USER", USER),
            ("LOGNAME", USER),
            // Where the session serves; services are started with what their agent has.
            ("DISPLAY", ":0"),
            ("SHELL", "/bin/sh"),
            ("LANG", "C.UTF-8"),
            ("BULKHEAD_VCHAN", &format!("local:{VCHANS}")),
            ("VCHAN_DOMAIN", &domid.to_string()),
        ] {
            self.add(&["--setenv", name, value]);
        }
    }

    /// The host's system with our programs in it.
    fn system(&mut self, sandbox: &Sandbox<'_>) {
        self.bind("--ro-bind", &sandbox.options.programs, PROGRAMS);
        self.bind("--ro-bind", &sandbox.options.guest_files, GUEST_FILES);
        self.bind("--ro-bind", "/usr".as_ref(), HOST_USR);
        self.bind("--ro-bind", &sandbox.system.usr, "/usr");
        for name in ROOT_LINKS {
            let path = Path::new("/").join(name);
            match fs::read_link(&path) {
                Ok(target) => self.bind("--symlink", &target, &path),
                Err(_) => self.bind("--ro-bind-try", &path, &path),
            }
        }
        for (to, target) in &sandbox.system.links {
            self.bind("--symlink", target, to);
        }
    }

    /// `/etc`: the guest's own names, and the host's fonts and the like.
    fn configuration(&mut self, sandbox: &Sandbox<'_>) -> io::Result<()> {
        for name in HOST_CONFIGURATION {
            let path = Path::new("/etc").join(name);
            self.bind("--ro-bind-try", &path, &path);
        }
        let folder = sandbox.guest.join("etc");
        fs::create_dir_all(&folder)?;
        let name = &sandbox.spec.name;
        let machine = sandbox.spec.uuid.as_str().replace('-', "");
        for (file, text) in [
            (
                "passwd",
                "root:x:0:0:root:/root:/bin/sh\n\
                 user:x:1000:1000:user:/home/user:/bin/bash\n\
                 nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
                    .to_owned(),
            ),
            (
                "group",
                "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n".to_owned(),
            ),
            ("hostname", format!("{name}\n")),
            ("hosts", format!("127.0.0.1 localhost\n127.0.1.1 {name}\n")),
            ("machine-id", format!("{machine}\n")),
            (
                "nsswitch.conf",
                "passwd: files\ngroup: files\nhosts: files\n".to_owned(),
            ),
        ] {
            fs::write(folder.join(file), text)?;
            self.bind(
                "--ro-bind",
                &folder.join(file),
                Path::new("/etc").join(file),
            );
        }
        Ok(())
    }

    /// What the guest may write to.
    fn places(&mut self, sandbox: &Sandbox<'_>) -> io::Result<()> {
        self.add(&["--perms", "1777", "--tmpfs", "/tmp"]);
        self.add(&["--perms", "1777", "--dir", "/tmp/.X11-unix"]);
        self.add(&["--tmpfs", "/run", "--dir", "/run/qubes"]);
        self.add(&["--tmpfs", "/var", "--symlink", "/run", "/var/run"]);
        self.add(&["--dir", "/var/log", "--dir", "/var/tmp"]);
        self.bind("--bind", sandbox.vchans, VCHANS);
        match sandbox.spec.disk(VolumeName::Private) {
            Some(private) => {
                let home = private.path.join("home");
                fs::create_dir_all(home.join(USER))?;
                let how = if private.read_only {
                    "--ro-bind"
                } else {
                    "--bind"
                };
                self.bind(how, &private.path, "/rw");
                self.bind(how, &home, "/home");
            }
            None => self.add(&["--tmpfs", "/rw", "--tmpfs", "/home", "--dir", "/home/user"]),
        }
        Ok(())
    }
}
