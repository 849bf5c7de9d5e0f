// SPDX-License-Identifier: GPL-3.0-or-later
//! Policy: texts of administrators, and questions whose parts come from guests.

use std::cell::LazyCell;
use std::sync::Arc;

use bulkhead_policy::{
    Call, Compiled, DomainRef, Includes, Policy, PolicyFile, Rejected, Requested, System,
    Unreadable,
};
use policy_administration::service::Request;
use policy_analysis::{Expectations, Explainer};
use policyd::evaluation::{self, Asked};
use policyd::wire::{ANSWER_MAX, Question};
use qrexec_protocol::policy::Answer;

/// A few domains of every kind that policy tells apart.
const SYSTEM: &str = r#"{"domains": {
    "dom0": {"type": "AdminVM", "uuid": "00000000-0000-0000-0000-000000000000"},
    "work": {"type": "AppVM", "tags": ["office"], "default_dispvm": "base",
             "power_state": "Running", "guivm": "dom0"},
    "vault": {"type": "AppVM", "internal": true},
    "base": {"type": "AppVM", "template_for_dispvms": true, "tags": ["online"]},
    "far": {"type": "RemoteVM", "relayvm": "work", "transport_rpc": "my.Relay"}
}}"#;

const POLICY: &str = "\
qubes.Filecopy * work vault deny
qubes.Filecopy * @anyvm @anyvm ask default_target=work
qubes.OpenInVM + @tag:office @dispvm allow
my.Service +x * @adminvm allow user=root
my.Service * * @default allow target=vault autostart=no
* * @type:AppVM @dispvm:@tag:online allow
";

fn world() -> System {
    serde_json::from_str(SYSTEM).unwrap()
}

/// Every file that is included is the same text.
struct Same<'a>(&'a str);

impl Includes for Same<'_> {
    fn read(&self, _: &str) -> Result<String, Unreadable> {
        Ok(self.0.to_owned())
    }

    fn list(&self, _: &str) -> Result<Vec<String>, Unreadable> {
        Ok(vec!["a.policy".to_owned()])
    }
}

/// Older files: these names, each with the same text.
struct Older<'a> {
    names: Vec<&'a str>,
    text: &'a str,
}

impl Includes for Older<'_> {
    fn read(&self, _: &str) -> Result<String, Unreadable> {
        Ok(self.text.to_owned())
    }

    fn list(&self, _: &str) -> Result<Vec<String>, Unreadable> {
        Ok(self.names.iter().map(|name| (*name).to_owned()).collect())
    }

    fn old_directory(&self) -> Option<String> {
        Some("/old".to_owned())
    }
}

/// A policy parses or is refused with at least one error at places that exist; each of its
/// rules means the same when it is printed and read again; every call gets a verdict.
pub fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (old, text) = match text.strip_prefix('$') {
        Some(text) => (true, text),
        None => (false, &*text),
    };
    // Includes multiply; a fuzzer finds that quickly and learns nothing from it.
    if text.matches("include").count() > 2 {
        return;
    }
    let file = PolicyFile {
        directory: "/p".to_owned(),
        name: "30.policy".to_owned(),
        text: match old {
            true => "!include-service my.Service * old".to_owned(),
            false => text.to_owned(),
        },
    };
    check(Policy::load(&[file], &Same(text)));
}

/// A directory of older files, as `!compat-4.0` and `--old-policy` read it: the first line holds
/// their names, the others are what each of them says.
pub fn old_files(data: &[u8]) {
    let data = String::from_utf8_lossy(data);
    let (names, text) = data.split_once('\n').unwrap_or((&data, ""));
    if text.matches("include").count() > 2 || names.len() > 200 {
        return;
    }
    let file = PolicyFile {
        directory: "/p".to_owned(),
        name: "30.policy".to_owned(),
        text: "!compat-4.0\n".to_owned(),
    };
    let names = names.split_whitespace().collect();
    check(Policy::load(&[file], &Older { names, text }));
}

