// SPDX-License-Identifier: GPL-3.0-or-later
//! What there is: classes, domains, labels.

use bulkhead_types::Label;

use super::{Answer, Call};
use crate::model::{Class, Entry, Property};

pub(super) fn classes(call: &Call<'_>) -> Answer {
    call.bare()?;
    call.to_dom0()?;
    Ok(lines(Class::ALL.iter().map(|class| class.name())))
}

pub(super) fn domains(call: &Call<'_>) -> Answer {
    call.bare()?;
    let line = |entry: &Entry| {
        let domain = &entry.domain;
        let state = entry.power_state();
        format!(
            "{} class={} state={state} uuid={}",
            domain.name, domain.class, domain.uuid
        )
    };
    let model = call.manager.model();
    if call.is_to_dom0() {
        return Ok(lines(model.listed().map(line)));
    }
    Ok(lines([line(model.find(call.destination())?)]))
}

pub(super) fn current_state(call: &Call<'_>) -> Answer {
    call.bare()?;
    let model = call.manager.model();
    let entry = model.find(call.destination())?;
    let memory = match entry.life.guest() {
        Some(_) if entry.domain.class != Class::AdminVM => {
            model.number(&entry.domain, Property::Memory)? * 1024
        }
        _ => 0,
    };
    let state = entry.power_state();
    Ok(format!("mem={memory} mem_static_max={memory} cputime=0 power_state={state}").into_bytes())
}

pub(super) fn labels(call: &Call<'_>) -> Answer {
    call.bare()?;
    call.to_dom0()?;
    Ok(lines(Label::ALL.iter().map(|label| label.name())))
}

pub(super) fn label_color(call: &Call<'_>) -> Answer {
    Ok(label(call)?.color().to_string().into_bytes())
}

pub(super) fn label_index(call: &Call<'_>) -> Answer {
    Ok(label(call)?.index().to_string().into_bytes())
}

fn label(call: &Call<'_>) -> Result<Label, crate::failure::Failure> {
    call.no_payload()?;
    call.to_dom0()?;
    Ok(call.needed_argument()?.parse()?)
}

pub(super) fn lines<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    text.into_bytes()
}
