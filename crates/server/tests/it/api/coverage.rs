//! Every route of the document × everybody who may ask. A route that is not listed here fails.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{LOGIN, LOGOUT, PROFILE, REGISTER, send, token_of};
use crate::support::{Answer, Client, Database, Options, PASSWORD, TestApp};

/// Who asks: in the order of the table's columns.
#[derive(Clone, Copy, Debug)]
enum Actor {
    Nobody,
    User,
    Other,
    Disabled,
    Deleted,
    SignedOut,
}

const ACTORS: [Actor; 6] = [
    Actor::Nobody,
    Actor::User,
    Actor::Other,
    Actor::Disabled,
    Actor::Deleted,
    Actor::SignedOut,
];

/// SPEC §1: 404 is for the profile of a deleted user, everything else is 401.
const EXPECTED: [(&str, &str, [u16; 6]); 7] = [
    ("POST", REGISTER, [201, 409, 409, 409, 201, 409]),
    ("POST", LOGIN, [401, 200, 200, 401, 401, 200]),
    ("POST", LOGOUT, [401, 200, 200, 401, 401, 401]),
    ("GET", PROFILE, [401, 200, 200, 401, 404, 401]),
    ("PUT", PROFILE, [401, 200, 200, 401, 404, 401]),
    ("GET", "/health", [200; 6]),
    ("GET", "/ready", [200; 6]),
];

on_both!(
    every_route_has_an_answer_for_everybody,
    a_server_that_is_starting_refuses_every_route_but_its_health,
);

// SEC-29, SEC-38, T060
async fn every_route_has_an_answer_for_everybody(database: Database) {
    let options = Options {
        client_failures: None,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    for (row, (method, path, statuses)) in EXPECTED.into_iter().enumerate() {
        for (actor, status) in ACTORS.into_iter().zip(statuses) {
            // E-mail and name of the account tell this cell from all others.
            let name = format!("{actor:?}{row}").to_lowercase();
            let client = become_actor(&app, actor, &name).await;
            let answer = ask(&client, method, path, &name).await;
            assert_eq!(
                answer.status, status,
                "{method} {path} by {actor:?}: {}",
                answer.text
            );
            if status == 200 && path == PROFILE {
                assert_eq!(
                    answer.body["email"],
                    format!("{name}@example.com"),
                    "everybody sees themselves"
                );
            }
            let challenge = answer.header("www-authenticate");
            let expected = match (path, status, actor) {
                (LOGIN, ..) | (_, 200..=299 | 404 | 409, _) => "",
                (.., Actor::Nobody) => "Bearer",
                _ => "Bearer error=\"invalid_token\"",
            };
            assert_eq!(challenge, expected, "{method} {path} by {actor:?}");
        }
    }
}

// REL-35
async fn a_server_that_is_starting_refuses_every_route_but_its_health(database: Database) {
    let options = Options {
        starting: true,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    for (method, path, _) in EXPECTED {
        // Whatever is sent, nothing of it is judged yet.
        let answers = [
            send(&app.anonymous().with_token("a.b.c"), method, path).await,
            ask(&app.anonymous(), method, path, "ann").await,
        ];
        for answer in answers {
            if path == "/health" {
                assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text);
            } else {
                let refusal = (503, "The server is not ready", "not_ready");
                assert_eq!(answer.refusal(), refusal, "{method} {path}");
            }
        }
    }
}

/// Signs `name` up and makes the account what `actor` says; nobody has none.
async fn become_actor(app: &TestApp, actor: Actor, name: &str) -> Client {
    if matches!(actor, Actor::Nobody) {
        return app.anonymous();
    }
    let client = app.user(name).await;
    match actor {
        Actor::Nobody | Actor::User => {}
        // Somebody whose session is a second one, beside a user who is signed in.
        Actor::Other => {
            return app
                .anonymous()
                .with_token(&token_of(app, &format!("{name}@example.com")).await);
        }
        Actor::Disabled => {
            let sql =
                format!("UPDATE users SET disabled_at = 1 WHERE email = '{name}@example.com'");
            app.database.execute(&sql).await;
        }
        Actor::Deleted => {
            // By the store, as the command line does it: SQLite cascades where foreign keys are on.
            let id = super::text(&client.get(PROFILE).await.body["id"])
                .parse()
                .expect("a UUID");
            assert!(app.app.store.delete_user(id).await.expect("a database"));
        }
        Actor::SignedOut => assert_eq!(send(&client, "POST", LOGOUT).await.status, 200),
    }
    client
}

async fn ask(client: &Client, method: &str, path: &str, name: &str) -> Answer {
    let email = format!("{name}@example.com");
    match (method, path) {
        ("POST", REGISTER) => {
            client
                .post(
                    path,
                    json!({"email": email, "name": name, "password": PASSWORD}),
                )
                .await
        }
        ("POST", LOGIN) => {
            client
                .post(path, json!({"email": email, "password": PASSWORD}))
                .await
        }
        ("PUT", PROFILE) => client.put(path, json!({"name": name})).await,
        _ => send(client, method, path).await,
    }
}

#[test]
fn every_documented_route_is_in_the_table() {
    let document = serde_json::to_value(gatewright::http::document()).expect("JSON");
    let documented: BTreeSet<(String, String)> = routes(&document).into_iter().collect();
    let listed = EXPECTED.map(|(method, path, _)| (method.to_owned(), path.to_owned()));
    assert_eq!(documented, listed.into_iter().collect());
}

/// Method and path of every operation.
pub(super) fn routes(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    paths
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("operations").keys();
            methods.map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect()
}
