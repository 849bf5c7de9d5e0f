// SPDX-License-Identifier: GPL-3.0-or-later
//! Writes the well-formed seeds of `tests/fuzz/corpus` with the encoders of the protocols:
//! `cargo run -p hostile --example plant_seeds`. To be run when a format changes.
#![allow(
    clippy::unwrap_used,
    reason = "a tool for developers stops where it cannot go on"
)]

use std::fs;
use std::path::Path;
use std::time::Duration;

use bulkhead_admin::{Destination, Exception, Reply, Request};
use bulkhead_files::open::Request as OpenRequest;
use bulkhead_files::wire::{Answer, Encoder, Header, Outcome, Stamp};
use bulkhead_types::{DomId, Port};
use bulkhead_xen::store::wire;
use gui_protocol::{Dump, FromAgent, FromDaemon, Message, Press, Title, WindowId, WireRect};
use qrexec_protocol::agent_link;
use qrexec_protocol::client_link::Accepted;
use qrexec_protocol::data::{self, Stream};
use qrexec_protocol::exec::{Exec, Mode, Route, ServiceConnect};
use qrexec_protocol::frame::{Kind, frame, hello};
use qrexec_protocol::report::Report;
use qrexec_protocol::session_link::Word;
use qrexec_protocol::trigger::{RequestId, UntrustedTrigger};
use qrexec_protocol::version::Version;

fn main() {
    admin();
    files();
    gui();
    policy();
    qrexec();
    steps();
    xenstore();
}

fn plant(target: &str, name: &str, bytes: &[u8]) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let folder = corpus.join(target);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), bytes).unwrap();
}

/// A seed of a target that takes its bytes in pieces of `size`.
fn plant_stream(target: &str, name: &str, size: u8, parts: &[Vec<u8>]) {
    plant(target, name, &[vec![size], parts.concat()].concat());
}

fn admin() {
    let method = "admin.vm.property.Set+label".parse().unwrap();
    let request = Request::from_dom0(method, Destination::dom0(), b"blue".to_vec());
    plant("admin_request", "set", &request.encode());
    plant(
        "admin_request",
        "uuid",
        b"admin.vm.Start uuid:11111111-1111-4111-8111-111111111111 keyword adminvm\0",
    );
    plant(
        "admin_reply",
        "ok",
        &Reply::Ok(b"work class=AppVM state=Running\n".to_vec()).encode(),
    );
    let exception = Exception {
        kind: "QubesVMNotFoundError".to_owned(),
        message: "no such domain: `work`".to_owned(),
    };
    plant(
        "admin_reply",
        "exception",
        &Reply::Exception(exception).encode(),
    );
    plant(
        "admin_reply",
        "fields",
        b"2\0Error\0\0%s of %d\0work\x007\0",
    );
}

fn files() {
    let mut encoder = Encoder::new();
    let header = |kind: u32, length| Header {
        name_length: 0,
        mode: kind | 0o644,
        content_length: length,
        accessed: Stamp::default(),
        modified: Stamp::default(),
    };
    let mut parts = Vec::new();
    for (kind, name, content) in [
        (0o040_000, "a", ""),
        (0o100_000, "a/b.txt", "hello"),
        (0o120_000, "a/c", "b.txt"),
        (0o040_000, "a", ""),
    ] {
        let length = content.len() as u64;
        parts.push(
            encoder
                .entry(header(kind, length), name.as_bytes())
                .unwrap(),
        );
        parts.push(encoder.content(content.as_bytes()).to_vec());
    }
    parts.push(encoder.end());
    plant_stream("files_copy", "folder", 200, &parts);
    plant_stream("files_copy", "pieces", 3, &parts);
    let answer = |outcome, last_name: Option<&[u8]>| Answer {
        outcome,
        checksum: 0x1234_5678,
        last_name: last_name.map(Into::into),
    };
    plant(
        "files_answer",
        "complete",
        &answer(Outcome::Complete, None).encode(),
    );
    let full = answer(Outcome::EndedEarly, Some(b"a/b.txt"));
    plant("files_answer", "full", &full.encode());
    let request = OpenRequest::new(b"invoice.pdf", true).unwrap();
    plant("files_opening", "field", &request.encode());
    plant("files_opening", "address", b"https://example.org/?q=1#a\n");
}

fn steps() {
    plant(
        "qrexec_call",
        "program",
        &[0, 4, 5, 0, 9, 4, 1, 9, 6, 7, 8, 9],
    );
    plant("qrexec_call", "socket", &[6, 0, 4, 9, 1, 9, 6, 9]);
    plant(
        "qrexec_call",
        "broken",
        &[0, 3, 2, 139, 4, 9, 8, 6, 9, 7, 9],
    );
    plant(
        "qrexec_ports",
        "mixed",
        &[0, 1, 2, 3, 0, 1, 4, 13, 22, 2, 3],
    );
    let step = |kind: u8, value: u32| [vec![kind], value.to_le_bytes().to_vec()].concat();
    let honest = [(7, 100), (0, 64), (1, 300), (6, 300), (2, 0), (3, 0)];
    let hostile = [
        (5, u32::MAX),
        (0, 4096),
        (21, 4097),
        (8, 77),
        (1, 9),
        (4, 0x0100_0014),
    ];
    for (name, steps) in [("honest", honest), ("hostile", hostile)] {
        let steps = steps.map(|(kind, value)| step(kind, value)).concat();
        plant("vchan_ring", name, &[vec![0], steps].concat());
    }
}

