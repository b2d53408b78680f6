//! The log: what is in it, what never is, and what happens when nobody reads it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::http::{Http, Reply};
use super::support::{Server, Setup, eventually};
use crate::support::{Database, PASSWORD, SECRET};

on_both!(no_line_holds_a_secret_even_at_trace);

/// A request of each kind.
fn visit(server: &Server) -> [Reply; 3] {
    let client = server.client();
    [
        client.get("/health"),
        client.profile(),
        client.get("/nowhere%1b[31m%0anowhere"),
    ]
}

#[test]
fn every_request_is_one_line_of_text() {
    let database = Database::sqlite();
    let server = Setup::on(&database).serve();
    for reply in visit(&server) {
        let id = reply.header("x-request-id");
        assert!(!id.is_empty(), "{reply:?}");
        let id = format!("request_id=\"{id}\"");
        server.log().wait_for(&id);
        let log = server.log().lines();
        let lines: Vec<_> = log.iter().filter(|line| line.contains(&id)).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0].contains(&format!("status={}", reply.status)),
            "{lines:?}"
        );
        assert!(
            !lines[0].contains('\u{1b}') && !lines[0].contains("nowhere"),
            "{lines:?}"
        );
    }
}

#[test]
fn every_line_is_an_object_with_format_json() {
    let database = Database::sqlite();
    let server = Setup::on(&database)
        .with("GATEWRIGHT_LOG_FORMAT", "json")
        .serve();
    let replies = visit(&server);
    for reply in &replies {
        server.log().wait_for(reply.header("x-request-id"));
    }
    let lines = server.log().lines();
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}")))
        .collect();
    for (reply, route) in replies
        .iter()
        .zip(["/health", "/api/auth/profile", "unknown"])
    {
        let id = reply.header("x-request-id");
        let mut found = lines.iter().filter(|line| line["request_id"] == id);
        let line = found.next().expect("a line");
        assert_eq!(found.next(), None);
        assert_eq!(
            (&line["route"], &line["status"]),
            (&route.into(), &reply.status.into())
        );
        assert_eq!(
            (&line["method"], &line["client"]),
            (&"GET".into(), &"127.0.0.1".into())
        );
    }
}

// SEC-83, SEC-84
async fn no_line_holds_a_secret_even_at_trace(database: Database) {
    let setup = Setup::on(&database).with("RUST_LOG", "trace");
    let server = setup.serve();
    let client = server.client();
    let ann = client.register("ann");
    let session = client.with_token(client.login("ann", PASSWORD).access_token());
    client.login("ann", "wrong-horse-7");
    session.logout();
    session.profile();
    let last = client.get("/health");
    server.log().wait_for(last.header("x-request-id"));
    let log = server.log().lines().join("\n");
    for event in ["register", "login", "logout"] {
        assert!(log.contains(&format!("event=\"{event}\"")), "{event}");
    }
    let kept = [
        SECRET,
        PASSWORD,
        "wrong-horse-7",
        ann.token(),
        session.token(),
        "$2b$",
        "ann@example.com",
    ];
    for text in kept {
        let line = log.lines().find(|line| line.contains(text));
        assert_eq!(line, None, "{text}");
    }
}

// REL-34
#[test]
fn a_reader_that_stops_reading_holds_nobody_up() {
    let database = Database::sqlite();
    let setup = Setup::on(&database).with("RUST_LOG", "trace");
    let mut command = setup.command(&["serve"]);
    let mut child = command.spawn().expect("a process");
    let mut unread = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut address: Option<SocketAddr> = None;
    while address.is_none() {
        let mut line = String::new();
        assert_ne!(unread.read_line(&mut line).expect("a line"), 0);
        let words = line.split([' ', '=']);
        address = words
            .filter(|_| line.contains("listening"))
            .find_map(|word| word.parse().ok());
    }
    let address = address.expect("an address");
    let client = Http::new(address);
    eventually("readiness", || {
        (client.get("/ready").status == 200).then_some(())
    });

    // Far more lines than a pipe and the log's own queue hold.
    let started = Instant::now();
    let mut stream = TcpStream::connect(address).expect("a connection");
    let request = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut answer = vec![0; 4096];
    for _ in 0..4000 {
        stream.write_all(request).expect("sent");
        let length = stream.read(&mut answer).expect("an answer");
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "));
    }
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(client.register("ann").profile().status, 200);

    kill_process(Pid::from_child(&child), Signal::TERM).expect("a child of ours");
    let code = eventually("the end", || child.try_wait().expect("a child of ours")).code();
    assert_eq!(code, Some(0));
    let mut rest = Vec::new();
    unread.read_to_end(&mut rest).expect("what was kept");
    let lines = rest.iter().filter(|byte| **byte == b'\n').count();
    assert!(lines < 4000, "nothing was dropped: {lines} lines");
}

// REL-34
#[test]
fn a_reader_that_has_gone_holds_nobody_up() {
    let database = Database::sqlite();
    let setup = Setup::on(&database);
    let mut command = setup.command(&["serve"]);
    let mut child = command.spawn().expect("a process");
    let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("listening") {
        line.clear();
        log.read_line(&mut line).expect("a line");
    }
    let address = line.split([' ', '=']).find_map(|word| word.parse().ok());
    drop(log);
    let client = Http::new(address.expect("an address"));
    eventually("readiness", || {
        (client.get("/ready").status == 200).then_some(())
    });
    let bad = client.post("/api/auth/login", &json!({"email": 1}));
    assert_eq!(bad.status, 400);
    assert_eq!(client.register("ann").profile().status, 200);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a child of ours");
    let code = eventually("the end", || child.try_wait().expect("a child of ours")).code();
    assert_eq!(code, Some(0));
}
