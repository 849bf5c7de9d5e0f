// SPDX-License-Identifier: GPL-3.0-or-later
//! The controls of a question. Every text is set as text: GTK's markup is used nowhere.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bulkhead_prompt::{Input, Prompt, Question, Target};
use gtk4::pango::{AttrInt, AttrList, EllipsizeMode, WrapMode};
use gtk4::prelude::*;
use gtk4::{
    Align, Box as Row, Button, CheckButton, Label, ListBox, ListBoxRow, Orientation, PolicyType,
    ScrolledWindow, SearchEntry, SelectionMode, Widget,
};
use policy_agent_protocol::{Choice, Lasting};

use super::spoken::called;
use super::{Session, style};

/// So many targets are in view at once, each so high in pixels.
const SHOWN: usize = 5;
const ROW: i32 = 40;

/// The controls of one question.
pub struct Content {
    pub root: Row,
    search: SearchEntry,
    list: ListBox,
    rows: Vec<(Choice, ListBoxRow)>,
    keep: Vec<(Lasting, CheckButton)>,
    behind: Label,
    countdown: Label,
    refuse: Button,
    allow: Button,
    /// Whether the controls change because of us.
    updating: Rc<Cell<bool>>,
}

impl Content {
    pub fn new(question: &Question, session: &Rc<Session>) -> Self {
        let rows: Vec<_> = question.targets.iter().map(target_row).collect();
        let choices = question.targets.iter().map(|target| target.choice.clone());
        let mut group = None;
        let keep = question.lasting.iter().map(|lasting| {
            let button = CheckButton::with_label(&question.lasting_words(*lasting));
            button.add_css_class("lasting");
            button.set_group(group.as_ref());
            group.get_or_insert(button.clone());
            (*lasting, button)
        });
        let content = Self {
            root: Row::new(Orientation::Vertical, 0),
            search: called("GtkSearchEntry", "Search targets"),
            list: called("GtkListBox", "Target"),
            keep: keep.collect(),
            behind: text("", &["waiting"]),
            countdown: text("", &["countdown"]),
            refuse: answer_button("Refuse", "Refuse the call", "refuse"),
            allow: answer_button("Allow", "Allow the call to the picked target", "allow"),
            updating: Rc::default(),
            rows: choices.zip(rows).collect(),
        };
        content.lay_out(question);
        content.connect(session);
        content
    }

    /// Where keys go first: never to what allows.
    pub fn first_focus(&self) -> &Widget {
        match self.rows.len() {
            1 => self.refuse.upcast_ref(),
            _ => self.search.upcast_ref(),
        }
    }

    fn lay_out(&self, question: &Question) {
        self.root.add_css_class("frame-of");
        self.root.add_css_class(&style::class(question.label));
        self.root.append(&self.band(question));
        let body = Row::new(Orientation::Vertical, 10);
        body.add_css_class("body");
        body.set_vexpand(true);
        body.append(&wrapped(&question.sentence, "sentence"));
        body.append(&wrapped(&question.means, "means"));
        body.append(&details(question));
        self.lay_out_targets(&body);
        if self.keep.len() > 1 {
            let heading = text("For how long", &["heading"]);
            body.append(&heading);
            let row = Row::new(Orientation::Horizontal, 18);
            for (_, button) in &self.keep {
                row.append(button);
            }
            body.append(&row);
        }
        self.root.append(&body);
        let foot = Row::new(Orientation::Horizontal, 10);
        foot.add_css_class("foot");
        self.countdown.set_hexpand(true);
        foot.append(&self.countdown);
        foot.append(&self.refuse);
        foot.append(&self.allow);
        self.root.append(&foot);
    }

    fn band(&self, question: &Question) -> Row {
        let band = Row::new(Orientation::Horizontal, 10);
        band.add_css_class("band");
        band.add_css_class(&style::class(question.label));
        let from = text(&question.source, &["from"]);
        from.set_hexpand(true);
        band.append(&from);
        band.append(&self.behind);
        band
    }

    fn lay_out_targets(&self, body: &Row) {
        let count = self.rows.len();
        let few = count < 2;
        let heading = match count {
            0..=SHOWN => "Target".to_owned(),
            _ => format!("Target, one of {count}"),
        };
        body.append(&text(&heading, &["heading"]));
        self.search.set_placeholder_text(Some("Search targets"));
        self.search.set_visible(!few);
        body.append(&self.search);
        self.list.set_selection_mode(SelectionMode::Single);
        for (_, row) in &self.rows {
            self.list.append(row);
        }
        let nothing = text("No target is called that", &["kind"]);
        nothing.set_margin_top(8);
        nothing.set_margin_bottom(8);
        nothing.set_halign(Align::Center);
        self.list.set_placeholder(Some(&nothing));
        // Of more targets half a row shows that there are more.
        let half_rows = 2 * count.min(SHOWN) + usize::from(count > SHOWN);
        let height = ROW / 2 * i32::try_from(half_rows).unwrap_or(ROW);
        let scrolled = ScrolledWindow::builder()
            .hscrollbar_policy(PolicyType::Never)
            .min_content_height(height)
            .vexpand(true)
            .child(&self.list)
            .build();
        scrolled.add_css_class("targets");
        body.append(&scrolled);
    }

