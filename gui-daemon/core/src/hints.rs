// SPDX-License-Identifier: GPL-3.0-or-later
//! Size hints: each group passes if it makes sense, and counts the frame in. No window
//! manager is told to make a surface larger than the work area.

use gui_protocol::WindowHints;
use gui_protocol::limits::{MAX_HEIGHT, MAX_WIDTH};

use crate::{FRAME, Rect};

/// Size hints for a surface of the display, frame included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct SizeHints {
    /// The position is the user's choice.
    pub user_position: bool,
    /// The position is the program's choice.
    pub program_position: bool,
    /// Smallest size.
    pub min: Option<(i32, i32)>,
    /// Largest size.
    pub max: Option<(i32, i32)>,
    /// Steps in which the size changes.
    pub increment: Option<(i32, i32)>,
    /// Size from which steps are counted.
    pub base: Option<(i32, i32)>,
}

impl SizeHints {
    /// Takes over what is in range; returns also how many groups were not. Least sizes end
    /// at the size of the work area.
    pub fn of_guest(hints: WindowHints, work: Rect) -> (Self, u64) {
        let mut dropped = 0;
        let mut group = |flag: u32, (width, height): (u32, u32), least: u32, grow: i32| {
            let given = hints.flags & flag != 0;
            let sound =
                (least..=MAX_WIDTH).contains(&width) && (least..=MAX_HEIGHT).contains(&height);
            dropped += u64::from(given && !sound);
            (given && sound).then_some((width as i32 + grow, height as i32 + grow))
        };
        let within = |(width, height): (i32, i32)| (width.min(work.width), height.min(work.height));
        let min = group(WindowHints::MIN_SIZE, hints.min, 0, 2 * FRAME).map(within);
        let max = group(WindowHints::MAX_SIZE, hints.max, 1, 2 * FRAME);
        let increment = group(WindowHints::INCREMENT, hints.increment, 1, 0);
        let base = group(WindowHints::BASE_SIZE, hints.base, 0, 2 * FRAME).map(within);
        let above = |low: Option<(i32, i32)>, max: (i32, i32)| {
            low.is_some_and(|low| low.0 > max.0 || low.1 > max.1)
        };
        let max = max.filter(|max| !above(min, *max) && !above(base, *max));
        let sound = Self {
            user_position: hints.flags & WindowHints::USER_POSITION != 0,
            program_position: hints.flags & WindowHints::PROGRAM_POSITION != 0,
            min,
            max,
            increment,
            base,
        };
        (sound, dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: Rect = Rect {
        x: 0,
        y: 20,
        width: 1920,
        height: 1060,
    };

    #[test]
    fn no_least_size_is_larger_than_the_work_area() {
        let wish = WindowHints {
            flags: WindowHints::MIN_SIZE | WindowHints::BASE_SIZE,
            min: (1920, 50),
            base: (60, 6000),
            ..WindowHints::default()
        };
        let (hints, dropped) = SizeHints::of_guest(wish, WORK);
        assert_eq!(
            (hints.min, hints.base),
            (Some((1920, 58)), Some((68, 1060)))
        );
        assert_eq!(dropped, 0);
    }

    #[test]
    fn a_group_out_of_range_is_dropped_and_the_others_pass() {
        let wish = WindowHints {
            flags: u32::MAX,
            min: (20, 10),
            max: (u32::MAX, 5),
            increment: (0, 13),
            base: (4, 4),
        };
        let (hints, dropped) = SizeHints::of_guest(wish, WORK);
        assert_eq!((hints.min, hints.base), (Some((28, 18)), Some((12, 12))));
        assert_eq!((hints.max, hints.increment, dropped), (None, None, 2));
    }

    #[test]
    fn what_is_not_flagged_is_not_given() {
        assert_eq!(
            SizeHints::of_guest(WindowHints::default(), WORK),
            (SizeHints::default(), 0)
        );
    }
}
