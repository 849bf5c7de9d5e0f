// SPDX-License-Identifier: GPL-3.0-or-later
//! The agent's side: carries requests out in dom0.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::wire::{Answer, Ask, Bytes, CHUNK, Message, Request, VERSION};

/// The most that is kept of a program's output, in bytes.
const OUTPUT_LIMIT: u64 = 8 << 20;

/// How long the output of a program's left-over children is waited for.
const LINGER: Duration = Duration::from_millis(500);

/// Serves requests from `requests` until it ends, each in a thread of its own.
pub fn serve(requests: impl BufRead, answers: impl Write + Send + 'static) -> io::Result<()> {
    let answers = Arc::new(Mutex::new(answers));
    say(&answers, &Message::Hello { version: VERSION })?;
    for line in requests.lines() {
        let line = line?;
        let Ok(Request { id, ask }) = serde_json::from_str(&line) else {
            eprintln!("box-agent: a request that is none: {line:.80}");
            continue;
        };
        let answers = Arc::clone(&answers);
        thread::spawn(move || {
            let message = match carry_out(ask) {
                Ok(result) => Message::Done { id, result },
                Err(reason) => Message::Failed { id, reason },
            };
            if let Err(error) = say(&answers, &message) {
                eprintln!("box-agent: cannot answer: {error}");
            }
        });
    }
    Ok(())
}

fn say(answers: &Mutex<impl Write>, message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut answers = answers
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    answers.write_all(&line)?;
    answers.flush()
}

fn carry_out(ask: Ask) -> Result<Answer, String> {
    match ask {
        Ask::Run {
            argv,
            env,
            stdin,
            timeout,
        } => run(&argv, env, stdin.0, Duration::from_millis(timeout)),
        Ask::Spawn { argv, env, log } => spawn(&argv, env, &log),
        Ask::Kill { pid } => match killpg(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) => Ok(Answer::Nothing),
            Err(error) => Err(format!("cannot kill {pid}: {error}")),
        },
        Ask::Put {
            path,
            mode,
            offset,
            data,
        } => put(&path, mode, offset, &data.0)
            .map_err(|error| format!("cannot write {path}: {error}")),
        Ask::Get { path, offset } => {
            get(&path, offset).map_err(|error| format!("cannot read {path}: {error}"))
        }
        Ask::Await { path, timeout } => await_path(&path, Duration::from_millis(timeout)),
    }
}

fn command(argv: &[String], env: Vec<(String, String)>) -> Result<Command, String> {
    let (program, arguments) = argv.split_first().ok_or("no program is named")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir("/root")
        .env("HOME", "/root")
        .env("DISPLAY", ":0")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
        .envs(env)
        // A group of its own, so that all of it can be killed at once.
        .process_group(0);
    Ok(command)
}

fn run(
    argv: &[String],
    env: Vec<(String, String)>,
    stdin: Vec<u8>,
    timeout: Duration,
) -> Result<Answer, String> {
    let mut child = command(argv, env)?
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", argv[0]))?;
    if let Some(mut pipe) = child.stdin.take() {
        // A program need not read what it is given.
        thread::spawn(move || pipe.write_all(&stdin));
    }
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let group = Pid::from_raw(child.id() as i32);
    let (code, timed_out) = wait(child, group, timeout)?;
    // Children that it left behind may hold its pipes open for ever.
    let end = Instant::now() + LINGER;
    let finish = |output: Collected| {
        let left = end.saturating_duration_since(Instant::now());
        let _ = output.ended.recv_timeout(left);
        Bytes(
            output
                .bytes
                .lock()
                .map(|bytes| bytes.clone())
                .unwrap_or_default(),
        )
    };
    Ok(Answer::Ended {
        code,
        timed_out,
        stdout: finish(stdout),
        stderr: finish(stderr),
    })
}

/// Waits for `child`; kills its group when the time is up.
fn wait(mut child: Child, group: Pid, timeout: Duration) -> Result<(i32, bool), String> {
    let (ended, end) = mpsc::channel();
    thread::spawn(move || {
        let code = child.wait().map(|status| {
            let signal = status.signal().unwrap_or_default();
            status.code().unwrap_or(128 + signal)
        });
        let _ = ended.send(code);
    });
    let (code, timed_out) = match end.recv_timeout(timeout) {
        Ok(code) => (code, false),
        Err(_) => {
            // It may have ended just now.
            let _ = killpg(group, Signal::SIGKILL);
            let code = end.recv().map_err(|_| "the waiting thread died")?;
            (code, true)
        }
    };
    let code = code.map_err(|error| format!("cannot wait for a program: {error}"))?;
    Ok((code, timed_out))
}

/// Output that a thread collects.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> Collected {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let (end, ended) = mpsc::channel();
    let collected = Arc::clone(&bytes);
    thread::spawn(move || {
        let Some(mut pipe) = pipe else { return };
        let mut buffer = [0; 16 * 1024];
        while let Ok(n @ 1..) = pipe.read(&mut buffer) {
            let Ok(mut bytes) = collected.lock() else {
                break;
            };
            // What is too much is read all the same, so that the program does not stall.
            if (bytes.len() + n) as u64 <= OUTPUT_LIMIT {
                bytes.extend_from_slice(&buffer[..n]);
            }
        }
        let _ = end.send(());
    });
    Collected { bytes, ended }
}

fn spawn(argv: &[String], env: Vec<(String, String)>, log: &str) -> Result<Answer, String> {
    let file = File::options().create(true).append(true).open(log);
    let file = file.map_err(|error| format!("cannot write {log}: {error}"))?;
    let both = file.try_clone().map_err(|error| error.to_string())?;
    let mut child = command(argv, env)?
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(both)
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", argv[0]))?;
    let pid = child.id() as i32;
    thread::spawn(move || child.wait());
    Ok(Answer::Started { pid })
}

fn put(path: &str, mode: u32, offset: u64, data: &[u8]) -> io::Result<Answer> {
    if let Some(folder) = Path::new(path).parent().filter(|_| offset == 0) {
        fs::create_dir_all(folder)?;
        // A running program's file cannot be written, but it can be replaced.
        let _ = fs::remove_file(path);
    }
    let mut options = File::options();
    let file = options
        .create(true)
        .write(true)
        .truncate(offset == 0)
        .mode(mode)
        .open(path)?;
    file.write_all_at(data, offset)?;
    Ok(Answer::Nothing)
}

fn get(path: &str, offset: u64) -> io::Result<Answer> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut data = Vec::new();
    file.take(CHUNK as u64).read_to_end(&mut data)?;
    Ok(Answer::Data(Bytes(data)))
}

fn await_path(path: &str, timeout: Duration) -> Result<Answer, String> {
    let end = Instant::now() + timeout;
    while !Path::new(path).exists() {
        if Instant::now() >= end {
            return Err(format!(
                "{path} did not appear within {} s",
                timeout.as_secs()
            ));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(Answer::Nothing)
}
