// SPDX-License-Identifier: GPL-3.0-or-later
//! What can be said to `bulkhead policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say what becomes of a call, and why
    Explain(Explain),
    /// Say what is wrong with the policy
    Check(Check),
    /// Hold the policy against the expectations in `*.test` files
    Test(Test),
    /// Say which decisions differ between two policies
    Diff(Diff),
    /// Lay out policy files, with the fields of rules below each other
    Fmt(Fmt),
    /// Say who may call a service
    WhoCan(WhoCan),
    /// Show who may call whom as a table
    Matrix(MatrixOf),
    /// Draw who may call what of whom
    Graph(GraphOf),
    #[command(flatten)]
    Change(super::change::ChangeCommand),
    /// Make the working copy the live policy, whole, as a new generation
    Apply(Apply),
    /// List the generations
    Log(Log),
    /// Make an older generation live again
    Rollback(Rollback),
    /// Say which generation is live, and what the working copy changes
    Status(Log),
    /// Make a key to sign generations with
    NewKey(NewKey),
    /// Sign a proposed generation, on whatever machine the key is
    Sign(super::signing::Sign),
    #[command(flatten)]
    Live(super::live::LiveCommand),
}

/// How to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Which policy, instead of the system's own.
#[derive(Debug, Args)]
pub struct PolicyFrom {
    /// A policy directory instead of the system's; several, highest priority first
    #[arg(long = "policy", value_name = "DIR")]
    pub directories: Vec<PathBuf>,
    /// The directory that `!compat-4.0` reads; without it, `../../qubes-rpc/policy` as seen
    /// from the last policy directory
    #[arg(long = "old-policy", value_name = "DIR")]
    pub old: Option<PathBuf>,
}

/// Which domains, instead of the system's own.
#[derive(Debug, Args)]
pub struct SystemFrom {
    /// A file with the system information (JSON of `internal.GetSystemInfo`) instead of what
    /// the domain manager says
    #[arg(long, value_name = "FILE")]
    pub system: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = EXPLAIN_HELP)]
pub struct Explain {
    /// The domain that calls
    #[arg(required_unless_present = "batch")]
    pub source: Option<String>,
    /// The domain that is called, as the caller names it: a name, @dispvm, @default …
    #[arg(required_unless_present = "batch")]
    pub target: Option<String>,
    /// The service, with `+ARGUMENT` if it has one
    #[arg(required_unless_present = "batch")]
    pub service: Option<String>,
    /// Read a call per line as JSON, and answer each with a line of JSON
    #[arg(long, conflicts_with_all = ["source", "target", "service"])]
    pub batch: bool,
    #[command(flatten)]
    pub policy: PolicyFrom,
    #[command(flatten)]
    pub system: SystemFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

const EXPLAIN_HELP: &str = "\
In JSON, an answer is one object:
  verdict           allow, ask, deny, or error when the call or the policy makes no sense
  reason            why not, for deny and error
  rule              the rule that decided: file, line, text
  target            where an allowed call goes: a name, dom0 or @dispvm:NAME
  targets           where a call may go that is asked for
  default_target    the one of them that is offered first
  user              who runs the service, when the rule says so
  autostart         whether a halted target is started
  notify            whether the user is told
  requested_target  the target as rules see it
  relay             for a remote domain: the domain that carries the call, and its service
  nearest           for a denial without a rule: the rules that come nearest (file, line, text),
                    with the fields that failed
  suggestion        the smallest rule that would allow exactly this call (rule), and the rule it
                    has to stand before (before: file, line)
  remarks           what else is remarkable

With --batch, a line is an object with the keys
  source            the domain that calls
  target            the target as the caller names it; without it, @default
  service           the service, with or without +ARGUMENT
  argument          the argument, where none stands behind the service
  requested_source  the remote domain that the caller speaks for, if any
  id                anything; the answer repeats it
A line that is no such object, or has another key, is answered with the verdict error; the next one is
read all the same.

The exit code is 0 whatever the verdict is, also for a batch with errors in it; 1 when a single call
makes no sense or there is no policy or system to ask; 2 for wrong usage.";

#[derive(Debug, Args)]
#[command(after_long_help = CHECK_HELP)]
pub struct Check {
    /// Files that make up a policy by themselves, instead of policy directories
    #[arg(conflicts_with = "directories")]
    pub files: Vec<PathBuf>,
    /// The files are old-style ones, each named after its service, as `!compat-4.0` reads them
    #[arg(long, requires = "files", conflicts_with = "old")]
    pub old_style: bool,
    #[command(flatten)]
    pub policy: PolicyFrom,
    #[command(flatten)]
    pub system: SystemFrom,
    /// Exit with 1 for warnings as well
    #[arg(long)]
    pub strict: bool,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

const CHECK_HELP: &str = "\
Errors keep a policy from going live. Warnings have a code, and keep it from nothing; a name that is
missing is told once, where it stands first:
  shadowed             an earlier rule takes all calls of this one
  dangerous-wildcard   every domain may do what amounts to control, unasked
  unknown-service      the service looks like a misspelt one
and, with --system,
  never-decides        earlier rules together take all calls of this one
  no-such-domain       also no-such-tag, no-such-class: what the rule names is not there
  not-a-template       a disposable of what is no template for disposables
  never-answered       the rule asks, and there is nobody to ask, or nothing to choose
  default-not-offered  the default target is never among the choices
  reaches-dom0         a domain controls dom0 over others, by calls that are allowed unasked
  reaches-network      a domain without network whose data can get there over others
  reaches-offline      a domain with network that controls one without over others
The last two need `netvm` for domains in the system information: a name, or null for none.

In JSON, `diagnostics` holds objects with severity, code, message, file, line, column, end, label,
notes, help and replacement.

The exit code is 0 for a policy without errors, 1 for one with errors or that cannot be read, and with
--strict also for one with warnings; 2 for wrong usage.";

#[derive(Debug, Args)]
#[command(after_long_help = TEST_HELP)]
pub struct Test {
    /// Files of expectations instead of all `*.test` in the policy directories
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub policy: PolicyFrom,
    #[command(flatten)]
    pub system: SystemFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

const TEST_HELP: &str = "\
A file of expectations declares domains and says what has to come of calls between them:

