//! Counters of failures: windows, growing waits, and clocks that are not what they should be.

use gatewright::store::{Cap, Reservation, Store};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::{HASH, NOW, id, insert_user, keys, session, texts};
use crate::support::Database;

on_both!(
    a_window_lets_so_many_pass,
    waits_double_up_to_a_quarter_of_an_hour,
    a_cap_of_one_waits_from_the_first_failure,
    failures_are_forgotten_after_a_quiet_day,
    all_caps_are_counted_or_none,
    a_wait_begins_when_the_failure_is_known,
    an_attempt_that_was_no_guess_is_taken_back,
    a_clock_set_back_locks_nobody_out,
    attempts_out_of_order_all_count,
    a_neighbour_whose_clock_is_ahead_opens_no_way_around,
);

const SECOND: i64 = 1000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn window(key: &str, count: i64) -> Cap {
    let key = key.to_owned();
    let window_ms = 60 * SECOND;
    Cap::Window {
        key,
        count,
        window_ms,
    }
}

fn backoff(key: &str, count: i64) -> Cap {
    let key = key.to_owned();
    Cap::Backoff { key, count }
}

fn granted(wait_ms: i64) -> Reservation {
    Reservation::Granted { wait_ms }
}

fn refused(index: usize, wait_ms: i64) -> Reservation {
    Reservation::Refused { index, wait_ms }
}

async fn reserve(store: &Store, cap: Cap, now: i64) -> Reservation {
    store.reserve(&[cap], now).await.expect("an answer")
}

// SEC-17
async fn a_window_lets_so_many_pass(database: Database) {
    let store = database.store().await;
    let attempt = async |now| reserve(&store, window("k", 3), now).await;
    assert_eq!(attempt(NOW).await, granted(0));
    assert_eq!(attempt(NOW + 10 * SECOND).await, granted(0));
    assert_eq!(attempt(NOW + 59 * SECOND).await, granted(0));
    let last_moment = NOW + 60 * SECOND - 1;
    assert_eq!(attempt(NOW + 59 * SECOND).await, refused(0, SECOND));
    assert_eq!(attempt(last_moment).await, refused(0, 1));
    // The window is over: a new one starts with this attempt.
    assert_eq!(attempt(NOW + 60 * SECOND).await, granted(0));
    assert_eq!(attempt(NOW + 60 * SECOND).await, granted(0));
    assert_eq!(attempt(NOW + 119 * SECOND).await, granted(0));
    assert_eq!(attempt(NOW + 119 * SECOND).await, refused(0, SECOND));
    assert_eq!(reserve(&store, window("other", 3), NOW).await, granted(0));
}

// REL-09: an outage in the middle of a sign-in must not lock the owner out.
async fn an_attempt_that_was_no_guess_is_taken_back(database: Database) {
    let store = database.store().await;
    let keys = ["client", "account", "pair"].map(str::to_owned);
    let caps = || {
        let [client, account, pair] = &keys;
        [window(client, 2), window(account, 2), backoff(pair, 2)]
    };
    let attempt = async || store.reserve(&caps(), NOW).await.expect("an answer");
    assert_eq!(attempt().await, granted(0));
    for _ in 0..3 {
        assert_eq!(attempt().await, granted(SECOND));
        store.take_back(&keys, true).await.expect("taken back");
    }
    assert_eq!(attempt().await, granted(SECOND), "nothing is left of them");
    store.take_back(&keys, false).await.expect("taken back");
    let reservation = reserve(&store, backoff("pair", 2), NOW).await;
    assert_eq!(
        reservation,
        refused(0, SECOND),
        "another attempt's wait stays"
    );
}

// SEC-14
async fn waits_double_up_to_a_quarter_of_an_hour(database: Database) {
    let store = database.store().await;
    let attempt = async |now| reserve(&store, backoff("k", 3), now).await;
    let mut now = NOW;
    assert_eq!(attempt(now).await, granted(0));
    assert_eq!(attempt(now).await, granted(0));
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
        let wait = seconds * SECOND;
        assert_eq!(attempt(now).await, granted(wait));
        assert_eq!(attempt(now).await, refused(0, wait));
        assert_eq!(attempt(now + wait - 1).await, refused(0, 1));
        now += wait;
    }
}

