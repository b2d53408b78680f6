//! The log: lines on standard error, gathered and written by a thread of their own, so that neither a line nor a reader
//! that is stuck ever holds a request up.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};

/// Bytes kept for a reader that has stopped reading; further lines are dropped and counted (REL-34).
const LARGEST_BACKLOG: usize = 2 * 1024 * 1024;
/// How long lines gather before they are written in one go: waking a thread and calling the system for each line would
/// cost more than the line.
const GATHERING: Duration = Duration::from_millis(10);
/// How long the end of the process waits for a reader that may be stuck.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// The log of this process; dropping it writes out what is left.
pub(super) struct Log {
    lines: Lines,
    written: Receiver<()>,
}

/// Where the subscriber writes; clones share the backlog.
#[derive(Clone, Default)]
struct Lines(Arc<Shared>);

#[derive(Default)]
struct Shared {
    backlog: Mutex<Backlog>,
    wake: Condvar,
}

#[derive(Default)]
struct Backlog {
    bytes: Vec<u8>,
    dropped: u64,
    closed: bool,
}

/// Starts the log as the settings want it.
pub(super) fn start(settings: &Settings) -> io::Result<Log> {
    let lines = Lines::default();
    let (done, written) = channel();
    let writer = lines.clone();
    thread::Builder::new()
        .name("log".into())
        .spawn(move || writer.write_until_closed(&done))?;
    let filter = EnvFilter::new(&settings.log_filter);
    let make_writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(move || make_writer.clone());
    match settings.log_format {
        LogFormat::Text => subscriber.init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    // A panic's text goes where every other line goes, in the same form.
    std::panic::set_hook(Box::new(
        |panic| tracing::error!(target: "panic", "{panic}"),
    ));
    Ok(Log { lines, written })
}

impl Lines {
    fn backlog(&self) -> MutexGuard<'_, Backlog> {
        self.0
            .backlog
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write_until_closed(&self, done: &Sender<()>) {
        let mut batch = Vec::new();
        loop {
            let mut backlog = self.backlog();
            while backlog.bytes.is_empty() && !backlog.closed {
                backlog = self
                    .0
                    .wake
                    .wait(backlog)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if !backlog.closed {
                drop(backlog);
                thread::sleep(GATHERING);
                backlog = self.backlog();
            }
            std::mem::swap(&mut batch, &mut backlog.bytes);
            let dropped = std::mem::take(&mut backlog.dropped);
            let closed = backlog.closed;
            drop(backlog);
            // A reader that has gone is no reason to stop serving.
            let _ = io::stderr().lock().write_all(&batch);
            batch.clear();
            if dropped > 0 {
                tracing::warn!(target: "log", dropped_lines = dropped, "the reader was too slow");
            }
            if closed {
                let _ = done.send(());
                return;
            }
        }
    }
}

impl Write for Lines {
    /// Takes a whole line, or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut backlog = self.backlog();
        if backlog.bytes.len() + line.len() > LARGEST_BACKLOG {
            backlog.dropped += 1;
            return Ok(line.len());
        }
        let was_empty = backlog.bytes.is_empty();
        backlog.bytes.extend_from_slice(line);
        drop(backlog);
        if was_empty {
            self.0.wake.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lines.backlog().closed = true;
        self.lines.0.wake.notify_one();
        let _ = self.written.recv_timeout(LAST_WRITE);
    }
}
