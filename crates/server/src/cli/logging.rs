//! The log: lines on standard error, written by a thread of their own so that a stuck reader stops nobody.

use std::io::stderr;
use std::time::Duration;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};

/// Lines kept for a reader that has stopped reading; further ones are dropped and counted (REL-34).
const WAITING_LINES: usize = 10_000;
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// The log of this process; dropping it writes out what is left.
pub(super) struct Log {
    _writer: WorkerGuard,
    dropped: ErrorCounter,
}

/// Starts the log as the settings want it.
pub(super) fn start(settings: &Settings) -> Log {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(WAITING_LINES)
        .lossy(true)
        .finish(stderr());
    let dropped = writer.error_counter();
    let filter = EnvFilter::new(&settings.log_filter);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    match settings.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    // A panic's text goes where every other line goes, in the same form.
    std::panic::set_hook(Box::new(
        |panic| tracing::error!(target: "panic", "{panic}"),
    ));
    Log {
        _writer: guard,
        dropped,
    }
}

impl Log {
    /// Says now and then how many lines were dropped, for as long as it is polled.
    pub(super) async fn report_dropped(&self) {
        let mut reported = 0;
        loop {
            tokio::time::sleep(REPORT_EVERY).await;
            let dropped = self.dropped.dropped_lines();
            if dropped > reported {
                tracing::warn!(target: "log", dropped_lines = dropped - reported, "the log's reader was too slow");
                reported = dropped;
            }
        }
    }
}