fn gui() {
    let rect = |x, y, width, height| WireRect {
        x,
        y,
        width,
        height,
    };
    let (top, menu) = (WindowId(1), WindowId(2));
    let create = |rect, override_redirect| FromAgent::Create {
        rect,
        override_redirect,
    };
    let map = |transient_for, override_redirect| FromAgent::Map {
        transient_for,
        override_redirect,
    };
    let refs = (0..Dump::pages_for(320, 200) as u32).collect();
    let session = [
        create(rect(10, 10, 320, 200), false).to_bytes(top),
        FromAgent::WmName(Title::new(b"xterm \x1b[31m\xff")).to_bytes(top),
        FromAgent::WindowDump(Dump::new(320, 200, refs).unwrap()).to_bytes(top),
        map(WindowId(0), false).to_bytes(top),
        FromAgent::ShmImage(rect(0, 0, 320, 200)).to_bytes(top),
        FromAgent::Configure(rect(-5, 20, 400, 300)).to_bytes(top),
        FromAgent::Cursor(0).to_bytes(top),
    ];
    plant_stream("gui_from_agent", "window", 255, &session);
    let menu_session = [
        create(rect(0, 0, 100, 100), false).to_bytes(top),
        create(rect(1270, 1000, 50, 600), true).to_bytes(menu),
        map(top, true).to_bytes(menu),
        FromAgent::ShmImage(rect(0, 0, 50, 600)).to_bytes(menu),
        FromAgent::Unmap.to_bytes(menu),
        FromAgent::Dock.to_bytes(top),
        FromAgent::Destroy.to_bytes(top),
        FromAgent::Destroy.to_bytes(menu),
    ];
    plant_stream("gui_from_agent", "menu", 7, &menu_session);
    let press = Press {
        down: true,
        at: (3, 4),
        state: 0,
        code: 38,
    };
    let daemon = [
        FromDaemon::Map.to_bytes(top),
        FromDaemon::Configure {
            rect: rect(1, 2, 3, 4),
            override_redirect: false,
        }
        .to_bytes(top),
        FromDaemon::Key(press).to_bytes(top),
        FromDaemon::Button(press).to_bytes(top),
        FromDaemon::Motion {
            at: (1, 1),
            state: 0,
        }
        .to_bytes(top),
        FromDaemon::Focus { gained: true }.to_bytes(top),
        FromDaemon::KeymapNotify([0x55; 32]).to_bytes(WindowId(0)),
        FromDaemon::ClipboardData(b"text".to_vec()).to_bytes(WindowId(0)),
        FromDaemon::Close.to_bytes(top),
    ];
    plant_stream("gui_from_daemon", "input", 13, &daemon);
}

