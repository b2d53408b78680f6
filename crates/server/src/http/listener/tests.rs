//! Raw sockets against the listener, with deadlines short enough to wait for.

mod framing;
mod stopping;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream as Client};
use std::sync::atomic::AtomicUsize;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

/// Far longer than any test takes, so that a deadline under test is the only one that can strike.
const NEVER: Duration = Duration::from_secs(60);

const UNHURRIED: Deadlines = Deadlines {
    header: NEVER,
    idle: NEVER,
    write: NEVER,
    linger: Duration::from_millis(500),
    handshake: Duration::from_millis(50),
    last_call: Duration::from_millis(200),
    drain: NEVER,
};

/// How many `/never` handlers are running.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

fn router() -> Router {
    Router::new()
        .route("/", get(|| async { "home" }))
        .route(
            "/who",
            get(|ConnectInfo(address): ConnectInfo<SocketAddr>| async move { address.to_string() }),
        )
        .route("/echo", post(|body: Bytes| async { body }))
        .route(
            "/refuse",
            post(|| async { (StatusCode::PAYLOAD_TOO_LARGE, "too large") }),
        )
        .route("/big", get(|| async { vec![b'x'; 64 << 20] }))
        .route(
            "/sleep/{milliseconds}",
            get(
                async |axum::extract::Path(milliseconds): axum::extract::Path<u64>| {
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                    "slept"
                },
            ),
        )
        .route(
            "/never",
            get(|| async {
                let _running = Running::begin();
                std::future::pending::<Body>().await
            }),
        )
        .layer(DefaultBodyLimit::max(64 * 1024))
}

struct Server {
    runtime: Runtime,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Server {
    fn start(deadlines: Deadlines) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = runtime.spawn(serve(listener, router(), deadlines, async {
            let _ = stopped.await;
        }));
        Self {
            runtime,
            address,
            stop: Some(stop),
            served,
        }
    }

