//! Guessing limits by the fixed clock: failures cost waits that double (SEC-14 to SEC-16, SEC-20).

use futures_util::future::join_all;
use serde_json::json;

use super::{ANN, LOGIN, REGISTER, sign_in};
use crate::support::{Answer, Client, Database, Options, PASSWORD, TestApp};

const NOBODY: &str = "nobody@example.com";

on_both!(
    ten_failures_then_waits_that_double,
    the_answer_is_the_same_for_everything,
    a_success_clears_the_count,
    failures_are_forgotten_after_a_day,
    one_network_does_not_lock_out_another,
    instances_share_the_count_and_restarts_keep_it,
    parallel_guesses_cannot_pass_the_limit,
    parallel_right_passwords_all_succeed,
    one_client_has_a_limit_over_all_accounts,
    sign_ups_count_for_the_client,
    successes_are_not_counted,
    both_limits_can_be_set,
    a_clock_set_back_locks_nobody_out,
    an_account_has_a_limit_over_all_networks,
    validation_costs_nothing,
);

async fn guess(client: &Client, email: &str) -> Answer {
    sign_in(client, email, "wrong-horse-7").await
}

/// Fails `count` times, each with 401.
async fn fail(client: &Client, email: &str, count: u32) {
    for number in 0..count {
        let answer = guess(client, email).await;
        assert_eq!(answer.status, 401, "{email} {number}: {}", answer.text);
    }
}

/// The `Retry-After` of a 429; SEC-20: an integer.
fn wait_seconds(answer: &Answer) -> i64 {
    assert_eq!(
        answer.refusal(),
        (
            429,
            "Too many attempts, try again later",
            "too_many_attempts"
        )
    );
    assert_eq!(answer.headers.get_all("retry-after").iter().count(), 1);
    answer.header("retry-after").parse().expect("whole seconds")
}

// SEC-14, SEC-20: and Retry-After is truthful to the millisecond.
async fn ten_failures_then_waits_that_double(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    let client = app.anonymous();
    for email in [ANN, NOBODY] {
        fail(&client, email, 10).await;
        let mut expected = 1;
        for _ in 0..13 {
            assert_eq!(
                wait_seconds(&guess(&client, email).await),
                expected,
                "{email}"
            );
            assert_eq!(
                wait_seconds(&sign_in(&client, email, PASSWORD).await),
                expected,
                "asking costs nothing"
            );
            app.clock.advance_ms(expected * 1000 - 1);
            assert_eq!(
                wait_seconds(&guess(&client, email).await),
                1,
                "{email}: too early"
            );
            app.clock.advance_ms(1);
            assert_eq!(
                guess(&client, email).await.status,
                401,
                "{email} after {expected} s"
            );
            expected = (expected * 2).min(900);
        }
        assert_eq!(
            wait_seconds(&guess(&client, email).await),
            900,
            "fifteen minutes at most"
        );
    }
}

// SEC-16: known and unknown e-mails, right and wrong passwords.
async fn the_answer_is_the_same_for_everything(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    let disabled = "bob@example.com";
    app.user("bob").await;
    app.database
        .execute("UPDATE users SET disabled_at = 1 WHERE email LIKE 'bob@%'")
        .await;
    let mut answers = Vec::new();
    for (number, email) in [ANN, NOBODY, disabled, "no e-mail", "ann@example.com\0"]
        .into_iter()
        .enumerate()
    {
        let client = app.anonymous().at(&format!("198.51.100.{number}"));
        fail(&client, email, 10).await;
        answers.push(guess(&client, email).await);
        answers.push(sign_in(&client, email, PASSWORD).await);
        answers.push(sign_in(&client, email, "").await);
    }
    for answer in &answers {
        assert_eq!(wait_seconds(answer), 1);
        assert_eq!(answer.text, answers[0].text);
        let names = |answer: &Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(answer), names(&answers[0]));
        assert_eq!(answer.header("www-authenticate"), "");
    }
    // Another spelling of the e-mail is the same account.
    let client = app.anonymous().at("198.51.100.0");
    for email in [" ANN@Example.com", "ann@example\u{ff0e}com"] {
        assert_eq!(wait_seconds(&guess(&client, email).await), 1, "{email:?}");
    }
}

