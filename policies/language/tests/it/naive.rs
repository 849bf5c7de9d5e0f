// SPDX-License-Identifier: MIT OR Apache-2.0
//! A second evaluator, written from the specification alone: it splits lines at blanks, walks
//! over all of them, compares texts, and shares no code with the first.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub struct Machine {
    pub name: String,
    pub class: String,
    pub uuid: String,
    pub tags: Vec<String>,
    pub template: bool,
    pub default: Option<String>,
    pub running: bool,
    pub internal: bool,
}

pub type World = BTreeMap<String, Machine>;

const DOM0: [&str; 3] = [
    "dom0",
    "@adminvm",
    "uuid:00000000-0000-0000-0000-000000000000",
];

/// A domain's name for either of its spellings, if it exists; dom0 always does.
fn name_of(world: &World, text: &str) -> Option<String> {
    if DOM0.contains(&text) {
        return Some("dom0".into());
    }
    let found = world
        .values()
        .find(|m| m.name == text || format!("uuid:{}", m.uuid) == text);
    found.map(|m| m.name.clone())
}

fn template_of(world: &World, text: &str) -> Option<String> {
    name_of(world, text).filter(|name| world.get(name).is_some_and(|m| m.template))
}

fn own_template(world: &World, source: &str) -> Option<String> {
    let default = world.get(source)?.default.clone()?;
    name_of(world, &default).filter(|name| world.contains_key(name))
}

/// Whether a word of a rule means a domain that is there, dom0 included.
fn means_domain(world: &World, word: &str, name: &str) -> bool {
    let dom0 = name == "dom0";
    match word {
        "*" => true,
        "@anyvm" => !dom0,
        _ if DOM0.contains(&word) => dom0,
        _ => match (word.strip_prefix("@tag:"), word.strip_prefix("@type:")) {
            (Some(tag), _) => world
                .get(name)
                .is_some_and(|m| m.tags.iter().any(|t| t == tag)),
            (_, Some(class)) => world.get(name).is_some_and(|m| m.class == class),
            _ => word == name || name_of(world, word).as_deref() == Some(name),
        },
    }
}

fn means_template(world: &World, word: &str, template: &str) -> bool {
    let Some(rest) = word.strip_prefix("@dispvm:") else {
        return word == "*" || word == "@anyvm";
    };
    match rest.strip_prefix("@tag:") {
        Some(tag) => world[template].template && world[template].tags.iter().any(|t| t == tag),
        None => name_of(world, rest).as_deref() == Some(template),
    }
}

fn means(world: &World, word: &str, target: &str, source: &str) -> bool {
    match target {
        "@default" => ["*", "@anyvm", "@default"].contains(&word),
        "@dispvm" => {
            ["*", "@anyvm", "@dispvm"].contains(&word)
                || own_template(world, source)
                    .is_some_and(|template| means_template(world, word, &template))
        }
        _ => match target.strip_prefix("@dispvm:") {
            Some(template) => means_template(world, word, template),
            None => means_domain(world, word, target),
        },
    }
}

/// The requested target, by names only; `None` is denied outright.
fn normalised(world: &World, requested: &str) -> Option<String> {
    Some(match requested {
        "" | "@default" => "@default".into(),
        "@dispvm" => "@dispvm".into(),
        text => match text.strip_prefix("@dispvm:") {
            Some(template) => format!("@dispvm:{}", template_of(world, template)?),
            None => name_of(world, text).unwrap_or_else(|| "@default".into()),
        },
    })
}

/// Where `target=` goes, by names only.
fn redirected(world: &World, source: &str, redirect: &str) -> Option<String> {
    match redirect {
        "@dispvm" => own_template(world, source).map(|t| format!("@dispvm:{t}")),
        text => match text.strip_prefix("@dispvm:") {
            Some(template) => template_of(world, template).map(|t| format!("@dispvm:{t}")),
            None => name_of(world, text),
        },
    }
}

fn option<'a>(words: &[&'a str], key: &str) -> Option<&'a str> {
    words[5..]
        .iter()
        .find_map(|w| w.strip_prefix(key)?.strip_prefix('='))
}

