// SPDX-License-Identifier: GPL-3.0-or-later
//! The names of properties and messages.

x11rb::atom_manager! {
    /// Every name that is used, asked for once.
    pub(super) Atoms:
    AtomsCookie {
        UTF8_STRING,
        WM_CHANGE_STATE,
        WM_CLIENT_MACHINE,
        WM_DELETE_WINDOW,
        WM_PROTOCOLS,
        _NET_CURRENT_DESKTOP,
        _NET_WM_ICON,
        _NET_WM_ICON_NAME,
        _NET_WM_NAME,
        _NET_WM_PID,
        _NET_WM_PING,
        _NET_WM_STATE,
        _NET_WM_STATE_DEMANDS_ATTENTION,
        _NET_WM_STATE_FULLSCREEN,
        _NET_WM_STATE_HIDDEN,
        _NET_WM_STATE_MAXIMIZED_HORZ,
        _NET_WM_STATE_MAXIMIZED_VERT,
        _NET_WM_USER_TIME,
        _NET_WORKAREA,
        _QUBES_LABEL,
        _QUBES_LABEL_COLOR,
        _QUBES_VMNAME,
        _QUBES_VMWINDOWID,
    }
}
