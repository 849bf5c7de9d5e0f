// SPDX-License-Identifier: GPL-3.0-or-later
//! What it takes that an agent which is root starts a service as somebody else, without a PAM session and
//! in one.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use nix::unistd::Uid;

use crate::calls::{calls, run};
use crate::cast::{Cast, Make, own_programs};
use crate::figures::Times;
use crate::site::{Site, Wire};

/// PAM asks nothing and does nothing.
const NOTHING: &str =
    "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
/// What a guest of ours has.
const TEMPLATE: &str = "../../templates/guest/pam/qrexec";

pub fn print() {
    if !Uid::effective().is_root() {
        println!("  services as other users: only root can measure this");
        return;
    }
    let template = Path::new(env!("CARGO_MANIFEST_DIR")).join(TEMPLATE);
    let template = fs::read_to_string(template).unwrap();
    let kinds = [
        ("without a PAM session", None),
        ("in one that does nothing", Some(NOTHING)),
        ("in one as in our templates", Some(&template)),
    ];
    let mut site = Site::new(Cast::all(Make::Ours), Wire::Local);
    let program = "qrexec-pam-session";
    fs::copy(
        own_programs().join(program),
        site.path("bin/ours").join(program),
    )
    .unwrap();
    for (number, (_, configuration)) in kinds.iter().enumerate() {
        let folder = site.path(&format!("pam{number}"));
        fs::create_dir(&folder).unwrap();
        // Modules of the system are used by it, and they include each other's files.
        for entry in fs::read_dir("/etc/pam.d").unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        let file = folder.join("qrexec");
        match configuration {
            Some(text) => fs::write(file, text).unwrap(),
            None => drop(fs::remove_file(file)),
        }
        let mut place = Command::new("unshare");
        let script = "mount --bind \"$1\" /etc/pam.d && shift && exec \"$@\"";
        place
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(folder);
        site.start_as_root(10 + number as u32, &format!("users{number}"), place);
    }
    println!(
        "  dom0 to a guest whose agent is root, µs{:13}p50     p95     p99",
        ""
    );
    let mut times = kinds.map(|_| Times::default());
    for turn in 0..calls() + 1 {
        for (number, times) in times.iter_mut().enumerate() {
            let mut call = site.client();
            call.args(["-d", &format!("users{number}")]);
            call.arg(format!("{}:QUBESRPC bench.True dom0", site.user()));
            let begun = Instant::now();
            assert!(run(&mut call, 0), "{}", site.logs());
            if turn > 0 {
                times.add(begun.elapsed());
            }
        }
    }
    for ((name, _), times) in kinds.iter().zip(&mut times) {
        let [p50, p95, p99] = [0.5, 0.95, 0.99].map(|share| times.percentile(share));
        println!("  {name:51} {p50:7.0} {p95:7.0} {p99:7.0}");
    }
}