// SEC-14
async fn a_cap_of_one_waits_from_the_first_failure(database: Database) {
    let store = database.store().await;
    let attempt = async |now| reserve(&store, backoff("k", 1), now).await;
    assert_eq!(attempt(NOW).await, granted(SECOND));
    assert_eq!(attempt(NOW + SECOND).await, granted(2 * SECOND));
    let later = NOW + 2 * DAY;
    assert_eq!(
        attempt(later).await,
        granted(SECOND),
        "forgotten, and the first again"
    );
}

// SEC-14
async fn failures_are_forgotten_after_a_quiet_day(database: Database) {
    let store = database.store().await;
    let attempt = async |now| reserve(&store, backoff("k", 3), now).await;
    for wait in [0, 0, SECOND] {
        assert_eq!(attempt(NOW).await, granted(wait));
    }
    let almost = NOW + DAY - 1;
    assert_eq!(attempt(almost).await, granted(2 * SECOND));
    let quiet_day = almost + DAY;
    for wait in [0, 0, SECOND] {
        assert_eq!(attempt(quiet_day).await, granted(wait));
    }
}

// SEC-16
async fn all_caps_are_counted_or_none(database: Database) {
    let store = database.store().await;
    let caps = |name: &str, account: i64| {
        let [client, all, pair] = keys(name);
        [window(&client, 5), window(&all, account), backoff(&pair, 3)]
    };
    let attempt = async |caps: &[Cap]| store.reserve(caps, NOW).await.expect("an answer");
    for wait in [0, 0, SECOND] {
        assert_eq!(attempt(&caps("ann", 4)).await, granted(wait));
    }
    assert_eq!(attempt(&caps("ann", 4)).await, refused(2, SECOND));
    assert_eq!(attempt(&caps("ann", 3)).await, refused(1, 60 * SECOND));
    let rows = "SELECT key || ' ' || failures FROM limits ORDER BY key";
    assert_eq!(
        texts(&database, rows).await,
        ["account ann 3", "client ann 3", "pair ann 3"]
    );
    assert_eq!(attempt(&[]).await, granted(0), "no cap, no limit");
}

// SEC-14
async fn a_wait_begins_when_the_failure_is_known(database: Database) {
    let store = database.store().await;
    let attempt = async |now| reserve(&store, backoff("k", 2), now).await;
    let begin = async |until| store.begin_wait("k", until).await.expect("an answer");
    begin(NOW + HOUR).await;
    assert_eq!(attempt(NOW).await, granted(0), "nothing to begin yet");
    begin(NOW + HOUR).await;
    assert_eq!(attempt(NOW).await, granted(SECOND), "no wait was reserved");
    begin(NOW + 5 * SECOND).await;
    assert_eq!(attempt(NOW + SECOND).await, refused(0, 4 * SECOND));
    begin(NOW + 2 * SECOND).await;
    assert_eq!(
        attempt(NOW + SECOND).await,
        refused(0, 4 * SECOND),
        "a slower attempt does not shorten it"
    );
    assert_eq!(attempt(NOW + 5 * SECOND).await, granted(2 * SECOND));
}

// REL-28
async fn a_clock_set_back_locks_nobody_out(database: Database) {
    let store = database.store().await;
    let attempt = async |cap, now| reserve(&store, cap, now).await;
    for _ in 0..2 {
        attempt(window("w", 2), NOW).await;
    }
    assert_eq!(attempt(window("w", 2), NOW - HOUR).await, granted(0));
    let mut now = NOW;
    loop {
        match attempt(backoff("b", 1), now).await {
            Reservation::Granted { wait_ms } if wait_ms == 900 * SECOND => break,
            Reservation::Granted { wait_ms } | Reservation::Refused { wait_ms, .. } => {
                now += wait_ms;
            }
        }
    }
    let back = now - HOUR;
    let Reservation::Granted { wait_ms } = attempt(backoff("b", 1), back).await else {
        panic!("locked out for an hour and a quarter");
    };
    assert!(wait_ms <= 900 * SECOND, "{wait_ms}");
    // Neither is a small step back a way around the wait.
    let minute_back = back - 60 * SECOND;
    let wait_ms = wait_ms + 60 * SECOND;
    assert_eq!(
        attempt(backoff("b", 1), minute_back).await,
        refused(0, wait_ms)
    );
}