fn may_start(world: &World, words: &[&str], destination: &str) -> bool {
    option(words, "autostart") != Some("no")
        || destination == "dom0"
        || world.get(destination).is_some_and(|m| m.running)
}

/// What a rule stands for in the list of `ask`; `@dispvm` stays the word until the end.
fn expanded(world: &World, source: &str, words: &[&str]) -> BTreeSet<String> {
    match option(words, "target") {
        Some("@dispvm") => return BTreeSet::from(["@dispvm".to_owned()]),
        Some(redirect) => return redirected(world, source, redirect).into_iter().collect(),
        None => {}
    }
    let mut all: Vec<String> = world.keys().cloned().collect();
    all.push("dom0".into());
    all.push("@dispvm".into());
    let templates = world.values().filter(|m| m.template);
    all.extend(templates.map(|m| format!("@dispvm:{}", m.name)));
    let wide = ["*", "@anyvm", "@dispvm"].contains(&words[3]);
    all.retain(|target| {
        means(world, words[3], target, source)
            && (target != "@dispvm" || wide || words[4] == "deny")
    });
    all.into_iter().collect()
}

/// `allow TARGET`, `ask TARGETS default TARGET` or `deny`, and the line that decided (from 1;
/// 0 is none).
pub fn decide(
    rules: &[String],
    world: &World,
    source: &str,
    requested: &str,
    service: &str,
) -> (String, usize) {
    let deny = |line: usize| ("deny".to_owned(), line);
    let source = name_of(world, source).unwrap_or_else(|| source.to_owned());
    let Some(target) = normalised(world, requested) else {
        return deny(0);
    };
    let (name, argument) = service.split_once('+').unwrap_or((service, ""));
    let argument = format!("+{argument}");
    let rules: Vec<Vec<&str>> = rules
        .iter()
        .map(|r| r.split_whitespace().collect())
        .collect();
    let concerns = |words: &[&str]| {
        (words[0] == "*" || words[0] == name)
            && (words[1] == "*" || words[1] == argument)
            && !words[2].starts_with("@dispvm:")
            && means_domain(world, words[2], &source)
    };
    for (n, words) in rules.iter().enumerate() {
        if !concerns(words) || !means(world, words[3], &target, &source) {
            continue;
        }
        let line = n + 1;
        let redirect = option(words, "target");
        match words[4] {
            "allow" => {
                let destination = match (redirect, target.as_str()) {
                    (Some(redirect), _) => redirected(world, &source, redirect),
                    (None, "@default") => None,
                    (None, "@dispvm") => redirected(world, &source, "@dispvm"),
                    (None, target) => Some(target.to_owned()),
                };
                return match destination {
                    Some(d) if d != source && may_start(world, words, &d) => {
                        (format!("allow {d}"), line)
                    }
                    _ => deny(line),
                };
            }
            "ask" if !world.contains_key(&source) && source != "dom0" => return deny(line),
            "ask" => {
                let mut choices = BTreeSet::new();
                match redirect {
                    Some(redirect) => choices.extend(redirected(world, &source, redirect)),
                    None => {
                        for words in rules.iter().rev().filter(|words| concerns(words)) {
                            let more = expanded(world, &source, words);
                            match words[4] {
                                "deny" => choices.retain(|c| !more.contains(c)),
                                _ => choices.extend(more),
                            }
                        }
                        if choices.remove("@dispvm") {
                            choices.extend(redirected(world, &source, "@dispvm"));
                        }
                        choices.retain(|c| {
                            let domain = c.strip_prefix("@dispvm:").unwrap_or(c);
                            *c != source
                                && (c == "dom0" || !world.get(domain).is_some_and(|m| m.internal))
                        });
                    }
                }
                choices.retain(|c| may_start(world, words, c));
                if choices.is_empty() {
                    return deny(line);
                }
                let default = option(words, "default_target");
                let default = default.and_then(|d| redirected(world, &source, d));
                let mut text = Vec::from_iter(choices.clone()).join(",");
                if let Some(default) = default.filter(|d| choices.contains(d)) {
                    text.push_str(&format!(" default {default}"));
                }
                return (format!("ask {text}"), line);
            }
            _ => return deny(line),
        }
    }
    deny(0)
}
