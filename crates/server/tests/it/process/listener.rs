//! The listener as clients meet it: limits, framing and patience.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use super::http::{Reply, exchange, read_reply};
use super::support::{Server, Setup};
use crate::support::Database;

fn server() -> (Server, Database) {
    let database = Database::sqlite();
    (Setup::on(&database).serve(), database)
}

fn send(server: &Server, text: &str) -> Reply {
    exchange(server.address, text.as_bytes()).expect("an answer")
}

// SEC-68
#[test]
fn large_heads_and_uris_are_refused() {
    let (server, _database) = server();
    let head = |filler: usize| {
        let filler = "x".repeat(filler);
        format!(
            "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Filler: {filler}\r\n\r\n"
        )
    };
    assert_eq!(send(&server, &head(15 * 1024)).status, 200);
    assert_eq!(send(&server, &head(17 * 1024)).status, 431);
    let fields: String = (0..101)
        .map(|number| format!("X-{number}: 1\r\n"))
        .collect();
    let many = format!("GET /health HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    assert_eq!(send(&server, &many).status, 431);
    let path = "x".repeat(9 * 1024);
    let long = format!("GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(send(&server, &long).status, 414);
}

// REL-23
#[test]
fn a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    let (server, _database) = server();
    let started = Instant::now();
    for more in ["", "Expect: 100-continue\r\n"] {
        let head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let reply = send(
            &server,
            &format!("{head}{more}Content-Length: 10000000000\r\nConnection: close\r\n\r\n"),
        );
        assert_eq!(
            (reply.status, &reply.body["code"]),
            (413, &"body_too_large".into()),
            "{reply:?}"
        );
    }
    assert!(started.elapsed() < Duration::from_secs(2));
}

// REL-23
#[test]
fn an_endless_body_is_cut_short() {
    let (server, _database) = server();
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let head = "POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("sent");
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    // Twice the limit, and no end.
    for _ in 0..32 {
        stream.write_all(chunk.as_bytes()).expect("sent");
    }
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let reply = read_reply(&mut stream).expect("an answer");
    assert_eq!(reply.status, 413, "{reply:?}");
}

// SEC-74
#[test]
fn a_request_that_can_be_read_in_two_ways_is_refused_and_ends_the_connection() {
    let (server, _database) = server();
    let smuggled = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let doubtful = [
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            smuggled.len()
        ),
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n".to_owned(),
        "Content-Length: 0\r\nContent-Length: 34\r\n\r\n".to_owned(),
        "Content-Length: 0, 34\r\n\r\n".to_owned(),
        "Content-Length: +0\r\n\r\n".to_owned(),
        "Transfer-Encoding: identity\r\n\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "Host: y\r\n\r\n".to_owned(),
    ];
    for fields in doubtful {
        let request = format!("POST /api/auth/logout HTTP/1.1\r\nHost: x\r\n{fields}{smuggled}");
        let mut stream = TcpStream::connect(server.address).expect("a connection");
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        stream.write_all(request.as_bytes()).expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an end");
        assert!(text.starts_with("HTTP/1.1 400 "), "{fields:?}: {text}");
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{fields:?}: {text}");
    }
    let nameless = send(&server, "GET /health HTTP/1.1\r\n\r\n");
    assert_eq!(nameless.status, 400);
}

// REL-22
#[test]
fn running_out_of_descriptors_passes() {
    let database = Database::sqlite();
    let setup = Setup::on(&database);
    let program = setup.command(&["serve"]);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "ulimit -n 48; exec \"$0\" serve"])
        .arg(program.get_program())
        .env_clear()
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .current_dir(setup.directory())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let server = Server::start(command);
    server.wait_until_ready();
    let idle: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(server.address).expect("a place in the queue"))
        .collect();
    server.log().wait_for("cannot accept connections");
    drop(idle);
    assert_eq!(server.client().register("ann").profile().status, 200);
    let warnings = server.log().lines();
    let warnings = warnings
        .iter()
        .filter(|line| line.contains("cannot accept"));
    assert!(warnings.count() < 10, "a line for every attempt");
}

// REL-21: slow on purpose, as long as the deadline for a head.
#[test]
fn a_head_that_never_ends_and_a_silent_connection_are_cut_after_ten_seconds() {
    let (server, _database) = server();
    let silent = TcpStream::connect(server.address).expect("a connection");
    let silent = thread::spawn(move || seconds_until_closed(silent));
    let mut slow = TcpStream::connect(server.address).expect("a connection");
    let reader = slow.try_clone().expect("a copy");
    let closed = thread::spawn(move || seconds_until_closed(reader));
    slow.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        .expect("sent");
    while !closed.is_finished() {
        let _ = slow.write_all(b"x");
        assert_eq!(server.client().get("/health").status, 200);
        thread::sleep(Duration::from_millis(200));
    }
    for seconds in [
        closed.join().expect("an end"),
        silent.join().expect("an end"),
    ] {
        assert!((9.0..14.0).contains(&seconds), "{seconds}");
    }
}

fn seconds_until_closed(mut stream: TcpStream) -> f64 {
    let started = Instant::now();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let _ = stream.read_to_end(&mut Vec::new());
    started.elapsed().as_secs_f64()
}