/// Each request reads the clock before it comes to the database, where the later one may be first. SEC-15
async fn attempts_out_of_order_all_count(database: Database) {
    let store = database.store().await;
    for cap in [backoff("b", 10), window("w", 10)] {
        let mut granted = 0;
        for back in 0..20 {
            match reserve(&store, cap.clone(), NOW - back).await {
                Reservation::Granted { .. } => granted += 1,
                Reservation::Refused { .. } => {}
            }
        }
        assert_eq!(granted, 10, "{cap:?}");
    }
}

// SEC-15, REL-28, REL-31
async fn a_neighbour_whose_clock_is_ahead_opens_no_way_around(database: Database) {
    let (here, neighbour) = (database.store().await, database.store().await);
    let ahead = 30 * SECOND;
    // One more, because the first wait is over by the neighbour's clock.
    for (cap, most) in [(backoff("b", 10), 11), (window("w", 10), 10)] {
        let mut granted = 0;
        for _ in 0..10 {
            for (store, now) in [(&neighbour, NOW + ahead), (&here, NOW)] {
                if let Reservation::Granted { .. } = reserve(store, cap.clone(), now).await {
                    granted += 1;
                }
            }
        }
        assert_eq!(granted, most, "{cap:?}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Reserve { caps: usize, forward_ms: i64 },
    BeginWait { forward_ms: i64 },
    Succeed,
    Clean,
}

fn step() -> impl Strategy<Value = Step> {
    let time = prop_oneof![
        Just(0),
        Just(1),
        Just(SECOND),
        -5 * SECOND..90 * SECOND,
        -HOUR..2 * DAY
    ];
    prop_oneof![
        8 => (0..4usize, time.clone()).prop_map(|(caps, forward_ms)| Step::Reserve { caps, forward_ms }),
        1 => time.prop_map(|forward_ms| Step::BeginWait { forward_ms }),
        1 => Just(Step::Succeed),
        1 => Just(Step::Clean),
    ]
}

async fn run(store: &Store, steps: &[Step]) -> Vec<String> {
    insert_user(store, 1).await;
    let [client, account, pair] = keys("ann");
    let caps = [window(&client, 6), window(&account, 4), backoff(&pair, 2)];
    let mut now = NOW;
    let mut answers = Vec::new();
    for (number, step) in (100..).zip(steps) {
        answers.push(match step {
            Step::Reserve {
                caps: count,
                forward_ms,
            } => {
                now += forward_ms;
                format!("{:?}", store.reserve(&caps[..*count], now).await)
            }
            Step::BeginWait { forward_ms } => {
                format!("{:?}", store.begin_wait(&pair, now + forward_ms).await)
            }
            Step::Succeed => {
                let session = session(number, id(1));
                let keys = keys("ann");
                format!("{:?}", store.sign_in(&session, HASH, HASH, &keys).await)
            }
            Step::Clean => format!("{:?}", store.delete_expired(now, 2).await),
        });
    }
    answers
}

/// The arithmetic is in SQL, so both databases have to be asked. REL-39
#[test]
fn both_databases_count_alike() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(postgres) = runtime.block_on(Database::postgres()) else {
        return;
    };
    let on_postgres = runtime.block_on(postgres.store());
    let config = ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let steps = proptest::collection::vec(step(), 1..60);
    let outcome = TestRunner::new(config).run(&steps, |steps| {
        runtime.block_on(async {
            postgres.execute("TRUNCATE users, sessions, limits").await;
            let sqlite = Database::sqlite();
            let expected = run(&sqlite.store().await, &steps).await;
            prop_assert_eq!(run(&on_postgres, &steps).await, expected);
            Ok(())
        })
    });
    outcome.expect("equal answers");
}