/// What must hold of every policy, and of every refusal of one.
fn check(outcome: Result<Policy, Rejected>) {
    match outcome {
        Ok(policy) => {
            for rule in policy.rules() {
                let printed = rule.to_string();
                let again = Policy::from_texts([("again", printed.as_str())]).unwrap();
                let again = again.rules().next().unwrap();
                assert_eq!(again.to_string(), printed);
                assert_eq!((&again.source, &again.target), (&rule.source, &rule.target));
                assert_eq!(again.action, rule.action);
            }
            let compiled = Compiled::new(Arc::new(policy), Arc::new(world()));
            let (policy, system) = (compiled.policy(), compiled.system());
            let explainer = Explainer::new(policy, system);
            for target in ["", "work", "vault", "dom0", "@dispvm", "@dispvm:base"] {
                let call = call("work", target, "my.Service+x");
                let _ = explainer.explain(&call);
                let (found, bound) = (policy.evaluate(system, &call), compiled.evaluate(&call));
                assert_eq!((found.word(), found.rule()), (bound.word(), bound.rule()));
            }
        }
        Err(rejected) => {
            assert!(rejected.errors() > 0);
            assert!(!rejected.to_string().is_empty());
            let shown = policyd::render(&rejected.diagnostics, &rejected.sources, false);
            assert!(!shown.contains('\u{1b}'), "{shown:?}");
        }
    }
}

fn call(source: &str, target: &str, service: &str) -> Call {
    Call {
        source: DomainRef::parse(source).unwrap(),
        service: service.parse().unwrap(),
        target: Requested::parse(target).unwrap(),
    }
}

/// A file of expectations is refused, or can be held against a policy.
pub fn expectations(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(expectations) = Expectations::parse("t", &text) {
        let policy = Policy::from_texts([("p", POLICY)]).unwrap();
        assert!(expectations.check(&policy, &System::default()).len() <= expectations.len());
    }
}

/// Whatever is asked, the answer is one that a qrexec daemon understands.
pub fn question(data: &[u8]) {
    thread_local! {
        static FIXED: LazyCell<Compiled> = const {
            LazyCell::new(|| {
                let policy = Policy::from_texts([("p", POLICY)]).unwrap();
                Compiled::new(Arc::new(policy), Arc::new(world()))
            })
        };
    }
    let Ok(question) = Question::decode(data) else {
        return;
    };
    FIXED.with(|fixed| {
        let decision = policyd::decide(Some(fixed), &question);
        let bytes = decision.answer(&question, Some(u64::MAX));
        assert!(bytes.len() <= ANSWER_MAX);
        let allowed = matches!(Answer::decode(&bytes).unwrap(), Answer::Allow(_));
        assert_eq!(allowed, decision.is_allowed());
        let record = decision.record(&question);
        let line = serde_json::to_string(&record).unwrap();
        assert!(!line.contains('\n'));
    });
}

/// What a qrexec daemon takes for an answer.
pub fn answer(data: &[u8]) {
    let _ = Answer::decode(data);
}

/// The system information, which holds names that were chosen by people.
pub fn system(data: &[u8]) {
    if let Ok(system) = serde_json::from_slice::<System>(data) {
        let policy = Policy::from_texts([("p", POLICY)]).unwrap();
        let explainer = Explainer::new(&policy, &system);
        for target in ["", "work", "@dispvm"] {
            for service in ["qubes.Filecopy", "qubes.OpenInVM", "my.Service+x"] {
                let _ = explainer.explain(&call("work", target, service));
            }
        }
    }
}

/// A qrexec daemon that tells the end of a call.
pub fn report(data: &[u8]) {
    if let Ok(policyd::report::Report { close, .. }) = policyd::report::decode(data) {
        assert!(!close.end.contains(char::is_control) && close.end.chars().count() <= 200);
    }
}

/// A domain that asks about policy or administers it: what it calls, and after a NUL byte its input.
pub fn services(data: &[u8]) {
    for service in evaluation::Service::ALL {
        if let Ok(asked) = Asked::decode(service, data) {
            let question = asked.question();
            let names = [&question.source, &question.intended_target];
            assert!(names.iter().all(|name| !name.contains(char::is_control)));
        }
    }
    let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (call, input) = data.split_at(end);
    let input = input.get(1..).unwrap_or_default();
    let call = String::from_utf8_lossy(call);
    if let Ok(Request::Get(file) | Request::Replace { file, .. } | Request::Remove { file, .. }) =
        Request::read(&call, Some("work"), input)
    {
        let path = file.path();
        let name = path.strip_prefix("include/").unwrap_or(&path);
        assert!(!name.starts_with('.') && !name.contains('/'), "{path:?}");
    }
}