  domain work       AppVM  default_dispvm=disp-base tags=office,backed-up
  domain disp-base  AppVM  template_for_dispvms halted

  work -> vault    qubes.Filecopy  deny
  work -> @dispvm  qubes.OpenInVM  allow target=@dispvm:disp-base
  work ->          qubes.Gpg       ask   default_target=vault targets=vault,work-gpg
  @anyvm -> vault  qubes.VMShell   deny  notify=yes

@anyvm, *, @tag:TAG and @type:CLASS mean all domains of that kind: an expectation is met if every call
of it is decided so. A remote domain has `relayvm=` and `transport_rpc=`, and `guivm=` alone is a domain
on nobody's screen. `allow` may be followed by target, `ask` by default_target and targets, both by user
and autostart, and each verdict by notify.

A file that declares no domain is about those of --system.

The exit code is 0 when every expectation is met, 1 when one is not or makes no sense, or the policy has
errors; 2 for wrong usage.";

#[derive(Debug, Args)]
#[command(after_long_help = DIFF_HELP)]
pub struct Diff {
    /// A policy: a directory, several with colons between them (highest priority first), a
    /// file alone, `@NUMBER` for a generation, or `@live`
    #[arg(value_name = "A")]
    pub old: String,
    /// Another one; without it, the working copy in the policy directories
    #[arg(value_name = "B")]
    pub new: Option<String>,
    /// The directory that `!compat-4.0` reads, for both
    #[arg(long = "old-policy", value_name = "DIR")]
    pub old_policy: Option<PathBuf>,
    #[command(flatten)]
    pub system: SystemFrom,
    /// Exit with 1 if any decision differs
    #[arg(long)]
    pub exit_code: bool,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

const DIFF_HELP: &str = "\
The difference is exact for every call that can be made in the system: from each domain and dom0, to
each domain, dom0, @default, @dispvm and @dispvm:TEMPLATE, for each service and argument that either
policy names, and for any that neither does.

In JSON, each of `changes` is about every service of `services`, from every one of `sources`, to every
one of `targets`; no call is in two. The argument `*` is any that no rule of that service names, the
service `*` any that no rule names. `before` and `after` hold verdict, target (null where an allowed
call goes where it was meant to go), targets, default_target, user, autostart, notify and rule.
A domain is never offered itself, even if `targets` holds it for the others.

The exit code is 0 when the policies were compared, whether they differ or not; with --exit-code 1 when
any decision differs. It is 1 also when a policy has errors, and 2 for wrong usage.";

#[derive(Debug, Args)]
#[command(after_long_help = FMT_HELP)]
pub struct Fmt {
    /// Files instead of all in the policy directories; `-` is standard input
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub policy: PolicyFrom,
    /// Change nothing; name the files that would change, and exit with 1 if there are any
    #[arg(long)]
    pub check: bool,
}

const FMT_HELP: &str = "\
Fields of neighbouring rules stand below each other, more than one empty line becomes one, and lines end
as on Unix. Comments and options stay as they are; laying out twice changes nothing. A file with errors
is left as it is, and shown with them; so is one of the older style.

The exit code is 0 when all is laid out, 1 when a file has errors or cannot be read or written, or, with
--check, would change; 2 for wrong usage.";

#[derive(Debug, Args)]
#[command(after_long_help = WHO_CAN_HELP)]
pub struct WhoCan {
    /// The service; with `+ARGUMENT`, with that argument only
    pub service: String,
    /// Only calls to this target: a domain, dom0, @dispvm, @default …
    #[arg(num_args = 2, value_names = ["to", "TARGET"], conflicts_with = "to")]
    pub of_target: Vec<String>,
    /// The same as `to TARGET`
    #[arg(long, value_name = "TARGET")]
    pub to: Option<String>,
    #[command(flatten)]
    pub policy: PolicyFrom,
    #[command(flatten)]
    pub system: SystemFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

const WHO_CAN_HELP: &str = "\
In JSON, each answer holds service, argument, source, requested_targets, what becomes of such a call
(verdict, target, targets …, as in `explain --help`), and the rule with file, line and text.

The exit code is 0 also when the answer is nobody; 1 when the policy has errors or the domains are not
known; 2 for wrong usage.";

#[derive(Debug, Args)]
#[command(after_long_help = MATRIX_HELP)]
pub struct MatrixOf {
    /// Of one service only; with `+ARGUMENT`, with that argument only
    pub service: Option<String>,
    #[command(flatten)]
    pub policy: PolicyFrom,
    #[command(flatten)]
    pub system: SystemFrom,
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

const MATRIX_HELP: &str = "\
Callers that may do the same stand in one row, and targets that are the same to all of them in one
column; who may call nothing, and whom nobody may call, is left out. (Nobody ever calls itself.) A table
that is wider than the terminal becomes a list.

In JSON nothing is grouped or left out: `cells` holds, by caller and by target, the services that are
allowed (`allow`) and those that the user is asked about (`ask`).

The exit code is 0 also when every call is refused; 1 when the policy has errors or the domains are not
known; 2 for wrong usage.";

/// What the picture is drawn in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// A picture for browsers
    #[default]
    Svg,
    /// The language of Graphviz
    Dot,
    /// For programs
    Json,
}

const GRAPH_HELP: &str = "\
The exit code is 0 also when there is nothing to draw; 1 when the policy has errors, the domains are not
known or the file cannot be written; 2 for wrong usage.";

#[derive(Debug, Args)]
#[command(after_long_help = GRAPH_HELP)]
pub struct GraphOf {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Leave out what the user is asked about
    #[arg(long)]
    pub allowed: bool,
    /// Where to write it; without it, to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub policy: PolicyFrom,
    #[command(flatten)]
    pub system: SystemFrom,
    /// What to draw it in
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
}

#[derive(Debug, Args)]
#[command(after_long_help = APPLY_HELP)]
pub struct Apply {
    /// A policy directory instead of the system's working copy
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Why, for the log
    #[arg(long, short, default_value = "", required_unless_present = "proposal")]
    pub message: String,
    /// A private key to sign with; several for several owners
    #[arg(long = "sign", value_name = "KEY")]
    pub keys: Vec<PathBuf>,
    /// Write down what would go live, for owners to sign elsewhere, and stop
    #[arg(long, value_name = "FILE", conflicts_with_all = ["keys", "dry_run"])]
    pub propose: Option<PathBuf>,
    /// Make live what was proposed, with the signatures in FILE.sig
    #[arg(long, value_name = "FILE", conflicts_with_all = ["message", "keys", "propose"])]
    pub proposal: Option<PathBuf>,
    /// Do all but make it live
    #[arg(long)]
    pub dry_run: bool,
}

const APPLY_HELP: &str = "\
The policy has to be without errors, and every expectation in its `*.test` files has to be met. Once a
generation was applied, changes in the policy directory change nothing until they are applied.

Where /etc/bulkhead/policy-keys holds public keys (NAME.pub), each file has to be signed for by a key
that owns it, now or in an earlier generation that holds it unchanged; and nothing else is live. The first
line of NAME.pub is what `new-key` printed; each further line names files that the key owns, such as
`30-user.policy` or `include/*`. Without such lines it owns all.

Old generations lose their files and stay in the log. The live one and the one before it keep theirs, and
so do the newest 50 and all of the last 90 days: `keep` and `days` in the section `[generations]` of
/etc/bulkhead/policyd.toml set others, and `keep = 0` keeps all.";

#[derive(Debug, Args)]
pub struct Log {
    /// How to answer
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
pub struct Rollback {
    /// Its number; without it, the one before the live one
    #[arg(value_name = "GENERATION")]
    pub number: Option<u64>,
    /// Make the working copy like it, so that the next `apply` does not undo it
    #[arg(long)]
    pub to_files: bool,
}

#[derive(Debug, Args)]
pub struct NewKey {
    /// The file for the private key, which nobody else may read. What is printed belongs into
    /// /etc/bulkhead/policy-keys/NAME.pub
    pub file: PathBuf,
}
