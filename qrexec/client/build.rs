// SPDX-License-Identifier: GPL-3.0-or-later
//! Links the unwinder into the programs instead of loading its library.
//!
//! A call is a process: loading `libgcc_s` takes a tenth of the time of a whole call, for code that a
//! program that aborts on panic hardly uses. Its archive holds the same.
#![forbid(unsafe_code)]

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let gnu = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|name| name == "gnu");
    if let (true, Some(folder)) = (gnu, env::var_os("OUT_DIR")) {
        // The linker takes this text for the library of that name.
        fs::write(
            Path::new(&folder).join("libgcc_s.so"),
            "GROUP ( -lgcc_eh -lgcc )\n",
        )?;
        println!("cargo::rustc-link-search=native={}", folder.display());
    }
    Ok(())
}
