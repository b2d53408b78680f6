//! What a connection is waiting for, since when, and whether its framing hides something.

use axum::http::{HeaderMap, header};
use tokio::time::Instant;

use super::Deadlines;

/// How a `Content-Length` line begins, with the end of the line before it, in lower case.
const LENGTH_LINE: &[u8] = b"\ncontent-length:";

/// How far a connection has come.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    stage: Stage,
    /// Since when the client has not let us send.
    stalled_at: Option<Instant>,
    /// How many bytes of `LENGTH_LINE` the received bytes end with.
    matched: usize,
    /// Lines received that begin like `LENGTH_LINE`, less those of the requests seen.
    length_lines: usize,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Waiting for the rest of a head since then.
    Head(Instant),
    Answering,
    /// Waiting for the next request since then.
    Idle(Instant),
}

impl Progress {
    /// A connection just accepted: its first head is due.
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Head(Instant::now()),
            stalled_at: None,
            matched: 0,
            length_lines: 0,
        }
    }

    /// Notes received bytes.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() && matches!(self.stage, Stage::Idle(_)) {
            self.stage = Stage::Head(Instant::now());
        }
        let mut rest = bytes;
        while let Some((first, others)) = rest.split_first() {
            if first.to_ascii_lowercase() == LENGTH_LINE[self.matched] {
                self.matched += 1;
                rest = others;
                if self.matched == LENGTH_LINE.len() {
                    self.length_lines += 1;
                    self.matched = 0;
                }
            } else {
                self.matched = 0;
                let line_end = rest.iter().position(|byte| *byte == LENGTH_LINE[0]);
                rest = &rest[line_end.unwrap_or(rest.len())..];
            }
        }
    }

    /// Notes whether the client let us send.
    pub(super) fn sent(&mut self, any: bool) {
        if any {
            self.stalled_at = None;
        } else {
            self.stalled_at.get_or_insert_with(Instant::now);
        }
    }

    pub(super) fn exchange_begins(&mut self) {
        self.stage = Stage::Answering;
    }

    pub(super) fn exchange_ends(&mut self) {
        self.stage = Stage::Idle(Instant::now());
    }

    /// Whether nothing is owed to the client.
    pub(super) fn awaits_request(&self) -> bool {
        self.stalled_at.is_none() && !matches!(self.stage, Stage::Answering)
    }

    /// When to give the connection up; never for a handler, whose deadlines are its own.
    pub(super) fn deadline(&self, deadlines: &Deadlines) -> Option<Instant> {
        match (self.stalled_at, self.stage) {
            (Some(since), _) => Some(since + deadlines.write),
            (None, Stage::Head(since)) => Some(since + deadlines.header),
            (None, Stage::Idle(since)) => Some(since + deadlines.idle),
            (None, Stage::Answering) => None,
        }
    }

    /// Whether a chunked request came with a `Content-Length` too (RFC 9112 §6.3). To be asked once for every request.
    ///
    /// hyper takes that header away, so it is looked for among the bytes: more such lines than hyper has shown. A
    /// request that was pipelined behind a chunked one counts as well; no client of ours does that.
    pub(super) fn hides_length(&mut self, headers: &HeaderMap) -> bool {
        if headers.contains_key(header::CONTENT_LENGTH) {
            self.length_lines = self.length_lines.saturating_sub(1);
        }
        self.length_lines > 0 && headers.contains_key(header::TRANSFER_ENCODING)
    }
}
