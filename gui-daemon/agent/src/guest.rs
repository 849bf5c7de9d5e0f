// SPDX-License-Identifier: GPL-3.0-or-later
//! What is known of one window of the guest, and how the daemon is told of it.

use gui_protocol::{ClassPart, FromAgent, Title, WindowFlags, WindowHints, WindowId, WireRect};
use x11rb::errors::ReplyError;
use x11rb::properties::{WmSizeHints, WmSizeHintsSpecification};
use x11rb::protocol::damage::Damage;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _, GetPropertyReply, Pixmap, Window};

use crate::capture::Buffer;
use crate::changed::{Changed, Part};
use crate::desktop::{Desktop, Lost};
use crate::placement::Placement;

/// A top-level window. Its border counts as part of it: for the daemon there is only what
/// is drawn.
#[derive(Debug, Default)]
pub(crate) struct Guest {
    pub(crate) placement: Placement,
    pub(crate) override_redirect: bool,
    /// While it is mapped: what it draws into, and what reports changes.
    pub(crate) drawn: Option<(Pixmap, Damage)>,
    pub(crate) changed: Changed,
    pub(crate) buffer: Buffer,
    /// What the daemon last heard or said about its place.
    pub(crate) known: WireRect,
}

impl Guest {
    /// The size of what it draws.
    pub(crate) fn size(&self) -> (u32, u32) {
        self.placement.seen().outer_size()
    }

    /// Everything must be captured again.
    pub(crate) fn change_all(&mut self) {
        self.changed.take();
        let (width, height) = self.size();
        self.changed.add(Part::whole(width, height));
    }
}

impl Desktop {
    /// Tells the daemon of a window, from its creation up to what it shows now.
    pub(crate) fn announce(&mut self, window: Window) -> Result<(), Lost> {
        let Some(guest) = self.guests.get_mut(&window) else {
            return Ok(());
        };
        guest.known = guest.placement.latest().rect();
        guest.buffer = Buffer::default();
        let create = FromAgent::Create {
            rect: guest.known,
            override_redirect: guest.override_redirect,
        };
        let shown = guest.drawn.is_some();
        self.link.say(window, &create);
        self.tell_hints(window)?;
        self.tell_title(window)?;
        self.tell_class(window)?;
        if shown {
            self.announce_shown(window)?;
        }
        Ok(())
    }

    /// Tells the daemon that a window is shown; its image follows when it is captured.
    pub(crate) fn announce_shown(&mut self, window: Window) -> Result<(), Lost> {
        self.tell_place(window);
        let states = self.atoms_of(window, self.atoms._NET_WM_STATE)?;
        if states.contains(&self.atoms._NET_WM_STATE_FULLSCREEN) {
            self.tell_flags(window, WindowFlags::FULLSCREEN, 0);
        }
        let transient = self.property(window, AtomEnum::WM_TRANSIENT_FOR.into(), 1)?;
        let transient = transient
            .and_then(|reply| reply.value32()?.next())
            .unwrap_or(0);
        if let Some(guest) = self.guests.get_mut(&window) {
            let map = FromAgent::Map {
                transient_for: WindowId(transient),
                override_redirect: guest.override_redirect,
            };
            guest.change_all();
            self.link.say(window, &map);
        }
        Ok(())
    }

    /// Tells where a window is, if the daemon does not know.
    pub(crate) fn tell_place(&mut self, window: Window) {
        if let Some(guest) = self.guests.get_mut(&window)
            && guest.known != guest.placement.latest().rect()
        {
            guest.known = guest.placement.latest().rect();
            self.link.say(window, &FromAgent::Configure(guest.known));
        }
    }

    pub(crate) fn tell_flags(&mut self, window: Window, set: u32, unset: u32) {
        let flags = FromAgent::WindowFlags(WindowFlags { set, unset });
        self.link.say(window, &flags);
    }

    pub(crate) fn tell_title(&mut self, window: Window) -> Result<(), Lost> {
        let modern = self.property(window, self.atoms._NET_WM_NAME, 64)?;
        let title = match modern.filter(|reply| !reply.value.is_empty()) {
            Some(reply) => Some(reply),
            None => self.property(window, AtomEnum::WM_NAME.into(), 64)?,
        };
        if let Some(title) = title {
            self.link
                .say(window, &FromAgent::WmName(Title::new(&title.value)));
        }
        Ok(())
    }

    pub(crate) fn tell_class(&mut self, window: Window) -> Result<(), Lost> {
        if let Some(reply) = self.property(window, AtomEnum::WM_CLASS.into(), 64)? {
            let mut parts = reply.value.split(|byte| *byte == 0);
            let mut part = || ClassPart::new(parts.next().unwrap_or_default());
            let (instance, class) = (part(), part());
            self.link
                .say(window, &FromAgent::WmClass { class, instance });
        }
        Ok(())
    }

    pub(crate) fn tell_hints(&mut self, window: Window) -> Result<(), Lost> {
        let hints = match WmSizeHints::get_normal_hints(&self.conn, window)?.reply() {
            Ok(hints) => hints.unwrap_or_default(),
            Err(ReplyError::X11Error(_)) => return Ok(()),
            Err(ReplyError::ConnectionError(lost)) => return Err(lost.into()),
        };
        let mut wire = WindowHints::default();
        match hints.position {
            Some((WmSizeHintsSpecification::UserSpecified, ..)) => {
                wire.flags |= WindowHints::USER_POSITION;
            }
            Some((WmSizeHintsSpecification::ProgramSpecified, ..)) => {
                wire.flags |= WindowHints::PROGRAM_POSITION;
            }
            None => {}
        }
        // Clients count sizes from inside their border, the daemon from outside.
        let border = self.guests.get(&window);
        let border = border.map_or(0, |guest| 2 * guest.placement.latest().border);
        let mut flags = wire.flags;
        let mut group = |flag: u32, pair: Option<(i32, i32)>, border: u32| match pair {
            Some((width, height)) => {
                flags |= flag;
                let size = |length: i32| (length.max(0) as u32).saturating_add(border);
                (size(width), size(height))
            }
            None => (0, 0),
        };
        wire.min = group(WindowHints::MIN_SIZE, hints.min_size, border);
        wire.max = group(WindowHints::MAX_SIZE, hints.max_size, border);
        wire.increment = group(WindowHints::INCREMENT, hints.size_increment, 0);
        wire.base = group(WindowHints::BASE_SIZE, hints.base_size, border);
        wire.flags = flags;
        self.link.say(window, &FromAgent::WindowHints(wire));
        Ok(())
    }

    /// A property, if the window has it and is still there; `length` in words.
    pub(crate) fn property(
        &self,
        window: Window,
        name: u32,
        length: u32,
    ) -> Result<Option<GetPropertyReply>, Lost> {
        let any = AtomEnum::ANY;
        match self
            .conn
            .get_property(false, window, name, any, 0, length)?
            .reply()
        {
            Ok(reply) => Ok(Some(reply).filter(|reply| reply.type_ != x11rb::NONE)),
            Err(ReplyError::X11Error(_)) => Ok(None),
            Err(ReplyError::ConnectionError(lost)) => Err(lost.into()),
        }
    }

    /// A property that lists names.
    pub(crate) fn atoms_of(&self, window: Window, name: u32) -> Result<Vec<u32>, Lost> {
        let reply = self.property(window, name, 64)?;
        Ok(reply
            .and_then(|reply| Some(reply.value32()?.collect()))
            .unwrap_or_default())
    }
}
