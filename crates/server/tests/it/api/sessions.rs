//! Sessions are real: what ends them, where, and for how long (SPEC §1).

use axum::body::Body;
use futures_util::future::join_all;

use super::{ANN, LOGOUT, PROFILE, assert_unauthorized, sign_in, store_hash, token_of};
use crate::support::{Client, Database, Options, PASSWORD, TestApp};

on_both!(
    many_requests_with_one_token,
    a_session_and_its_token_end_together,
    an_end_is_known_to_every_instance_and_after_a_restart,
    disabling_ends_all_and_enabling_revives_none,
    another_password_ends_all,
    a_session_belongs_to_one_user,
    a_session_outlives_a_clock_set_back,
    after_a_sign_out_no_later_request_gets_through,
);

async fn sign_out(client: &Client) -> u16 {
    client
        .send(
            client
                .request("POST", LOGOUT)
                .body(Body::empty())
                .expect("a request"),
        )
        .await
        .status
}

// T047
async fn many_requests_with_one_token(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let answers = join_all((0..200).map(|_| ann.get(PROFILE))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
}

// T048, T051, SEC-39
async fn a_session_and_its_token_end_together(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    // The clock starts 123 ms into a second; the token's dates are whole seconds.
    app.clock.advance_ms(604_800_000 - 124);
    assert_eq!(ann.get(PROFILE).await.status, 200, "one millisecond before");
    app.clock.advance_ms(1);
    assert_unauthorized(&ann.get(PROFILE).await, "Token has expired", "at exp");
    // A session that an operator has cut short ends sooner than its token.
    let short = app.anonymous().with_token(&token_of(&app, ANN).await);
    app.database
        .execute("UPDATE sessions SET expires_at = created_at + 5000")
        .await;
    app.clock.advance_ms(4999);
    assert_eq!(short.get(PROFILE).await.status, 200);
    app.clock.advance_ms(1);
    assert_unauthorized(
        &short.get(PROFILE).await,
        "Token has expired",
        "the session's own end",
    );
}

// SEC-37, REL-31
async fn an_end_is_known_to_every_instance_and_after_a_restart(database: Database) {
    let here = TestApp::new(database.clone()).await;
    let there = TestApp::sharing(database.clone(), Options::default(), here.clock.clone()).await;
    let ann = here.user("ann").await;
    let other = here.anonymous().with_token(&token_of(&here, ANN).await);
    let on = |app: &TestApp, client: &Client| {
        app.anonymous()
            .with_token(client.token.as_deref().expect("a token"))
    };
    assert_eq!(on(&there, &ann).get(PROFILE).await.status, 200);
    assert_eq!(sign_out(&on(&there, &ann)).await, 200);
    assert_unauthorized(&ann.get(PROFILE).await, "Invalid token", "here, at once");
    assert_eq!(other.get(PROFILE).await.status, 200);
    let clock = here.clock.clone();
    drop((here, there));
    let again = TestApp::sharing(database, Options::default(), clock).await;
    assert_unauthorized(
        &on(&again, &ann).get(PROFILE).await,
        "Invalid token",
        "after a restart",
    );
    assert_eq!(
        on(&again, &other).get(PROFILE).await.status,
        200,
        "after a restart"
    );
}

fn operator() -> gatewright::auth::Caller {
    gatewright::auth::Caller {
        address: [127, 0, 0, 1].into(),
        request_id: "test".into(),
    }
}

async fn user_id(client: &Client) -> uuid::Uuid {
    super::text(&client.get(PROFILE).await.body["id"])
        .parse()
        .expect("a UUID")
}

// SEC-38
async fn disabling_ends_all_and_enabling_revives_none(database: Database) {
    let app = TestApp::new(database).await;
    let (ann, bob) = (app.user("ann").await, app.user("bob").await);
    let phone = app.anonymous().with_token(&token_of(&app, ANN).await);
    let id = user_id(&ann).await;
    gatewright::auth::disable(&app.app, id, &operator())
        .await
        .expect("a user");
    for client in [&ann, &phone] {
        assert_unauthorized(&client.get(PROFILE).await, "Invalid token", "disabled");
        assert_eq!(
            client
                .put(PROFILE, serde_json::json!({"name": "x"}))
                .await
                .status,
            401
        );
        assert_eq!(sign_out(client).await, 401);
    }
    assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 401);
    assert_eq!(bob.get(PROFILE).await.status, 200);

    gatewright::auth::enable(&app.app, id, &operator())
        .await
        .expect("a user");
    for client in [&ann, &phone] {
        assert_unauthorized(&client.get(PROFILE).await, "Invalid token", "enabled again");
    }
    let back = app.anonymous().with_token(&token_of(&app, ANN).await);
    assert_eq!(back.get(PROFILE).await.body["is_active"], true);
    // A row set by hand, with the sessions still there, is respected too.
    app.database
        .execute("UPDATE users SET disabled_at = 1 WHERE email = 'ann@example.com'")
        .await;
    assert_unauthorized(
        &back.get(PROFILE).await,
        "Invalid token",
        "disabled by hand",
    );
}

