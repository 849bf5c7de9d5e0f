// SPDX-License-Identifier: GPL-3.0-or-later
//! Controls that say what they are to a screen reader.
//!
//! GTK takes such a name from its description of a widget in XML, which every version of it
//! reads; the text is escaped.

use gtk4::prelude::*;
use gtk4::{Builder, Widget, glib};

/// A widget of GTK's class `class` that is called `name`.
pub fn called<W: IsA<Widget> + IsA<glib::Object>>(class: &str, name: &str) -> W {
    let name = glib::markup_escape_text(name);
    let description = format!(
        "<interface><object class='{class}' id='it'><accessibility>\
         <property name='label'>{name}</property>\
         </accessibility></object></interface>"
    );
    Builder::from_string(&description)
        .object("it")
        .expect("the class is one of GTK's, and the description is complete")
}
