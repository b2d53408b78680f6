//! The whole house with its workers running.

use std::net::{IpAddr, Ipv4Addr};
use std::{fs, iter};

use super::super::scheme::Scheme;
use super::super::{Busy, HashError, Hasher, HasherSettings, Load, Verdict};
use super::*;

const SALT: [u8; 16] = *b"sixteen of salt!";

fn hasher(workers: usize, cost: u32) -> Hasher {
    Hasher::start(HasherSettings {
        scheme: Scheme::Bcrypt { cost },
        workers,
        lanes: Some(4),
        max_wait: Duration::from_secs(600),
        max_waiting: 2_000,
    })
    .unwrap()
}

fn network(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}

/// A sign-in of the network that takes one hash, and tells whether it was computed.
fn sign_in(hasher: &Hasher, number: u8) -> tokio::task::JoinHandle<Result<Verdict, HashError>> {
    let ticket = hasher.admit(network(number)).unwrap();
    tokio::spawn(ticket.verify(b"password", None, SALT))
}

/// The counters without those that only grow.
fn at_work(hasher: &Hasher) -> (usize, usize, usize) {
    let Load {
        places,
        waiting,
        running,
        ..
    } = hasher.load();
    (places, waiting, running)
}

async fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "waited in vain");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_quiet_network_does_not_wait_for_a_flood() {
    let hasher = hasher(1, 10);
    let flood: Vec<_> = (0..200).map(|_| sign_in(&hasher, 1)).collect();
    until(|| hasher.load().hashes >= 3).await;
    let before = hasher.load().hashes;
    let verdict = sign_in(&hasher, 2).await.unwrap().unwrap();
    assert_eq!(verdict, Verdict::Refused);
    // It runs beside three of the flood, each of which may be followed by another before it is done.
    let overtaken_by = hasher.load().hashes - before - 1;
    assert!(overtaken_by <= 6, "{overtaken_by} of the flood went first");
    flood.iter().for_each(tokio::task::JoinHandle::abort);
    until(|| at_work(&hasher) == (0, 0, 0)).await;
}

