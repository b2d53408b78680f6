//! Running the real program with nothing in its environment but what a test sets.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::http::Http;
use crate::support::{Database, SECRET};

/// Far more than anything here takes, also on a busy machine; whoever needs longer hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// The environment and the working directory that the program is started with.
#[derive(Clone)]
pub(super) struct Setup {
    directory: Arc<TempDir>,
    environment: BTreeMap<String, String>,
}

impl Setup {
    /// An empty directory and an empty environment.
    pub(super) fn bare() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            directory: Arc::new(directory),
            environment: BTreeMap::new(),
        }
    }

    /// A secret, `database`, any free port and the cheapest hash there is.
    pub(super) fn on(database: &Database) -> Self {
        Self::bare()
            .with("BETTER_AUTH_SECRET", SECRET)
            .with("DATABASE_URL", &database.url())
            .with("PORT", "0")
            .with("GATEWRIGHT_BCRYPT_COST", "10")
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Puts a file into the working directory.
    pub(super) fn file(self, name: &str, text: &str) -> Self {
        std::fs::write(self.directory().join(name), text).expect("a file");
        self
    }

    /// The program, not started yet, with pipes for its output and an empty input.
    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gatewright"));
        command
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(self.directory())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(super) fn run(&self, arguments: &[&str]) -> Outcome {
        self.run_with_input(arguments, "")
    }

    /// Runs a command to its end with `input` as its standard input.
    pub(super) fn run_with_input(&self, arguments: &[&str], input: &str) -> Outcome {
        let mut command = self.command(arguments);
        outcome(command.stdin(Stdio::piped()), input)
    }

    /// A running `gatewright serve` that is ready.
    pub(super) fn serve(&self) -> Server {
        let server = self.start("serve");
        server.wait_until_ready();
        server
    }

    /// A server that is listening, ready or not. `verb` is `serve` or `dev`.
    pub(super) fn start(&self, verb: &str) -> Server {
        Server::start(self.command(&[verb]))
    }
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) took: Duration,
}

impl Outcome {
    /// Standard output of a command that succeeded.
    pub(super) fn output(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }

    /// Standard output of a command that succeeded, as JSON.
    pub(super) fn json(self) -> Value {
        serde_json::from_str(&self.output()).expect("JSON")
    }

    /// The one line on standard error of a command that failed with `code`.
    pub(super) fn complaint(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        let line = self.stderr.strip_suffix('\n').expect("a whole line");
        assert!(
            !line.contains('\n') && !line.is_empty(),
            "one line: {self:?}"
        );
        line
    }
}

/// Runs any command to its end.
pub(super) fn outcome(command: &mut Command, input: &str) -> Outcome {
    let started = Instant::now();
    let mut child = command.spawn().expect("a process");
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read its input has ended already.
        let _ = stdin.write_all(input.as_bytes());
    }
    let stdout = thread::spawn(move || text_of(stdout));
    let stderr = thread::spawn(move || text_of(stderr));
    let status = wait(&mut child, PATIENCE);
    if status.is_none() {
        let _ = child.kill();
    }
    let took = started.elapsed();
    let outcome = Outcome {
        code: status.and_then(|status| status.code()),
        stdout: stdout.join().expect("its output"),
        stderr: stderr.join().expect("its output"),
        took,
    };
    assert!(status.is_some(), "never ended: {outcome:?}");
    outcome
}

fn text_of(pipe: Option<impl std::io::Read>) -> String {
    let mut text = String::new();
    if let Some(mut pipe) = pipe {
        pipe.read_to_string(&mut text).expect("UTF-8");
    }
    text
}

/// None when it runs on after `patience`.
fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    loop {
        let status = child.try_wait().expect("a child of ours");
        if status.is_some() || Instant::now() > until {
            return status;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Says on standard error that something was not tested.
pub(super) fn left_out(what: &str) {
    let _ = writeln!(std::io::stderr(), "left out: {what}");
}

/// Tries `attempt` until it gives something.
pub(super) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < until, "{what} never came");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A running server; killed when dropped.
pub(super) struct Server {
    child: Child,
    log: Log,
    pub(super) address: SocketAddr,
}

impl Server {
    /// Starts `command` and waits for the line that tells the port.
    pub(super) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("a process");
        let log = Log::of(BufReader::new(child.stderr.take().expect("a pipe")));
        let line = log.wait_for("listening");
        let address = line
            .split(['=', ' ', '"', ','])
            .find_map(|word| word.parse().ok());
        Self {
            child,
            log,
            address: address.expect("an address in the line"),
        }
    }

    /// A client without a token.
    pub(super) fn client(&self) -> Http {
        Http::new(self.address)
    }

    pub(super) fn wait_until_ready(&self) {
        let client = self.client();
        eventually("readiness", || {
            let answer = client.try_send("GET", "/ready", None).ok()?;
            (answer.status == 200).then_some(())
        });
    }

    /// What it has written to standard error so far.
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("a child of ours");
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// `kill -9`, and waits until it is gone.
    pub(super) fn kill(mut self) {
        self.child.kill().expect("a child of ours");
        self.child.wait().expect("a child of ours");
    }

    /// Waits for the process to end by itself.
    pub(super) fn exit(&mut self) -> ExitStatus {
        wait(&mut self.child, PATIENCE).expect("an end")
    }

    /// What it wrote to standard output; only after its end.
    pub(super) fn output(&mut self) -> BufReader<impl std::io::Read> {
        BufReader::new(self.child.stdout.take().expect("a pipe"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lines of standard error as they arrive.
#[derive(Clone)]
pub(super) struct Log(Arc<(Mutex<Vec<String>>, Condvar)>);

impl Log {
    fn of(pipe: impl BufRead + Send + 'static) -> Self {
        let log = Self(Arc::default());
        let shared = log.clone();
        thread::spawn(move || {
            for line in pipe.lines().map_while(Result::ok) {
                let (lines, arrived) = &*shared.0;
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                arrived.notify_all();
            }
        });
        log
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The first line with `text` in it, as soon as there is one.
    pub(super) fn wait_for(&self, text: &str) -> String {
        let (lines, arrived) = &*self.0;
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (lines, _) = arrived
            .wait_timeout_while(lines, PATIENCE, |lines| {
                !lines.iter().any(|line| line.contains(text))
            })
            .unwrap_or_else(PoisonError::into_inner);
        let found = lines.iter().find(|line| line.contains(text)).cloned();
        found.unwrap_or_else(|| panic!("no {text:?} in the log: {lines:#?}"))
    }
}