fn policy() {
    let question = "source=work\nintended_target=@dispvm\nservice_and_arg=qubes.OpenInVM\nrequested_source=\n\n";
    plant("policy_question", "open", question.as_bytes());
    let assumed = "source=work\nintended_target=base\nservice_and_arg=qubes.Filecopy+x\nassume_yes_for_ask=yes\njust_evaluate=no\n\n";
    plant("policy_question", "assumed", assumed.as_bytes());
    let report = Report {
        record: 7,
        source: "work".parse().expect("a name"),
        policy: Duration::from_micros(60),
        start: Some(Duration::from_millis(2)),
        connect: None,
        first_byte: None,
        end: Duration::from_secs(3),
        sent: Some(5),
        received: None,
        how: "exit code 0".to_owned(),
    };
    plant("policy_report", "over", &report.encode());
    plant("policy_answer", "allow", b"user=DEFAULT\nresult=allow\ntarget=@dispvm:base\ntarget_uuid=@dispvm:uuid:x\nautostart=True\nrequested_target=@dispvm\nrule=/p:3\n");
    plant(
        "policy_answer",
        "deny",
        b"result=deny\nreason=a rule denies the call\nrule=/p:3\n",
    );
    plant("policy_system", "small", br#"{"domains":{"dom0":{"type":"AdminVM"},"work":{"type":"AppVM","uuid":"11111111-1111-4111-8111-111111111111","tags":["office"],"default_dispvm":"base","template_for_dispvms":false,"power_state":"Running","label":"blue","icon":"i","guivm":"dom0","internal":null,"relayvm":null},"base":{"type":"AppVM","template_for_dispvms":true}}}"#);
    plant("policy_text", "rules", b"# comment\nqubes.Filecopy * work @anyvm ask default_target=@dispvm:base user=root\n* * @tag:a @type:AppVM deny notify=no\ns +arg uuid:11111111-1111-4111-8111-111111111111 @dispvm:@tag:x allow target=@adminvm autostart=no\n!include-dir d\n");
    plant(
        "policy_text",
        "wrong",
        b"s work vault alow\nqubes.Filecopy+x * @anyvn @default allow # no\n!inclde x\n",
    );
    plant(
        "policy_text",
        "old",
        b"$$anyvm $dispvm allow,user=root\nwork $default ask,default_target=vault\n$include:old\n",
    );
    plant(
        "policy_old_files",
        "some",
        b"qubes.Gpg my.Service+x\n$anyvm $dispvm allow,user=root\nwork vault ask,default_target=vault\n$tag:office dom0 deny\n",
    );
    plant("policy_expectations", "some", b"domain work AppVM tags=a default_dispvm=base\ndomain base AppVM template_for_dispvms halted\nwork -> @dispvm qubes.OpenInVM allow target=@dispvm:base\nwork -> my.Service ask targets=a\n");
}

fn qrexec() {
    let ident = RequestId::numbered(7);
    let route = Route {
        domain: DomId::new(3).unwrap(),
        port: Port(513),
    };
    let trigger = |source, target, service| UntrustedTrigger::new(source, target, &ident, service);
    let encoded = |trigger: UntrustedTrigger, version| trigger.encode(version).unwrap();
    for (name, version) in [
        ("v2", Version::V2),
        ("v3", Version::V3),
        ("v4", Version::V4),
    ] {
        let session = [
            hello(version),
            encoded(trigger("", "@dispvm", "qubes.OpenInVM"), version),
            encoded(trigger("", "work", "a.B+c"), version),
            agent_link::terminated(route),
        ];
        plant_stream("qrexec_daemon_from_agent", name, 255, &session);
        let call = encoded(trigger("", "work", "qubes.Filecopy"), version);
        plant_stream("qrexec_agent_from_caller", name, 5, &[call]);
    }
    let too_old = Version::agree(Version::OWN, Version::V2, 1).unwrap_err();
    let words = [
        Word::Met,
        Word::Greeted(Version::V4),
        Word::Request(trigger("", "@dispvm", "qubes.OpenInVM+a").check().unwrap()),
        Word::Request(trigger("remote", "work", "a.B").check().unwrap()),
        Word::Terminated(route),
        Word::Over(Some(too_old)),
    ];
    let words = words.map(|word| word.encode());
    plant_stream("qrexec_session", "words", 255, &words);
    plant_stream("qrexec_session", "pieces", 3, &words[1..]);
    let command = b"user:QUBESRPC qubes.VMExec+ls dom0".to_vec();
    let exec = Exec {
        mode: Mode::Attached,
        route,
        command: command.clone(),
    };
    let daemon = [
        hello(Version::V4),
        exec.encode(),
        ServiceConnect {
            route,
            ident: ident.clone(),
        }
        .encode(),
        agent_link::refused(&ident.field(), agent_link::Refusal::Denied),
    ];
    plant_stream("qrexec_agent_from_daemon", "session", 64, &daemon);
    plant_stream(
        "qrexec_daemon_from_client",
        "command",
        64,
        &[hello(Version::V4), exec.encode()],
    );
    plant_stream(
        "qrexec_daemon_from_client",
        "gone",
        64,
        &[
            hello(Version::V4),
            exec.encode(),
            agent_link::terminated(route),
        ],
    );
    let accepted = Accepted {
        kind: Kind::ExecCmdline,
        route,
    };
    plant_stream(
        "qrexec_daemon_from_client",
        "accepted",
        9,
        &[hello(Version::V4), accepted.encode()],
    );
    let call = [
        hello(Version::V4),
        frame(Kind::DataStdout, &[b"hello\n"]),
        frame(Kind::DataStderr, &[b"oh"]),
        frame(Kind::DataStdin, &[b"in"]),
        Stream::Stdin.end(),
        Stream::Stdout.end(),
        data::exit_code(-1),
    ];
    plant_stream("qrexec_data", "call", 3, &call);
    plant("qrexec_command", "line", &command);
    plant("qrexec_command", "nogui", b"DEFAULT:nogui:xterm -e ls");
    plant(
        "qrexec_command",
        "config",
        b"force-user = root\nwait-for-session=yes\n# x\nskip-service-descriptor=true\n",
    );
    plant("qrexec_command", "words", b"ls+--l+-2Ftmp+a-0Ab");
}

fn xenstore() {
    let message = |kind, payload: &[&str]| wire::Message {
        kind,
        request: 1,
        transaction: 0,
        payload: wire::join(payload),
    };
    let session = [
        message(2, &["/local/domain/1/name"]).encode().unwrap(),
        message(4, &["@releaseDomain", "token"]).encode().unwrap(),
        message(15, &["/local/domain/1/data/vchan/3/ring-ref", "token"])
            .encode()
            .unwrap(),
        message(16, &["ENOENT"]).encode().unwrap(),
        message(11, &[]).encode().unwrap(),
    ];
    plant_stream("xenstore", "session", 17, &session);
}
