//! What is refused before it reaches the router, and how.

use super::*;

// SEC-68
#[test]
fn a_head_too_long_or_too_full_is_refused() {
    let server = Server::start(UNHURRIED);
    for request in [
        format!(
            "GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
            "y".repeat(16 * 1024)
        ),
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(500 * 1024)),
        format!(
            "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
            "x: y\r\n".repeat(100)
        ),
    ] {
        let text = server.last_answer(&request);
        assert!(text.starts_with("HTTP/1.1 431 "), "{text}");
    }
    for request in [
        format!(
            "GET / HTTP/1.0\r\nx: {}\r\n\r\n",
            "y".repeat(16 * 1024 - 64)
        ),
        format!("GET / HTTP/1.0\r\n{}\r\n", "x: y\r\n".repeat(100)),
    ] {
        let text = server.last_answer(&request);
        assert!(text.ends_with("home"), "{text}");
    }
}

// SEC-74
#[test]
fn doubtful_framing_is_refused_and_the_connection_closed() {
    let server = Server::start(UNHURRIED);
    let smuggled = "\r\n\r\n0\r\n\r\nGET /who HTTP/1.1\r\nhost: a\r\n\r\n";
    for headers in [
        "host: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked",
        "host: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5",
        "host: a\r\ntransfer-encoding: chunked\r\nCoNtEnT-LeNgTh: nonsense",
        "host: a\r\ncontent-length: 5\r\ncontent-length: 5\r\ntransfer-encoding: chunked",
        "host: a\r\ntransfer-encoding: identity, chunked",
        "host: a\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "host: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "host: a\r\ntransfer-encoding: identity",
        "host: a\r\ntransfer-encoding : chunked",
        "host: a\r\ntransfer-encoding:\r\n chunked",
        "host: a\r\ncontent-length: 5\r\ncontent-length: 6",
        "host: a\r\ncontent-length: 5, 5",
        "host: a\r\ncontent-length: +5",
        "host: a\r\ncontent-length: -5",
        "host: a\r\ncontent-length: 99999999999999999999999",
        "content-length: 0",
        "host: a\r\nhost: b\r\ncontent-length: 0",
        "host: a\r\nx\0: y",
    ] {
        let text = server.last_answer(&format!("POST /echo HTTP/1.1\r\n{headers}{smuggled}"));
        assert!(text.starts_with("HTTP/1.1 400 "), "{headers}: {text}");
        assert_eq!(text.matches("HTTP/1.1").count(), 1, "{headers}: {text}");
    }
    let chunked_in_1_0 = "POST /echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    assert!(!server.last_answer(chunked_in_1_0).contains(" 200 "));
}

// SEC-74
#[test]
fn a_length_is_found_however_it_arrives_and_never_where_there_is_none() {
    let server = Server::start(UNHURRIED);
    let chunked = "POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let mut client = server.connect();
    for _ in 0..2 {
        send(
            &mut client,
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nplain",
        );
        assert!(receive_some(&mut client).ends_with("plain"));
        send(&mut client, chunked);
        assert!(receive_some(&mut client).ends_with("hello"));
    }
    for piece in chunked
        .replace("Chunked", "chunked\r\ncontent-length: 5")
        .split_inclusive(['t', '-', '\n'])
    {
        send(&mut client, piece);
        std::thread::sleep(Duration::from_millis(2));
        if piece == "\r\n" {
            break;
        }
    }
    assert!(receive_all(&mut client).starts_with("HTTP/1.1 400 "));
}

#[test]
fn upgrades_tunnels_and_http_2_are_not_spoken() {
    let server = Server::start(Deadlines {
        linger: NEVER,
        ..UNHURRIED
    });
    let text = server.last_answer(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, close\r\nupgrade: websocket\r\n\r\n",
    );
    assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
    let mut client = server.connect();
    for _ in 0..2 {
        send(
            &mut client,
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        );
        assert!(receive_some(&mut client).ends_with("home"));
    }
    let text =
        server.last_answer("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\nconnection: close\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 404 "), "{text}");
    let text = server.last_answer("OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 404 "), "{text}");
    let text = server.last_answer("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(!text.contains("200"), "{text}");
    server.connect_kept();
}

// REL-23
#[test]
fn an_early_refusal_reaches_a_client_that_still_sends() {
    let server = Server::start(UNHURRIED);
    for framing in ["content-length: 100000000", "transfer-encoding: chunked"] {
        let mut client = server.connect();
        send(
            &mut client,
            &format!("POST /refuse HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n5f5e100\r\n"),
        );
        let block = vec![b'x'; 1 << 20];
        for _ in 0..32 {
            client.write_all(&block).unwrap();
        }
        let text = receive_all(&mut client);
        assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
    }
}

// REL-23
#[test]
fn a_refused_client_is_not_read_for_ever() {
    let server = Server::start(UNHURRIED);
    let mut client = server.connect();
    send(
        &mut client,
        "POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000000\r\n\r\n",
    );
    let since = Instant::now();
    while client.write_all(&[b'x'; 4096]).is_ok() {
        std::thread::sleep(Duration::from_millis(5));
        assert!(since.elapsed() < Duration::from_secs(5), "still read");
    }
    assert_about(since.elapsed(), UNHURRIED.linger);
}