    fn connect(&self, session: &Rc<Session>) {
        let send = |session: &Rc<Session>| {
            let (this, updating) = (Rc::downgrade(session), self.updating.clone());
            move |input: Input| {
                if let Some(session) = this.upgrade()
                    && !updating.get()
                {
                    session.input(input);
                }
            }
        };
        let input = send(session);
        self.search
            .connect_search_changed(move |entry| input(Input::Search(entry.text().into())));
        let input = send(session);
        let choices: Vec<_> = self.rows.iter().map(|(choice, _)| choice.clone()).collect();
        self.list.connect_row_selected(move |_, row| {
            let place = row.and_then(|row| usize::try_from(row.index()).ok());
            if let Some(choice) = place.and_then(|place| choices.get(place)) {
                input(Input::Select(choice.clone()));
            }
        });
        for (lasting, button) in &self.keep {
            let (input, lasting) = (send(session), *lasting);
            button.connect_toggled(move |button| {
                if button.is_active() {
                    input(Input::Keep(lasting));
                }
            });
        }
        let input = send(session);
        self.refuse.connect_clicked(move |_| input(Input::Refuse));
        let input = send(session);
        self.allow.connect_clicked(move |_| input(Input::Allow));
    }

    /// Shows what the prompt says, whatever the controls were set to.
    pub fn refresh(&self, prompt: &Prompt, now: Duration) {
        self.updating.set(true);
        for (choice, row) in &self.rows {
            row.set_visible(prompt.targets().any(|target| target.choice == *choice));
        }
        let selected = self
            .rows
            .iter()
            .find(|(choice, _)| prompt.selected() == Some(choice));
        let row = selected.map(|(_, row)| row);
        if self.list.selected_row().as_ref() != row {
            self.list.select_row(row);
        }
        for (lasting, button) in &self.keep {
            button.set_active(*lasting == prompt.keep());
        }
        self.updating.set(false);
        self.allow
            .set_sensitive(prompt.is_open(now) && selected.is_some());
        let seconds = prompt.left(now).unwrap_or_default().as_secs() + 1;
        set(&self.countdown, &format!("Refused in {seconds} s"));
        set(
            &self.behind,
            &match prompt.behind() {
                0 => String::new(),
                1 => "1 more question waits".to_owned(),
                more => format!("{more} more questions wait"),
            },
        );
    }
}

/// Service, argument, rule: what the sentence is made of.
fn details(question: &Question) -> gtk4::Grid {
    let grid = gtk4::Grid::builder()
        .column_spacing(12)
        .row_spacing(3)
        .build();
    let mut lines = vec![("Service", question.service.clone())];
    if let Some((name, argument)) = &question.argument {
        lines.push((name, argument.clone()));
    }
    if let Some(requested) = &question.requested {
        lines.push(("Asked for", requested.clone()));
    }
    if let Some(rule) = &question.rule {
        lines.push(("Rule", rule.clone()));
    }
    for (place, (name, value)) in (0..).zip(lines) {
        let name = text(name, &["detail"]);
        name.set_valign(Align::Start);
        let value = wrapped(&value, "detail");
        value.add_css_class("value");
        grid.attach(&name, 0, place, 1, 1);
        grid.attach(&value, 1, place, 1, 1);
    }
    grid
}

fn target_row(target: &Target) -> ListBoxRow {
    let first = target.title.chars().next().unwrap_or('?').to_uppercase();
    let swatch = Label::new(Some(&first.to_string()));
    swatch.add_css_class("swatch");
    swatch.add_css_class(&style::class(target.label));
    if target.choice.is_disposable() {
        swatch.add_css_class("disposable");
    }
    swatch.set_valign(Align::Center);
    let line = Row::new(Orientation::Horizontal, 10);
    line.append(&swatch);
    let title = text(&target.title, &["target"]);
    title.set_ellipsize(EllipsizeMode::Middle);
    line.append(&title);
    line.append(&text(target.kind, &["kind"]));
    let row: ListBoxRow = called("GtkListBoxRow", &target.spoken());
    row.set_child(Some(&line));
    row
}

fn answer_button(words: &str, spoken: &str, class: &str) -> Button {
    let button: Button = called("GtkButton", spoken);
    button.set_child(Some(&Label::new(Some(words))));
    button.add_css_class("answer");
    button.add_css_class(class);
    button
}

fn text(words: &str, classes: &[&str]) -> Label {
    let label = Label::new(Some(words));
    label.set_xalign(0.0);
    label.set_css_classes(classes);
    label
}

fn wrapped(words: &str, class: &str) -> Label {
    let label = text(words, &[class]);
    label.set_wrap(true);
    label.set_wrap_mode(WrapMode::WordChar);
    // What is not in the text is not shown in it.
    let attributes = AttrList::new();
    attributes.insert(AttrInt::new_insert_hyphens(false));
    label.set_attributes(Some(&attributes));
    // Without a least width GTK reckons with the height of a narrow column.
    let columns = match class {
        "sentence" => 34,
        "means" => 52,
        _ => 40,
    };
    label.set_width_chars(columns);
    label.set_max_width_chars(columns);
    label
}

fn set(label: &Label, words: &str) {
    if label.text() != words {
        label.set_text(words);
    }
}
