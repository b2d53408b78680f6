//! Who counts as one client (SEC-17, SEC-18).

use serde_json::json;

use super::LOGIN;
use crate::support::{Client, Database, Options, TestApp};

on_both!(
    a_network_is_an_ipv4_address_or_an_ipv6_64,
    forwarded_addresses_are_not_believed_by_default,
    trusted_proxies_are_believed_from_the_right,
);

const NOBODY: &str = "nobody@example.com";

/// A failed sign-in that says to come from somewhere else, in every way known.
async fn guess(client: &Client, forwarded_for: &[&str]) -> u16 {
    let body = json!({"email": NOBODY, "password": "wrong-horse-7"}).to_string();
    let mut request = client
        .request("POST", LOGIN)
        .header("content-type", "application/json");
    for line in forwarded_for {
        request = request.header("x-forwarded-for", *line);
    }
    let last = forwarded_for.last().copied().unwrap_or("192.0.2.250");
    for name in [
        "x-real-ip",
        "cf-connecting-ip",
        "true-client-ip",
        "x-client-ip",
        "fastly-client-ip",
    ] {
        request = request.header(name, last);
    }
    let request = request.header("forwarded", format!("for={last}"));
    client
        .send(request.body(body.into()).expect("a request"))
        .await
        .status
}

async fn exhaust(client: &Client, forwarded_for: &[&str]) {
    for number in 0..10 {
        assert_eq!(guess(client, forwarded_for).await, 401, "{number}");
    }
    assert_eq!(guess(client, forwarded_for).await, 429);
}

async fn a_network_is_an_ipv4_address_or_an_ipv6_64(database: Database) {
    let app = TestApp::new(database).await;
    let at = |address: &str| app.anonymous().at(address);
    exhaust(&at("2001:db8:0:1::1"), &[]).await;
    assert_eq!(
        guess(&at("2001:db8:0:1:ffff:ffff:ffff:ffff"), &[]).await,
        429,
        "the same /64"
    );
    assert_eq!(
        guess(&at("2001:db8:0:2::1"), &[]).await,
        401,
        "the next /64"
    );
    exhaust(&at("192.0.2.7"), &[]).await;
    assert_eq!(
        guess(&at("::ffff:192.0.2.7"), &[]).await,
        429,
        "IPv4 in IPv6"
    );
    assert_eq!(guess(&at("192.0.2.8"), &[]).await, 401, "the next address");
}

async fn forwarded_addresses_are_not_believed_by_default(database: Database) {
    let app = TestApp::new(database).await;
    let client = app.anonymous();
    for number in 0..10 {
        assert_eq!(
            guess(&client, &[&format!("198.51.100.{number}")]).await,
            401
        );
    }
    assert_eq!(guess(&client, &["198.51.100.99"]).await, 429);
    assert_eq!(guess(&client, &[]).await, 429);
    // Nobody was made to pay for somebody else.
    assert_eq!(guess(&client.at("198.51.100.1"), &[]).await, 401);
}

async fn trusted_proxies_are_believed_from_the_right(database: Database) {
    let trusted_proxies = vec![
        "10.0.0.0/8".parse().expect("a network"),
        "fd00::/8".parse().expect("a network"),
    ];
    let options = Options {
        trusted_proxies,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    let proxy = app.anonymous().at("10.1.2.3");
    exhaust(&proxy, &["198.51.100.1"]).await;
    for same in [
        // What the client wrote itself stands to the left.
        &["203.0.113.5, 198.51.100.1"][..],
        &["203.0.113.5", "198.51.100.1"],
        &["10.9.9.9, 198.51.100.1"],
        &["198.51.100.1, 10.9.9.9"],
        &["198.51.100.1, fd00::1, 10.9.9.9"],
        &["198.51.100.1:4711"],
        &["::ffff:198.51.100.1"],
        &[" 198.51.100.1 "],
    ] {
        assert_eq!(guess(&proxy, same).await, 429, "{same:?}");
        assert_eq!(
            guess(&proxy.at("fd00::7"), same).await,
            429,
            "{same:?} by another proxy"
        );
    }
    assert_eq!(
        guess(&proxy, &["198.51.100.1, 198.51.100.2"]).await,
        401,
        "another client"
    );
    assert_eq!(
        guess(&proxy, &["198.51.100.1, junk"]).await,
        401,
        "the proxy itself, when nothing can be read"
    );
    assert_eq!(
        guess(&app.anonymous().at("192.0.2.9"), &["198.51.100.1"]).await,
        401,
        "no proxy of ours"
    );
}