/// REL-19: by hand, no worker runs. Worker 0 is the express worker.
#[test]
fn a_worker_makes_room_for_a_job_that_goes_ahead_in_another() {
    let settings = HasherSettings {
        scheme: Scheme::Bcrypt { cost: 4 },
        workers: 2,
        lanes: Some(3),
        max_wait: Duration::from_secs(5),
        max_waiting: 100,
    };
    let queue = Arc::new(Queue::new(settings, 2));
    let capacity = Capacity {
        lanes: 3,
        pace: 1_000.0,
    };
    let [mut express, mut other] = [0, 1].map(|number| Worker::new(&queue, number, &capacity));
    let submit = |number, jobs| {
        let mut place = queue.enter(network(number), 16).unwrap();
        let work = || Scheme::Bcrypt { cost: 4 }.recipe([0; 16]).work(b"password");
        let replies: Vec<_> = (0..jobs).map(|_| place.submit(work(), 16)).collect();
        (place, replies)
    };
    let _flood = submit(1, 20);
    for _ in 0..2 {
        express.take_jobs();
        other.take_jobs();
    }
    let turn_of = |worker: &Worker| worker.turn(&queue.networks_ahead());
    let usual = Turn::OfAll { makes_room: false };
    assert_eq!(turn_of(&express), usual);
    assert_eq!(turn_of(&other), usual);
    let quiet = submit(2, 1);
    express.take_jobs();
    assert_eq!(turn_of(&express), Turn::OfThoseAhead { lanes: 1 });
    assert_eq!(turn_of(&other), Turn::OfAll { makes_room: true });
    let (start, before) = (Instant::now(), computing_time());
    other.advance_lanes();
    assert!(start.elapsed() > 3 * (computing_time() - before), "rests");
    // Its client goes away, and nobody need make room any longer.
    drop(quiet);
    express.advance_lanes();
    assert_eq!(turn_of(&other), usual);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_sign_ins_are_all_answered_and_leave_nothing_behind() {
    // REL-18
    let hasher = hasher(2, 4);
    let stored = hasher
        .admit(network(0))
        .unwrap()
        .hash(b"password", SALT)
        .await
        .unwrap();
    let sign_ins: Vec<_> = (0..1_000_u32)
        .map(|number| {
            let (hasher, stored) = (hasher.clone(), stored.clone());
            tokio::spawn(async move {
                let ticket = hasher.admit(network((number % 7) as u8)).unwrap();
                let password: &[u8] = if number % 2 == 0 {
                    b"password"
                } else {
                    b"wrong"
                };
                let verdict = ticket.verify(password, Some(&stored), SALT).await.unwrap();
                assert_eq!(verdict == Verdict::Matches, number % 2 == 0);
            })
        })
        .collect();
    for sign_in in sign_ins {
        sign_in.await.unwrap();
    }
    assert_eq!(at_work(&hasher), (0, 0, 0));
    assert_eq!(hasher.load().hashes, 1_001);
}

#[tokio::test]
async fn work_of_clients_that_have_gone_is_not_done() {
    // REL-24
    let hasher = hasher(2, 15);
    let sign_ins: Vec<_> = (0..500)
        .map(|number| sign_in(&hasher, number as u8))
        .collect();
    until(|| hasher.load().running > 0).await;
    let unused = hasher.admit(network(1)).unwrap();
    sign_ins.iter().for_each(tokio::task::JoinHandle::abort);
    drop(unused);
    // A hash of cost 15 takes seconds; none is finished, in lanes or in line.
    until(|| at_work(&hasher) == (0, 0, 0)).await;
    assert_eq!(hasher.load().hashes, 0);
}

#[tokio::test]
async fn a_job_that_panics_harms_no_other_for_long() {
    let hasher = hasher(1, 4);
    for _ in 0..3 {
        let mut place = hasher.queue().enter(network(1), 1).unwrap();
        let lost = place.submit(Work::Panic, 1).await;
        assert!(lost.is_err());
        drop(place);
        let verdict = sign_in(&hasher, 1).await.unwrap();
        assert_eq!(verdict, Ok(Verdict::Refused));
        assert_eq!(at_work(&hasher), (0, 0, 0));
    }
}

#[tokio::test]
async fn the_workers_stop_with_the_last_hasher() {
    let hasher = hasher(1, 15);
    let queue = Arc::downgrade(hasher.queue());
    let sign_in = sign_in(&hasher, 1);
    let late = hasher.admit(network(2)).unwrap();
    drop(hasher.clone());
    until(|| hasher.load().running == 1).await;
    drop(hasher);
    assert_eq!(sign_in.await.unwrap(), Err(HashError::Lost));
    assert_eq!(late.hash(b"password", SALT).await, Err(HashError::Lost));
    until(|| queue.strong_count() == 0).await;
}

/// REL-18: what is predicted at the door may prove wrong, what is promised may not.
#[tokio::test]
async fn whoever_waits_longer_than_was_foreseen_is_refused_after_all() {
    let max_wait = Duration::from_millis(100);
    let hasher = Hasher::start(HasherSettings {
        scheme: Scheme::Bcrypt { cost: 10 },
        workers: 1,
        lanes: Some(2),
        max_wait,
        max_waiting: 8,
    })
    .unwrap();
    let ticket = hasher.admit(network(1)).unwrap();
    tokio::time::sleep(max_wait * 3 / 2).await;
    let verdict = ticket.verify(b"password", None, SALT).await;
    assert_eq!(
        verdict,
        Err(HashError::Late(Busy {
            retry_after_seconds: 1
        }))
    );
    until(|| at_work(&hasher) == (0, 0, 0)).await;
    let again = hasher.admit(network(1)).unwrap();
    assert_eq!(
        again.verify(b"password", None, SALT).await,
        Ok(Verdict::Refused)
    );
}

#[tokio::test]
async fn argon2id_and_bcrypt_share_a_worker() {
    let hasher = hasher(1, 8);
    let long: Vec<_> = iter::repeat_n([b'a'; 100], 10)
        .map(|password| {
            let ticket = hasher.admit(network(1)).unwrap();
            tokio::spawn(async move { ticket.hash(&password, SALT).await })
        })
        .collect();
    let short: Vec<_> = (0..10).map(|_| sign_in(&hasher, 2)).collect();
    for (long, short) in long.into_iter().zip(short) {
        assert!(long.await.unwrap().unwrap().starts_with("$argon2id$"));
        assert_eq!(short.await.unwrap(), Ok(Verdict::Refused));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn workers_yield_to_everything_else() {
    // REL-19
    let hasher = hasher(2, 4);
    sign_in(&hasher, 1).await.unwrap().unwrap();
    let mut nicenesses = Vec::new();
    for task in fs::read_dir("/proc/self/task").unwrap() {
        // A thread of another test may end while this one looks.
        let Ok(stat) = fs::read_to_string(task.unwrap().path().join("stat")) else {
            continue;
        };
        // proc_pid_stat(5): niceness is the 19th field, the name is the 2nd and in brackets.
        let (start, rest) = stat.rsplit_once(") ").unwrap();
        let niceness: i32 = rest.split(' ').nth(16).unwrap().parse().unwrap();
        if start.contains("(hash-") {
            nicenesses.push(niceness);
        }
    }
    let own = rustix::process::getpriority_process(None).unwrap();
    for expected in [own + NICENESS, own + EXPRESS_NICENESS] {
        assert!(nicenesses.contains(&expected), "{nicenesses:?}");
    }
}

// REL-19
#[test]
fn a_worker_rests_as_long_as_it_was_kept_off_its_core() {
    let ms = Duration::from_millis;
    assert_eq!(rest(ms(2), ms(2), false), None, "nobody wants its core");
    let interrupted = Duration::from_micros(1_900);
    assert_eq!(rest(ms(2), interrupted, false), None, "not worth it");
    assert_eq!(rest(ms(5), ms(2), false), Some(ms(3)));
    assert_eq!(rest(ms(2), ms(2), true), Some(ms(32)), "makes room");
    for makes_room in [false, true] {
        let after_a_standstill = rest(ms(60_000), ms(2), makes_room);
        assert_eq!(after_a_standstill, Some(ms(100)));
    }
}

#[test]
fn the_computing_time_of_a_thread_is_not_that_of_others() {
    let (start, before) = (Instant::now(), computing_time());
    thread::sleep(Duration::from_millis(50));
    let slept = computing_time() - before;
    assert!(slept < Duration::from_millis(25), "{slept:?}");
    while computing_time() - before < Duration::from_millis(50) {
        assert!(start.elapsed() < Duration::from_secs(10), "it stands still");
    }
}

#[test]
fn the_pace_follows_what_is_measured_and_recovers_at_rest() {
    let published = AtomicU64::new(0);
    let mut pace = Pace::new(&published, 80_000.0);
    assert_eq!(published.load(Ordering::Relaxed), 80_000);
    for _ in 0..5_000 {
        pace.record(20, Duration::from_millis(1));
    }
    let slow = published.load(Ordering::Relaxed);
    assert!((20_000..21_000).contains(&slow), "{slow}");
    pace.record(100_000, Duration::from_secs(1));
    let faster = published.load(Ordering::Relaxed);
    assert!((35_000..37_000).contains(&faster), "{faster}");
    pace.rest();
    assert_eq!(published.load(Ordering::Relaxed), 80_000);
}

// REL-37
#[test]
fn a_machine_that_stood_still_is_not_taken_for_a_slow_one() {
    let published = AtomicU64::new(0);
    let mut pace = Pace::new(&published, 80_000.0);
    pace.record(96, Duration::from_secs(60));
    assert_eq!(published.load(Ordering::Relaxed), 64_000);
}

#[test]
fn the_last_lane_never_is_the_only_one() {
    for (asked, lanes) in [(0, 2), (1, 2), (4, 4), (8, 8), (99, 8)] {
        let capacity = Capacity::measure(Some(asked));
        assert_eq!(capacity.lanes, lanes);
        assert!(capacity.pace > 0.0);
    }
    assert!((2..=MAX_LANES).contains(&Capacity::measure(None).lanes));
}