async fn a_success_clears_the_count(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    let client = app.anonymous();
    for _ in 0..3 {
        fail(&client, ANN, 9).await;
        assert_eq!(sign_in(&client, ANN, PASSWORD).await.status, 200);
    }
    // After a wait, too.
    fail(&client, ANN, 10).await;
    app.clock.advance_ms(1000);
    assert_eq!(sign_in(&client, ANN, PASSWORD).await.status, 200);
    fail(&client, ANN, 10).await;
    assert_eq!(
        wait_seconds(&guess(&client, ANN).await),
        1,
        "from the beginning again"
    );
}

async fn failures_are_forgotten_after_a_day(database: Database) {
    let app = TestApp::new(database).await;
    let client = app.anonymous();
    fail(&client, NOBODY, 10).await;
    app.clock.advance_ms(24 * 60 * 60 * 1000);
    fail(&client, NOBODY, 10).await;
    assert_eq!(wait_seconds(&guess(&client, NOBODY).await), 1);
}

// SEC-16: an attacker cannot keep the owner out.
async fn one_network_does_not_lock_out_another(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    let attacker = app.anonymous().at("203.0.113.66");
    fail(&attacker, ANN, 10).await;
    for _ in 0..30 {
        wait_seconds(&guess(&attacker, ANN).await);
    }
    assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 200);
    assert_eq!(
        guess(&app.anonymous().at("203.0.113.67"), ANN).await.status,
        401,
        "a neighbour"
    );
    // Another account from the attacker's network is not held up either.
    app.user("bob").await;
    assert_eq!(
        sign_in(&attacker, "bob@example.com", PASSWORD).await.status,
        200
    );
}

// SEC-20, REL-31, REL-32
async fn instances_share_the_count_and_restarts_keep_it(database: Database) {
    let here = TestApp::new(database.clone()).await;
    let there = TestApp::sharing(database.clone(), Options::default(), here.clock.clone()).await;
    fail(&here.anonymous(), NOBODY, 5).await;
    fail(&there.anonymous(), NOBODY, 5).await;
    for app in [&here, &there] {
        assert_eq!(wait_seconds(&guess(&app.anonymous(), NOBODY).await), 1);
    }
    let clock = here.clock.clone();
    drop((here, there));
    let again = TestApp::sharing(database, Options::default(), clock).await;
    assert_eq!(
        wait_seconds(&guess(&again.anonymous(), NOBODY).await),
        1,
        "after a restart"
    );
}

// SEC-15, over two instances at once.
async fn parallel_guesses_cannot_pass_the_limit(database: Database) {
    let here = TestApp::new(database.clone()).await;
    let there = TestApp::sharing(database, Options::default(), here.clock.clone()).await;
    here.user("ann").await;
    for email in [ANN, NOBODY] {
        let clients = [here.anonymous(), there.anonymous()];
        let answers = join_all((0..50).map(|number| guess(&clients[number % 2], email))).await;
        let failed = answers.iter().filter(|answer| answer.status == 401).count();
        let refused: Vec<_> = answers
            .iter()
            .filter(|answer| answer.status != 401)
            .collect();
        assert_eq!((failed, refused.len()), (10, 40), "{email}");
        refused
            .iter()
            .for_each(|answer| assert!(wait_seconds(answer) >= 1));
    }
}

// Successes do not count against anybody, however many at once.
async fn parallel_right_passwords_all_succeed(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    let client = app.anonymous();
    let answers = join_all((0..50).map(|_| sign_in(&client, ANN, PASSWORD))).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200; 50]);
    assert!(app.app.gate.is_empty(), "nothing is left behind");
    fail(&client, ANN, 10).await;
    assert_eq!(wait_seconds(&guess(&client, ANN).await), 1);
}

