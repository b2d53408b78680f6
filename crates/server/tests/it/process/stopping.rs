//! SIGTERM.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;

use super::http::read_reply;
use super::support::{Server, Setup};
use crate::support::{Database, PASSWORD};

on_both!(requests_in_flight_are_finished);

/// A sign-in of which all but the last byte is sent.
struct HalfSent {
    stream: TcpStream,
}

impl HalfSent {
    fn login(server: &Server) -> Self {
        let body = json!({"email": "ann@example.com", "password": PASSWORD}).to_string();
        let head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json";
        let request = format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut stream = TcpStream::connect(server.address).expect("a connection");
        stream
            .write_all(&request.as_bytes()[..request.len() - 1])
            .expect("sent");
        // The server answers somebody else meanwhile, so it has read this too.
        assert_eq!(server.client().get("/ready").status, 200);
        std::thread::sleep(Duration::from_millis(100));
        Self { stream }
    }

    fn finish(mut self) -> super::http::Reply {
        self.stream.write_all(b"}").expect("sent");
        read_reply(&mut self.stream).expect("an answer")
    }
}

// REL-25
async fn requests_in_flight_are_finished(database: Database) {
    let mut server = Setup::on(&database).serve();
    server.client().register("ann");
    let login = HalfSent::login(&server);
    server.terminate();
    server.log().wait_for("stopping");
    // New work is not welcome: nobody listens, or whoever got through is told so.
    if let Ok(reply) = server.client().try_send("GET", "/ready", None) {
        assert_eq!(reply.status, 503, "{reply:?}");
    }
    let reply = login.finish();
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("connection"), "close");
    let answered = Instant::now();
    assert_eq!(server.exit().code(), Some(0));
    assert!(answered.elapsed() < Duration::from_secs(3));
    let server = Setup::on(&database).serve();
    let session = server.client().with_token(reply.access_token());
    assert_eq!(session.profile().status, 200);
}

// REL-25
#[test]
fn idle_and_half_sent_heads_do_not_hold_it_up() {
    let database = Database::sqlite();
    let mut server = Setup::on(&database).serve();
    let mut half = TcpStream::connect(server.address).expect("a connection");
    half.write_all(b"GET /health HTTP/1.1\r\nHost:")
        .expect("sent");
    let _silent = TcpStream::connect(server.address).expect("a connection");
    let stopped = Instant::now();
    server.terminate();
    assert_eq!(server.exit().code(), Some(0));
    assert!(
        stopped.elapsed() < Duration::from_secs(5),
        "{:?}",
        stopped.elapsed()
    );
}

// REL-25
#[test]
fn a_second_signal_ends_it_at_once() {
    let database = Database::sqlite();
    let mut server = Setup::on(&database).serve();
    let _held_up = HalfSent::login(&server);
    server.terminate();
    server.log().wait_for("stopping");
    let again = Instant::now();
    server.terminate();
    assert_eq!(server.exit().code(), Some(1));
    assert!(
        again.elapsed() < Duration::from_secs(1),
        "{:?}",
        again.elapsed()
    );
}
