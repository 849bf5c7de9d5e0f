// SPDX-License-Identifier: MIT OR Apache-2.0
//! The five fields of a rule, each read from one word.

use bulkhead_policy_text::{Diagnostic, Word, nearest};

use crate::pattern::{ArgumentPattern, DomainPattern, Pattern, Redirect, ServicePattern};

/// The words that may follow `@`, as they are spelled in the source field.
const SOURCE_KEYWORDS: [&str; 4] = ["@adminvm", "@anyvm", "@tag:", "@type:"];
/// … in the target field.
const TARGET_KEYWORDS: [&str; 7] = [
    "@adminvm", "@anyvm", "@default", "@dispvm", "@dispvm:", "@tag:", "@type:",
];
/// … in `target=` and `default_target=`.
const REDIRECT_KEYWORDS: [&str; 3] = ["@adminvm", "@dispvm", "@dispvm:"];

pub(super) fn service(word: Word<'_>) -> Result<ServicePattern, Diagnostic> {
    if word.text == "*" {
        return Ok(ServicePattern::Any);
    }
    if let Some(plus) = word.text.find('+') {
        let error = word.from(plus).error("the argument is a field of its own");
        let (name, argument) = word.text.split_at(plus);
        return Err(error
            .label("expected a blank before this")
            .help(format!("write `{name} {argument}`")));
    }
    alphabet(word, "service name", false)?;
    Ok(ServicePattern::Named(word.text.into()))
}

pub(super) fn argument(word: Word<'_>) -> Result<ArgumentPattern, Diagnostic> {
    if word.text == "*" {
        return Ok(ArgumentPattern::Any);
    }
    if !word.text.starts_with('+') {
        let message = format!("expected `*` or `+ARGUMENT`, found `{}`", word.text);
        let error = word.error(message).label("not an argument");
        let error = error.code("characters");
        let as_argument = Word {
            text: word.text,
            span: word.span,
        };
        return Err(match alphabet(as_argument, "argument", true) {
            Ok(()) => error.did_you_mean(Some(format!("+{}", word.text))),
            Err(_) => error.help("a call without an argument is written `+`, any argument `*`"),
        });
    }
    alphabet(word.from(1), "argument", true)?;
    Ok(ArgumentPattern::Exactly(word.text.into()))
}

fn alphabet(word: Word<'_>, what: &str, plus: bool) -> Result<(), Diagnostic> {
    let allowed =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') || plus && c == '+';
    match word.text.char_indices().find(|(_, c)| !allowed(*c)) {
        None => Ok(()),
        Some((at, bad)) => {
            let span = word.from(at).until(bad.len_utf8()).span;
            let message = format!("`{bad}` cannot stand in a{} {what}", article(what));
            let error = Diagnostic::error(span, message).code("characters");
            Err(match bad {
                '*' => error.help("there are no partial wildcards: `*` stands alone or not at all"),
                _ => error.help("allowed are letters, digits, `_`, `-` and `.`"),
            })
        }
    }
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "n"
    } else {
        ""
    }
}

pub(super) fn source(word: Word<'_>) -> Result<Pattern, Diagnostic> {
    match pattern(word, &SOURCE_KEYWORDS)? {
        Pattern::Default | Pattern::DispVm => {
            let message = format!("`{}` cannot be a source", word.text);
            let error = word.error(message).label("only a target");
            Err(match word.text {
                "@default" => error.help("any domain is written `@anyvm`, dom0 as well `*`"),
                _ => error.help("running disposables are written `@type:DispVM`"),
            })
        }
        pattern => Ok(pattern),
    }
}

pub(super) fn target(word: Word<'_>) -> Result<Pattern, Diagnostic> {
    pattern(word, &TARGET_KEYWORDS)
}

