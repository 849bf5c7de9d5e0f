// SPDX-License-Identifier: GPL-3.0-or-later
//! A display that only keeps records, for tests: it carries out commands on a model and
//! objects to those that a real display could not or must not carry out.

use std::collections::BTreeMap;

use gui_protocol::WindowId;

use crate::{Command, Rect};

/// A surface of the recorded display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surface {
    /// Where it is, frame included.
    pub rect: Rect,
    /// Whether it is shown.
    pub mapped: bool,
    /// Whether the window manager leaves it alone.
    pub override_redirect: bool,
    /// Its title.
    pub title: String,
    /// The size of the image whose pages are mapped.
    pub image: Option<Rect>,
}

/// All surfaces, and how many pages are mapped for them.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The surfaces by the guest's window ids.
    pub surfaces: BTreeMap<WindowId, Surface>,
    /// Pages that are mapped.
    pub pages: BTreeMap<WindowId, usize>,
}

impl Record {
    /// Carries out a command; `Err` says what is wrong with it.
    pub fn carry_out(&mut self, command: &Command) -> Result<(), String> {
        let wrong = |reason: &str| Err(format!("{reason}: {command:?}"));
        match command {
            Command::Create {
                window,
                surface,
                override_redirect,
            } => {
                let new = Surface {
                    rect: *surface,
                    mapped: false,
                    override_redirect: *override_redirect,
                    title: String::new(),
                    image: None,
                };
                if surface.is_empty() || self.surfaces.insert(*window, new).is_some() {
                    return wrong("empty, or made twice");
                }
            }
            Command::Destroy { window } => {
                if self.surfaces.remove(window).is_none() || self.pages.contains_key(window) {
                    return wrong("not there, or its pages are");
                }
            }
            Command::Release { window } => {
                self.pages.remove(window);
                self.surface(*window)?.image = None;
            }
            Command::Attach { window, dump } => {
                if self.pages.insert(*window, dump.refs().len()).is_some() {
                    return wrong("the old pages are still mapped");
                }
                let size = Rect::new(0, 0, dump.width() as i32, dump.height() as i32);
                self.surface(*window)?.image = Some(size);
            }
            Command::Fetch { image, part } => {
                let size = self.surface(*image)?.image;
                if !size.is_some_and(|size| size.contains(*part)) {
                    return wrong("no such pixels");
                }
            }
            Command::Put {
                window,
                image,
                part,
                at,
            } => {
                let size = self.surface(*image)?.image;
                let interior = self.surface(*window)?.rect.interior();
                let target = Rect::new(at.x, at.y, part.width, part.height);
                if !size.is_some_and(|size| size.contains(*part)) || !interior.contains(target) {
                    return wrong("no such pixels, or on the frame");
                }
            }
            Command::Clear { window, part } => {
                if !self.surface(*window)?.rect.interior().contains(*part) {
                    return wrong("on the frame");
                }
            }
            Command::Map { window } => self.surface(*window)?.mapped = true,
            Command::Unmap { window } => self.surface(*window)?.mapped = false,
            Command::OverrideRedirect { window, on } => {
                let surface = self.surface(*window)?;
                if surface.mapped {
                    return wrong("only a hidden surface may change");
                }
                surface.override_redirect = *on;
            }
            Command::Configure { window, surface } => {
                if surface.is_empty() {
                    return wrong("empty");
                }
                self.surface(*window)?.rect = *surface;
            }
            Command::Title { window, title } => self.surface(*window)?.title.clone_from(title),
            Command::Transient { window, parent } => {
                if let Some(parent) = parent {
                    self.surface(*parent)?;
                }
                self.surface(*window)?;
            }
            Command::Class { window, .. }
            | Command::Hints { window, .. }
            | Command::State { window, .. }
            | Command::Cursor { window, .. } => {
                self.surface(*window)?;
            }
        }
        Ok(())
    }

    fn surface(&mut self, window: WindowId) -> Result<&mut Surface, String> {
        let missing = || format!("there is no surface {window}");
        self.surfaces.get_mut(&window).ok_or_else(missing)
    }
}