// SEC-17
async fn one_client_has_a_limit_over_all_accounts(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    let attacker = app.anonymous().at("203.0.113.66");
    for number in 0..100 {
        let answer = guess(&attacker, &format!("user{number}@example.com")).await;
        assert_eq!(answer.status, 401, "{number}");
    }
    app.clock.advance_ms(20_000);
    assert_eq!(
        wait_seconds(&guess(&attacker, "user100@example.com").await),
        40
    );
    assert_eq!(wait_seconds(&sign_in(&attacker, ANN, PASSWORD).await), 40);
    let sign_up = json!({"email": "eve@example.com", "name": "Eve", "password": PASSWORD});
    assert_eq!(
        wait_seconds(&attacker.post(REGISTER, sign_up).await),
        40,
        "sign-ups are held up too"
    );
    assert_eq!(
        sign_in(&app.anonymous(), ANN, PASSWORD).await.status,
        200,
        "nobody else is"
    );
    app.clock.advance_ms(39_999);
    assert_eq!(
        wait_seconds(&guess(&attacker, "user100@example.com").await),
        1
    );
    app.clock.advance_ms(1);
    assert_eq!(guess(&attacker, "user100@example.com").await.status, 401);
}

// SEC-17
async fn sign_ups_count_for_the_client(database: Database) {
    let app = TestApp::new(database).await;
    let client = app.anonymous().at("203.0.113.66");
    let sign_up = |number: u32| json!({"email": format!("user{number}@example.com"), "name": "x", "password": PASSWORD});
    let answers =
        join_all((0..120).map(|number| client.post(REGISTER, sign_up(number % 60)))).await;
    let count = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!(count(201) + count(409), 100, "taken e-mails count as well");
    assert_eq!(count(429), 20);
    assert_eq!(wait_seconds(&guess(&client, NOBODY).await), 60);
}

// SEC-17: a hundred and fifty sign-ins in a minute from one address are no attack.
async fn successes_are_not_counted(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    for _ in 0..150 {
        assert_eq!(sign_in(&app.anonymous(), ANN, PASSWORD).await.status, 200);
    }
}

async fn both_limits_can_be_set(database: Database) {
    let options = Options {
        login_failures: 2,
        client_failures: None,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    let client = app.anonymous();
    fail(&client, NOBODY, 2).await;
    assert_eq!(wait_seconds(&guess(&client, NOBODY).await), 1);
    // Off: no limit over all accounts.
    for number in 0..120 {
        assert_eq!(
            guess(&client, &format!("user{number}@example.com"))
                .await
                .status,
            401
        );
    }
}

// REL-28
async fn a_clock_set_back_locks_nobody_out(database: Database) {
    let app = TestApp::new(database).await;
    app.user("ann").await;
    let client = app.anonymous();
    fail(&client, ANN, 10).await;
    for number in 0..90 {
        guess(&client, &format!("user{number}@example.com")).await;
    }
    wait_seconds(&guess(&client, NOBODY).await);
    app.clock.advance_ms(-3_600_000);
    assert_eq!(sign_in(&client, ANN, PASSWORD).await.status, 200);
    // And the limit is there again.
    fail(&client, ANN, 10).await;
    assert_eq!(wait_seconds(&guess(&client, ANN).await), 1);
}

// SEC-16: ten times what one network may, in an hour; the owner's own wait is bounded by it.
async fn an_account_has_a_limit_over_all_networks(database: Database) {
    let options = Options {
        login_failures: 3,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    let at = |number: u32| app.anonymous().at(&format!("198.51.100.{number}"));
    for number in 0..15 {
        fail(&at(number), NOBODY, 2).await;
    }
    assert_eq!(wait_seconds(&guess(&at(99), NOBODY).await), 3600);
    app.clock.advance_ms(3_600_000);
    assert_eq!(guess(&at(99), NOBODY).await.status, 401);
}

// T017, T018: a typing mistake in a form is no guess.
async fn validation_costs_nothing(database: Database) {
    let app = TestApp::new(database).await;
    let client = app.anonymous();
    for _ in 0..120 {
        assert_eq!(
            client.post(REGISTER, json!({"email": "x"})).await.status,
            400
        );
        assert_eq!(client.post(LOGIN, json!({"email": ANN})).await.status, 400);
    }
    assert_eq!(guess(&client, NOBODY).await.status, 401);
}
