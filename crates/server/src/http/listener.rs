//! The accept loop `axum::serve` does not give us: deadlines for every way a client can keep us waiting, strict framing,
//! answers that reach the client before the connection ends, and a stop that loses no request and always ends.

mod connection;
mod handshakes;
mod progress;

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};

use connection::{House, attend};

/// Pause after an accept that failed for want of file descriptors or memory: long enough not to spin, short to a client.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The shortest time between two log lines about failing accepts.
const ACCEPT_WARNING_EVERY: Duration = Duration::from_secs(1);

/// The most connections taken from the kernel's queue after the stop; tokio's `TcpListener::bind` queues 1,024.
const BACKLOG: usize = 1024;

/// How long a client may keep a connection waiting. All are positive.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For a whole request head, counted from the accept or from the first byte after an idle time. 10 s (REL-21).
    pub header: Duration,
    /// For the next request on a kept connection. 75 s (REL-21; nginx's `keepalive_timeout`, and above the 60 s after
    /// which nginx drops its own idle upstream connections, so that the proxy is the one to close).
    pub idle: Duration,
    /// For a client to take any more of an answer that its window does not let us send. 15 s, as long as REL-21 gives
    /// it to send a body.
    pub write: Duration,
    /// For the client to close after our last answer, while what it still sends is thrown away: closing at once would
    /// reset the connection and could take the answer with it (RFC 9112 §9.6). 2 s.
    pub linger: Duration,
    /// For connections half set up when the stop begins: their clients already believe to be connected, or soon will.
    /// Meanwhile no further one can begin. 100 ms, a round trip to the proxy and some.
    pub handshake: Duration,
    /// For requests already under way to us when the stop begins, on idle connections too; answers carry
    /// `Connection: close`. 500 ms, a few round trips across the world.
    pub last_call: Duration,
    /// From the begin of the stop until whatever is left is cut. 14 s, inside the 15 s of REL-25.
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(15),
            linger: Duration::from_secs(2),
            handshake: Duration::from_millis(100),
            last_call: Duration::from_millis(500),
            drain: Duration::from_secs(14),
        }
    }
}

/// Serves `router` over HTTP/1.1 and 1.0 on `listener` until `stop` resolves, then stops without losing a request.
///
/// Every request carries its client's address as `ConnectInfo<SocketAddr>`. After `stop` nobody new can connect, and
/// after [`Deadlines::handshake`] is refused at once; requests in flight or on their way get their answer; connections without one are closed after
/// [`Deadlines::last_call`] and whatever is left is cut after [`Deadlines::drain`]. Returns when no connection is left.
///
/// A handler is dropped as soon as its client hangs up, so what it holds must be released by `Drop`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    deadlines: Deadlines,
    stop: impl Future<Output = ()>,
) {
    let (leave, left) = watch::channel(());
    let house = House {
        router: router.with_state(()),
        deadlines,
        closing: Arc::new(AtomicBool::new(false)),
        leave: left,
    };
    let mut connections = JoinSet::new();
    accept_until(stop, &listener, &house, &mut connections).await;

    let cut_at = Instant::now() + deadlines.drain;
    house.closing.store(true, Ordering::Relaxed);
    // Without it, a connection that the kernel completes between our last accept and the close would be reset, after
    // its client has sent a request.
    if let Err(error) = handshakes::let_none_begin(&listener) {
        tracing::debug!(%error, "connections that begin during the stop may be reset");
    }
    let settled = tokio::time::sleep(deadlines.handshake);
    accept_until(settled, &listener, &house, &mut connections).await;
    accept_backlog(listener, &house, &mut connections);
    if timeout(deadlines.last_call, all_ended(&mut connections))
        .await
        .is_ok()
    {
        return;
    }
    drop(leave);
    if timeout_at(cut_at, all_ended(&mut connections))
        .await
        .is_ok()
    {
        return;
    }
    tracing::warn!(
        count = connections.len(),
        "cutting the connections that did not end in time"
    );
    connections.shutdown().await;
}

async fn accept_until(
    stop: impl Future<Output = ()>,
    listener: &TcpListener,
    house: &House,
    connections: &mut JoinSet<()>,
) {
    let mut stop = pin!(stop);
    let mut warned_at: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => return,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                connections.spawn(attend(stream, address, house.clone()));
            }
            Err(error) if concerns_one_client(&error) => {}
            Err(error) => {
                if warned_at.is_none_or(|at| at.elapsed() >= ACCEPT_WARNING_EVERY) {
                    warned_at = Some(Instant::now());
                    tracing::warn!(%error, "cannot accept connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Takes the connections the kernel has already set up, whose clients believe to be connected, and closes the listener.
fn accept_backlog(listener: TcpListener, house: &House, connections: &mut JoinSet<()>) {
    let Ok(listener) = listener.into_std() else {
        return;
    };
    for _ in 0..BACKLOG {
        let Ok((stream, address)) = listener.accept() else {
            return;
        };
        let stream = stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream));
        if let Ok(stream) = stream {
            connections.spawn(attend(stream, address, house.clone()));
        }
    }
}

fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn all_ended(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests;