    fn connect(&self) -> Client {
        let client = Client::connect(self.address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client
    }

    /// A connection on which one request has been answered.
    fn connect_kept(&self) -> Client {
        let mut client = self.connect();
        send(&mut client, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(receive_some(&mut client).ends_with("home"));
        client
    }

    /// The whole answer to `request` on a connection of its own, which the server must close.
    fn last_answer(&self, request: &str) -> String {
        let mut client = self.connect();
        send(&mut client, request);
        receive_all(&mut client)
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    fn ended_within(&mut self, limit: Duration) -> bool {
        let served = &mut self.served;
        self.runtime
            .block_on(async { timeout(limit, served).await.is_ok() })
    }
}

fn send(client: &mut Client, text: &str) {
    client.write_all(text.as_bytes()).unwrap();
}

fn receive_some(client: &mut Client) -> String {
    let mut buffer = vec![0; 4096];
    let read = client.read(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

/// Everything until the server closes; a reset is a failure.
fn receive_all(client: &mut Client) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

/// How long until the server closes the silent `client`.
fn closed_after(client: &mut Client) -> Duration {
    let since = Instant::now();
    let mut buffer = [0; 1024];
    match client.read(&mut buffer) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("not closed: {other:?}"),
    }
    since.elapsed()
}

/// Whether `condition` becomes true within a second.
fn soon(condition: impl Fn() -> bool) -> bool {
    let since = Instant::now();
    while !condition() && since.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(5));
    }
    condition()
}

#[track_caller]
fn assert_about(actual: Duration, wanted: Duration) {
    let slack = Duration::from_secs(1);
    assert!(
        actual + Duration::from_millis(20) >= wanted && actual < wanted + slack,
        "{actual:?} is not about {wanted:?}"
    );
}

#[test]
fn requests_know_their_client_and_share_a_connection() {
    let server = Server::start(UNHURRIED);
    let mut client = server.connect_kept();
    let own = client.local_addr().unwrap().to_string();
    send(&mut client, "GET /who HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(receive_some(&mut client).ends_with(&own));
    send(&mut client, "GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(receive_some(&mut client).starts_with("HTTP/1.1 200 "));
}

#[test]
fn pipelined_requests_are_all_answered() {
    let server = Server::start(UNHURRIED);
    let text = server.last_answer(
        "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\noneGET / HTTP/1.1\r\nhost: a\r\n\r\n\
         POST /echo HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nthree",
    );
    assert_eq!(text.matches("HTTP/1.1 200 ").count(), 3);
    assert!(text.contains("one") && text.contains("home") && text.ends_with("three"));
}

// REL-21
#[test]
fn a_silent_or_slow_new_connection_is_closed_at_the_header_deadline() {
    let header = Duration::from_millis(600);
    let server = Server::start(Deadlines {
        header,
        ..UNHURRIED
    });
    let mut silent = server.connect();
    assert_about(closed_after(&mut silent), header);

    let since = Instant::now();
    let mut slow = server.connect();
    send(&mut slow, "GET / HTTP/1.1\r\nhost: a\r\n");
    while since.elapsed() < Duration::from_millis(400) {
        send(&mut slow, "x: y\r\n");
        std::thread::sleep(Duration::from_millis(50));
    }
    closed_after(&mut slow);
    assert_about(since.elapsed(), header);
}

// REL-21
#[test]
fn a_kept_connection_may_idle_longer_than_a_head_may_take() {
    let (header, idle) = (Duration::from_millis(300), Duration::from_secs(2));
    let server = Server::start(Deadlines {
        header,
        idle,
        ..UNHURRIED
    });
    let mut resting = server.connect_kept();
    std::thread::sleep(Duration::from_millis(600));
    send(&mut resting, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(receive_some(&mut resting).ends_with("home"));
    assert_about(closed_after(&mut resting), idle);

    let mut slow = server.connect_kept();
    std::thread::sleep(Duration::from_millis(100));
    send(&mut slow, "G");
    assert_about(closed_after(&mut slow), header);
}

// REL-21
#[test]
fn a_handler_may_take_longer_than_every_deadline() {
    let short = Duration::from_millis(100);
    let server = Server::start(Deadlines {
        header: short,
        idle: short,
        write: short,
        ..UNHURRIED
    });
    let mut client = server.connect();
    send(&mut client, "GET /sleep/500 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert!(receive_some(&mut client).ends_with("slept"));
}

// REL-21
#[test]
fn only_a_client_that_stops_reading_its_answer_is_cut() {
    let write = Duration::from_millis(500);
    let server = Server::start(Deadlines { write, ..UNHURRIED });
    let mut deaf = server.connect();
    send(&mut deaf, "GET /big HTTP/1.1\r\nhost: a\r\n\r\n");
    // The two kernels may shift some more bytes between their buffers before they are really full.
    std::thread::sleep(6 * write);
    let mut received = Vec::new();
    let outcome = deaf.read_to_end(&mut received);
    assert!(received.len() < 64 << 20, "{outcome:?}");

    let mut listening = server.connect();
    send(
        &mut listening,
        "GET /big HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    let since = Instant::now();
    let mut block = vec![0; 4 << 20];
    let mut received = 0;
    while received < 64 << 20 {
        let some = listening.read(&mut block).unwrap();
        assert!(some > 0, "cut after {received} bytes");
        received += some;
        if received % (4 << 20) < some {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    assert!(since.elapsed() > 2 * write, "too fast to prove anything");
}

// REL-24
#[test]
fn a_hang_up_drops_the_handler_at_once() {
    let server = Server::start(UNHURRIED);
    let hang_ups: [fn(Client); 2] = [
        |client| drop(client),
        |client| {
            client.shutdown(Shutdown::Write).unwrap();
            assert!(soon(|| RUNNING.load(Ordering::SeqCst) == 0));
        },
    ];
    for hang_up in hang_ups {
        let mut client = server.connect();
        send(&mut client, "GET /never HTTP/1.1\r\nhost: a\r\n\r\n");
        assert!(soon(|| RUNNING.load(Ordering::SeqCst) == 1));
        hang_up(client);
        assert!(soon(|| RUNNING.load(Ordering::SeqCst) == 0));
    }
}
