//! What the stop does to every kind of connection.

use super::*;

// REL-25
#[test]
fn a_stop_refuses_connects_and_finishes_what_is_in_flight() {
    let mut server = Server::start(UNHURRIED);
    let mut busy = server.connect();
    send(&mut busy, "GET /sleep/1500 HTTP/1.1\r\nhost: a\r\n\r\n");
    let mut kept = server.connect_kept();
    let idle = server.connect_kept();
    let silent = server.connect();
    let mut half = server.connect();
    send(&mut half, "GET / HTTP/1.1\r\nhos");
    std::thread::sleep(Duration::from_millis(50));
    server.stop();
    let connect = || Client::connect_timeout(&server.address, Duration::from_millis(50));
    assert!(soon(|| connect().is_err_and(
        |error| error.kind() == ErrorKind::ConnectionRefused
    )));

    send(&mut kept, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let text = receive_all(&mut kept);
    assert!(
        text.contains("connection: close") && text.ends_with("home"),
        "{text}"
    );
    for mut waiting in [idle, silent, half] {
        assert!(closed_after(&mut waiting) < Duration::from_secs(1));
    }
    assert!(!server.ended_within(Duration::from_millis(50)));
    let text = receive_all(&mut busy);
    assert!(
        text.contains("connection: close") && text.ends_with("slept"),
        "{text}"
    );
    drop((busy, kept));
    assert!(server.ended_within(Duration::from_secs(1)));
}

// REL-25, REL-26
#[test]
fn requests_of_connections_not_yet_accepted_are_answered() {
    let mut server = Server::start(UNHURRIED);
    let (freeze, frozen) = std::sync::mpsc::channel::<()>();
    // The only worker sleeps, so the kernel alone takes the connections.
    server.runtime.spawn(async move {
        let _ = frozen.recv();
    });
    std::thread::sleep(Duration::from_millis(50));
    let mut clients: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for client in &mut clients {
        send(client, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    }
    server.stop();
    drop(freeze);
    for mut client in clients {
        let text = receive_all(&mut client);
        assert!(
            text.contains("connection: close") && text.ends_with("home"),
            "{text}"
        );
    }
    assert!(server.ended_within(Duration::from_secs(1)));
}

// REL-25
#[test]
fn a_stop_ends_at_the_drain_deadline_whatever_hangs() {
    let drain = Duration::from_millis(700);
    let mut server = Server::start(Deadlines { drain, ..UNHURRIED });
    let mut busy = server.connect();
    send(&mut busy, "GET /sleep/60000 HTTP/1.1\r\nhost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(50));
    let since = Instant::now();
    server.stop();
    assert!(server.ended_within(Duration::from_secs(5)));
    assert_about(since.elapsed(), drain);
    assert_eq!(receive_all(&mut busy), "");
}

// REL-26: a connection that the kernel completed after our last accept would be reset with its request.
#[cfg(target_os = "linux")]
#[test]
fn no_connection_begins_while_the_last_ones_are_taken() {
    let handshake = Duration::from_millis(800);
    let mut server = Server::start(Deadlines {
        handshake,
        ..UNHURRIED
    });
    let mut early = server.connect();
    server.stop();
    let connect = || Client::connect_timeout(&server.address, Duration::from_millis(50));
    let fails_with = |kind| soon(|| connect().is_err_and(|error| error.kind() == kind));
    assert!(
        fails_with(ErrorKind::TimedOut),
        "nobody answers the first packet"
    );
    send(&mut early, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    let text = receive_all(&mut early);
    assert!(
        text.contains("connection: close") && text.ends_with("home"),
        "{text}"
    );
    assert!(
        fails_with(ErrorKind::ConnectionRefused),
        "then the door is shut"
    );
    assert!(server.ended_within(Duration::from_secs(5)));
}