// SEC-41, as far as an operator can set passwords.
async fn another_password_ends_all(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    let id = user_id(&ann).await;
    let user = app
        .app
        .store
        .user_by_id(id)
        .await
        .expect("a database")
        .expect("a user");
    gatewright::auth::set_password(&app.app, &user, "another-horse-8", &operator())
        .await
        .expect("a user");
    assert_unauthorized(&ann.get(PROFILE).await, "Invalid token", "another password");
    assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 401);
    assert_eq!(
        sign_in(&app.anonymous(), ANN, "another-horse-8")
            .await
            .status,
        200
    );
}

// SEC-29: the database's word about the owner, not the token's.
async fn a_session_belongs_to_one_user(database: Database) {
    let app = TestApp::new(database).await;
    let (ann, bob) = (app.user("ann").await, app.user("bob").await);
    app.database
        .execute(
            "UPDATE sessions SET user_id = (SELECT id FROM users WHERE email = 'bob@example.com')",
        )
        .await;
    assert_unauthorized(&ann.get(PROFILE).await, "Invalid token", "given away");
    assert_eq!(
        sign_out(&ann).await,
        401,
        "and it cannot be ended from there"
    );
    assert_eq!(bob.get(PROFILE).await.status, 200);
    // An account made anew for the same e-mail does not take the old sessions over.
    app.database
        .execute("DELETE FROM users WHERE email = 'bob@example.com'")
        .await;
    app.user("bob").await;
    assert_eq!(bob.get(PROFILE).await.status, 404);
}

// REL-28: a token of an instance whose clock is ahead works on its neighbour, and never longer.
async fn a_session_outlives_a_clock_set_back(database: Database) {
    let app = TestApp::new(database).await;
    let ann = app.user("ann").await;
    app.clock.advance_ms(-3_600_000);
    assert_eq!(ann.get(PROFILE).await.status, 200);
    app.clock.advance_ms(3_600_000 + 604_800_000 - 123);
    assert_unauthorized(
        &ann.get(PROFILE).await,
        "Token has expired",
        "exp has not moved",
    );
}

// REL-38: what starts after the 200 is refused, over two instances and with requests in flight.
async fn after_a_sign_out_no_later_request_gets_through(database: Database) {
    let here = TestApp::new(database.clone()).await;
    let there = TestApp::sharing(database, Options::default(), here.clock.clone()).await;
    here.user("ann").await;
    store_hash(&here, ANN, &bcrypt::hash(PASSWORD, 4).expect("a hash")).await;
    for round in 0..10 {
        let ann = here.anonymous().with_token(&token_of(&here, ANN).await);
        let twin = there
            .anonymous()
            .with_token(ann.token.as_deref().expect("a token"));
        let noise = join_all((0..10).map(|_| twin.get(PROFILE)));
        let ended = async {
            assert_eq!(sign_out(&ann).await, 200, "{round}");
            join_all((0..5).map(|_| twin.get(PROFILE))).await
        };
        let (during, after) = futures_util::future::join(noise, ended).await;
        assert!(
            during
                .iter()
                .all(|answer| [200, 401].contains(&answer.status)),
            "{round}"
        );
        assert!(after.iter().all(|answer| answer.status == 401), "{round}");
    }
}
