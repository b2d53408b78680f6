//! Every refusal takes the same time (T029, SEC-13).

use std::time::Instant;

use gatewright::hash::Scheme;

use super::{sign_in, store_hash};
use crate::support::{Database, Options, PASSWORD, TestApp};

on_both!(
    every_refusal_computes_the_same_hash,
    every_refusal_takes_the_same_time
);

/// Samples of each kind in a round, taken in turns, and each compared with the one of the first kind in its turn: so the
/// machine's moods meet both alike.
const SAMPLES: usize = 60;
/// A machine that is busy with something else is given another chance, with more samples; a leak would stay.
const ROUNDS: usize = 3;

/// Users whose sign-ins are refused for every reason, on an app that never says 429.
async fn app(database: Database, cost: u32) -> TestApp {
    let options = Options {
        scheme: Scheme::Bcrypt { cost },
        login_failures: 1_000_000,
        client_failures: None,
        ..Options::default()
    };
    let app = TestApp::with(database, options).await;
    for name in ["ann", "disabled", "cheap", "empty", "broken"] {
        app.user(name).await;
    }
    app.database
        .execute("UPDATE users SET disabled_at = 1 WHERE email LIKE 'disabled@%'")
        .await;
    app.database
        .execute("UPDATE users SET password_hash = NULL WHERE email LIKE 'empty@%'")
        .await;
    store_hash(&app, "broken@example.com", "$2b$04$broken").await;
    store_hash(
        &app,
        "cheap@example.com",
        &bcrypt::hash(PASSWORD, 4).expect("a hash"),
    )
    .await;
    app
}

// T033: what is computed, exactly.
async fn every_refusal_computes_the_same_hash(database: Database) {
    let app = app(database, 7).await;
    let long = "p".repeat(129);
    for (email, password, also) in [
        ("nobody@example.com", PASSWORD, 0),
        ("nobody", PASSWORD, 0),
        ("", "", 0),
        ("ann@example.com", "wrong-horse-7", 0),
        ("ann@example.com", "", 0),
        ("ann@example.com", &long, 0),
        ("ann@example.com", "nul\0", 0),
        ("disabled@example.com", PASSWORD, 0),
        ("empty@example.com", PASSWORD, 0),
        ("broken@example.com", PASSWORD, 0),
        // Its own hash beside the configured one, in another lane at the same time.
        ("cheap@example.com", "wrong-horse-7", 1 << 4),
    ] {
        let before = app.app.hasher.load().rounds;
        assert_eq!(
            sign_in(&app.anonymous(), email, password).await.status,
            401,
            "{email}"
        );
        assert_eq!(
            app.app.hasher.load().rounds - before,
            (1 << 7) + also,
            "{email} {password:?}"
        );
    }
}

async fn every_refusal_takes_the_same_time(database: Database) {
    let app = app(database, 8).await;
    let kinds = [
        ("unknown", "nobody@example.com", PASSWORD),
        ("wrong", "ann@example.com", "wrong-horse-7"),
        ("disabled", "disabled@example.com", PASSWORD),
        ("cheaper hash", "cheap@example.com", "wrong-horse-7"),
    ];
    let client = app.anonymous();
    let mut ratios = vec![Vec::new(); kinds.len()];
    for _ in 0..ROUNDS {
        for _ in 0..SAMPLES {
            let mut reference = None;
            for (index, (_, email, password)) in kinds.iter().enumerate() {
                let started = Instant::now();
                let status = sign_in(&client, email, password).await.status;
                let seconds = started.elapsed().as_secs_f64();
                ratios[index].push(seconds / *reference.get_or_insert(seconds));
                assert_eq!(status, 401);
            }
        }
        let medians = ratios.iter().map(|ratios| median(ratios));
        let longest = medians.clone().fold(0.0, f64::max);
        let shortest = medians.fold(f64::INFINITY, f64::min);
        if longest <= 1.1 * shortest {
            return;
        }
    }
    let medians = kinds
        .iter()
        .zip(&ratios)
        .map(|((name, ..), ratios)| format!(" {name} {:.3}", median(ratios)));
    panic!(
        "the times differ by more than a tenth; against that of an unknown account:{}",
        medians.collect::<String>()
    );
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
