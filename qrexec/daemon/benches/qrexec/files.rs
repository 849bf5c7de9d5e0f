// SPDX-License-Identifier: GPL-3.0-or-later
//! How fast files are copied from one domain to another, and how fast they are received alone.
//!
//! Everything lies in memory: what a disk can do is not ours.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::cast::{Part, own_programs};
use crate::figures::median;
use crate::site::{STREAM, Site, WORK};

const ROUNDS: usize = 5;
/// The small files of one copy, and what each holds.
const MANY: usize = 5000;
const SMALL: &[u8] = &[b'x'; 1024];

/// The programs of a copy.
const PROGRAMS: [&str; 3] = ["bulkhead-copy", "qfile-sender", "qfile-receiver"];

/// A piece of work: its name, what is copied, how, and what is counted.
type Work<'c> = (&'static str, &'c Path, &'c dyn Fn(&Path), Unit);

pub fn print(sites: &[Site]) {
    println!(
        "  copies of files{:36}median    worst     best  promised",
        ""
    );
    for site in sites.iter().filter(|site| site.name == "ours") {
        let copy = Copy::prepare(site);
        let works: [Work<'_>; 4] = [
            (
                "one file, MB/s",
                &copy.large,
                &|path| copy.whole(path),
                Unit::Megabytes,
            ),
            (
                "small files, files/s",
                &copy.small,
                &|path| copy.whole(path),
                Unit::Files,
            ),
            (
                "one file, receiver alone, MB/s",
                &copy.large,
                &|path| copy.received(path),
                Unit::Megabytes,
            ),
            (
                "small files, receiver alone, files/s",
                &copy.small,
                &|path| copy.received(path),
                Unit::Files,
            ),
        ];
        for (name, path, work, unit) in works {
            let figures: Vec<f64> = (0..ROUNDS)
                .map(|_| {
                    copy.clear();
                    let begun = Instant::now();
                    work(path);
                    let figure = unit.amount() / begun.elapsed().as_secs_f64();
                    copy.arrived(path);
                    figure
                })
                .collect();
            let worst = figures.iter().copied().fold(f64::INFINITY, f64::min);
            let best = figures.iter().copied().fold(0.0, f64::max);
            let (median, promised) = (median(figures), unit.promised());
            println!("  {name:45} {median:10.0} {worst:8.0} {best:8.0}  {promised}");
        }
        copy.clear();
    }
}

#[derive(Clone, Copy)]
enum Unit {
    Megabytes,
    Files,
}

impl Unit {
    fn amount(self) -> f64 {
        match self {
            Self::Megabytes => STREAM as f64 / 1e6,
            Self::Files => MANY as f64,
        }
    }

    fn promised(self) -> u32 {
        match self {
            Self::Megabytes => 500,
            Self::Files => 5000,
        }
    }
}

/// What is copied at a site, and the programs.
struct Copy<'s> {
    site: &'s Site,
    large: PathBuf,
    small: PathBuf,
}

impl<'s> Copy<'s> {
    fn prepare(site: &'s Site) -> Self {
        let bin = site.path("bin");
        for program in PROGRAMS {
            let from = own_programs().join(program);
            let copied = fs::copy(&from, bin.join(program));
            copied.unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        let service = bin.join("qfile-receiver");
        std::os::unix::fs::symlink(service, site.path("services/qubes.Filecopy")).unwrap();
        // The command takes whoever makes calls from the search path.
        let client = site.command(Part::GuestClient, WORK);
        let client = client.get_program().display().to_string();
        let agent = site.agent_socket(WORK);
        fs::create_dir(site.path("path")).unwrap();
        let text = format!("exec {client} --agent-socket={} \"$@\"", agent.display());
        site.script("path/qrexec-client-vm", &text);
        let small = site.path("small");
        fs::create_dir(&small).unwrap();
        for n in 0..MANY {
            fs::write(small.join(n.to_string()), SMALL).unwrap();
        }
        let large = site.path("zeros");
        Self { site, large, small }
    }

    /// The whole command, from its start to its end.
    fn whole(&self, path: &Path) {
        let mut command = self
            .site
            .in_domain(&self.site.path("bin/bulkhead-copy"), WORK);
        let folders = format!("{}:/usr/bin:/bin", self.site.path("path").display());
        run(command.env("PATH", folders).arg("personal").arg(path));
    }

    /// Only the receiver, with what a sender has written before.
    fn received(&self, path: &Path) {
        let stream = self.stream_of(path);
        let program = self.site.path("bin/qfile-receiver");
        let mut command = self.site.in_domain(&program, WORK);
        command.env("QREXEC_REMOTE_DOMAIN", "work");
        run(command.stdin(File::open(stream).unwrap()));
    }

    /// What a sender of `path` writes.
    fn stream_of(&self, path: &Path) -> PathBuf {
        let stream = path.with_extension("stream");
        if !stream.exists() {
            let mut command = Command::new(self.site.path("bin/qfile-sender"));
            command.arg(path).stdin(Stdio::null()).stderr(Stdio::null());
            let written = command.stdout(File::create(&stream).unwrap()).status();
            // It complains that nobody has answered.
            assert!(written.unwrap().code().is_some());
        }
        stream
    }

    /// Removes what has arrived.
    fn clear(&self) {
        let incoming = self.site.path("home/QubesIncoming");
        if incoming.exists() {
            fs::remove_dir_all(incoming).unwrap();
        }
    }

    /// What has arrived is all of it.
    fn arrived(&self, path: &Path) {
        let place = self.site.path("home/QubesIncoming/work");
        let place = place.join(path.file_name().unwrap());
        if path.is_dir() {
            assert_eq!(fs::read_dir(place).unwrap().count(), MANY);
        } else {
            assert_eq!(fs::metadata(place).unwrap().len(), STREAM);
        }
    }
}

fn run(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {complaint}");
}
