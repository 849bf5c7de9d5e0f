// SPDX-License-Identifier: GPL-3.0-or-later
//! The GUI protocol: a guest's agent against dom0, and dom0 against an agent.

use gui_core::record::Record;
use gui_core::{Command, Effect, Limits, Rect, Windows};
use gui_protocol::{Decoder, FromAgent, FromDaemon, Version};

use crate::pieces;

/// A small screen and tight limits, so that they are reached.
const SCREEN: (u32, u32) = (1280, 1024);
const LIMITS: Limits = Limits {
    windows: 8,
    refused: 8,
    pages: 4096,
};

/// A whole session of a guest on a recorded display, which objects to every command that a
/// real one could not carry out.
pub fn from_agent(data: &[u8]) {
    let screen = Rect::new(0, 0, SCREEN.0 as i32, SCREEN.1 as i32);
    let domain = "work".parse().unwrap();
    let mut windows = Windows::new(domain, Version::OURS, LIMITS, screen);
    let mut record = Record::default();
    let mut decoder = Decoder::default();
    for piece in pieces(data) {
        decoder.feed(piece);
        loop {
            let mut effects = Vec::new();
            match decoder.message::<FromAgent>(Version::OURS) {
                Ok(None) => break,
                Ok(Some((id, message))) => {
                    let orderly = windows.guest(id, message, &mut effects).is_ok();
                    windows.draw(&mut effects);
                    if !orderly {
                        windows.end(&mut effects);
                    }
                    carry_out(&effects, &mut record);
                    check(&windows, &record);
                    if !orderly {
                        assert!(record.surfaces.is_empty() && record.pages.is_empty());
                        return;
                    }
                }
                Err(_) => return,
            }
        }
    }
}

fn carry_out(effects: &[Effect], record: &mut Record) {
    for effect in effects {
        if let Effect::Display(command) = effect {
            if let Command::Title { title, .. } = command {
                assert!(
                    title.bytes().all(|b| (0x20..0x7f).contains(&b)),
                    "{title:?}"
                );
                assert!(title.starts_with("[work]"), "{title:?}");
            }
            record.carry_out(command).unwrap();
        }
    }
}

fn check(windows: &Windows, record: &Record) {
    assert_eq!(windows.len(), record.surfaces.len());
    assert!(windows.len() <= LIMITS.windows);
    assert_eq!(windows.pages(), record.pages.values().sum::<usize>());
    assert!(windows.pages() <= LIMITS.pages);
}

/// What an agent hears from a daemon.
pub fn from_daemon(data: &[u8]) {
    let mut decoder = Decoder::default();
    for piece in pieces(data) {
        decoder.feed(piece);
        while let Ok(Some(_)) = decoder.message::<FromDaemon>(Version::OURS) {}
    }
}