fn pattern(word: Word<'_>, keywords: &[&str]) -> Result<Pattern, Diagnostic> {
    let suffix = |prefix: &str| -> Result<Option<Box<str>>, Diagnostic> {
        match word.text.strip_prefix(prefix) {
            Some("") => {
                let message = format!("nothing follows `{prefix}`");
                Err(word.error(message).label("expected a name after the colon"))
            }
            Some(suffix) if suffix.starts_with('@') && prefix != "@dispvm:" => {
                let message = format!("`{suffix}` cannot follow `{prefix}`");
                let error = word.from(prefix.len()).error(message);
                Err(error.label("expected a name"))
            }
            suffix => Ok(suffix.map(Box::from)),
        }
    };
    if let Some(tag) = suffix("@dispvm:@tag:")? {
        return Ok(Pattern::DispVmTag(tag));
    }
    if let Some(template) = suffix("@dispvm:")? {
        let template = disposable_template(word, &template)?;
        return Ok(Pattern::DispVmOf(template));
    }
    if let Some(tag) = suffix("@tag:")? {
        return Ok(Pattern::Tag(tag));
    }
    if let Some(class) = suffix("@type:")? {
        return Ok(Pattern::Type(class));
    }
    match word.text {
        "*" => Ok(Pattern::Any),
        "@anyvm" => Ok(Pattern::AnyVm),
        "@adminvm" => Ok(Pattern::AdminVm),
        "@default" => Ok(Pattern::Default),
        "@dispvm" => Ok(Pattern::DispVm),
        _ => match plain(word, keywords)? {
            domain if domain.is_dom0() => Ok(Pattern::AdminVm),
            domain => Ok(Pattern::Domain(domain)),
        },
    }
}

/// What `target=` and `default_target=` may say.
pub(super) fn redirect(word: Word<'_>) -> Result<Redirect, Diagnostic> {
    let text = word.text;
    if text.is_empty() {
        return Err(word.error("expected a domain, found nothing"));
    }
    if text == "*" || text == "@default" || text == "@anyvm" || is_group(text) {
        let message = format!("`{text}` is not one domain");
        let error = word.error(message).label("where should the call go?");
        return Err(error.help("name a domain, `@adminvm`, `@dispvm` or `@dispvm:TEMPLATE`"));
    }
    match text.strip_prefix("@dispvm:") {
        Some("") => Err(word
            .error("nothing follows `@dispvm:`")
            .label("expected the name of a disposable template")),
        Some(template) => Ok(Redirect::DispVmOf(disposable_template(word, template)?)),
        None if text == "@dispvm" => Ok(Redirect::DispVm),
        None if text == "@adminvm" => Ok(Redirect::AdminVm),
        None => match plain(word, &REDIRECT_KEYWORDS)? {
            domain if domain.is_dom0() => Ok(Redirect::AdminVm),
            domain => Ok(Redirect::Domain(domain)),
        },
    }
}

fn is_group(text: &str) -> bool {
    ["@tag:", "@type:", "@dispvm:@tag:"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
}

fn disposable_template(word: Word<'_>, template: &str) -> Result<DomainPattern, Diagnostic> {
    if template.starts_with('@') {
        let message = format!("`{template}` is not a disposable template");
        let at = word.text.len() - template.len();
        return Err(word
            .from(at)
            .error(message)
            .help("write `@dispvm:NAME`, or `@dispvm:@tag:TAG` in a rule's target"));
    }
    Ok(DomainPattern::parse(template))
}

/// A domain's name: anything that does not begin with `@`.
fn plain(word: Word<'_>, keywords: &[&str]) -> Result<DomainPattern, Diagnostic> {
    if !word.text.starts_with('@') {
        return Ok(DomainPattern::parse(word.text));
    }
    let (head, tail) = match word.text.split_once(':') {
        Some((head, tail)) => (format!("{head}:"), tail),
        None => (word.text.to_owned(), ""),
    };
    let likely = nearest(&head, keywords.iter().copied());
    // `@tag` for `@tag:` is one letter away and still needs a name.
    let likely = likely.map(|keyword| match keyword.ends_with(':') && tail.is_empty() {
        true => format!("{keyword}…"),
        false => format!("{keyword}{tail}"),
    });
    let message = format!("there is no keyword `{}`", word.text);
    let list = keywords.join("`, `");
    Err(word
        .error(message)
        .label("unknown keyword")
        .note(format!("keywords here are `{list}`"))
        .did_you_mean(likely))
}
