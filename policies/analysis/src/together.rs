// SPDX-License-Identifier: GPL-3.0-or-later
//! Many names in few words: `any domain but vault` for all of forty domains except one.

/// The names inside, with one name for (nearly) all domains of `all`, and one for all disposables.
/// What is neither stands at the end.
pub(crate) fn together<'n>(all: &[&'n str], inside: impl Fn(&str) -> bool) -> Vec<String> {
    let mut names = Vec::new();
    let mut group = |what: &str, belongs: &dyn Fn(&str) -> bool| {
        let group = all.iter().copied().filter(|name| belongs(name));
        let (inside, outside): (Vec<&'n str>, Vec<&'n str>) = group.partition(|name| inside(name));
        if inside.len() > 3 && outside.len() * 4 <= inside.len() + outside.len() {
            names.push(match outside.is_empty() {
                true => format!("any {what}"),
                false => format!("any {what} but {}", outside.join(", ")),
            });
        } else {
            names.extend(inside.into_iter().map(str::to_owned));
        }
    };
    group("domain", &|name| !name.starts_with('@') && name != "dom0");
    group("disposable", &|name| name.starts_with("@dispvm:"));
    let others = ["dom0", "@dispvm", "@default"];
    let others = others
        .into_iter()
        .filter(|name| all.contains(name) && inside(name));
    names.extend(others.map(str::to_owned));
    names
}
