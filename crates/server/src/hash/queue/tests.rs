//! The door and the turns, by hand: no worker runs, so that every wait and every order is exact.

use std::net::Ipv4Addr;
use std::thread;

use super::super::scheme::Scheme;
use super::*;

/// A queue whose workers together do 1,000 rounds a second.
fn queue(workers: usize, max_waiting: usize) -> Arc<Queue> {
    let queue = Queue::new(
        HasherSettings {
            scheme: Scheme::Bcrypt { cost: 4 },
            workers,
            lanes: Some(4),
            max_wait: Duration::from_secs(5),
            max_waiting,
        },
        workers,
    );
    for pace in &queue.paces {
        pace.store(1_000 / workers as u64, Ordering::Relaxed);
    }
    Arc::new(queue)
}

fn network(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, number).into()
}

fn some_work() -> Work {
    Scheme::Bcrypt { cost: 4 }.recipe([0; 16]).work(b"password")
}

fn big_work() -> Work {
    let text =
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
    let stored = super::super::scheme::Stored::parse(text).expect("a good hash");
    stored.recipe.work(b"password")
}

/// A place with so many jobs waiting.
fn place_with_jobs(queue: &Arc<Queue>, number: u8, jobs: usize) -> Place {
    let mut place = queue.enter(network(number), 16).unwrap();
    for _ in 0..jobs {
        // Nobody waits for the digest: a test that looks at turns alone.
        drop(place.submit(some_work(), 16));
    }
    place
}

fn taken(next: Next) -> Option<Running> {
    match next {
        Next::Job(_, running) => Some(running),
        Next::Nothing | Next::Closed => None,
    }
}

#[test]
fn the_door_closes_when_the_wait_is_too_long_and_says_how_long_it_is() {
    let queue = queue(2, 100);
    let mut inside: Vec<_> = (0..5)
        .map(|_| queue.enter(network(1), 1_000).unwrap())
        .collect();
    let busy = queue.enter(network(1), 1_000).err();
    assert_eq!(
        busy,
        Some(Busy {
            retry_after_seconds: 6
        })
    );
    // Truthful: what was in the way is done, and there is a place again.
    inside.pop();
    assert!(queue.enter(network(1), 1_000).is_ok());
}

#[test]
fn what_is_left_of_a_second_counts_as_a_whole_one() {
    let queue = queue(1, 100);
    let _inside = queue.enter(network(1), 5_000).unwrap();
    let busy = queue.enter(network(1), 1).err();
    assert_eq!(
        busy,
        Some(Busy {
            retry_after_seconds: 6
        })
    );
}

#[test]
fn a_flood_does_not_close_the_door_to_others() {
    let queue = queue(1, 100);
    let _flood: Vec<_> = (0..5)
        .map(|_| queue.enter(network(1), 1_000).unwrap())
        .collect();
    assert!(queue.enter(network(1), 1_000).is_err());
    // The others take turns with the flood: one second of theirs waits for one second of it.
    let first = queue.enter(network(2), 1_000);
    let second = queue.enter(network(2), 1_000);
    assert!(first.is_ok() && second.is_ok());
    assert!(queue.enter(network(2), 1_000).is_err());
    assert!(queue.enter(network(3), 1_000).is_ok());
}

#[test]
fn places_are_bounded_and_one_network_cannot_have_them_all() {
    let queue = queue(1, 8);
    let flood: Vec<_> = (0..20)
        .filter_map(|_| queue.enter(network(1), 0).ok())
        .collect();
    assert_eq!(flood.len(), 6);
    let _second = queue.enter(network(2), 0).unwrap();
    let _third = queue.enter(network(3), 0).unwrap();
    assert!(queue.enter(network(4), 0).is_err());
    assert_eq!(queue.load().places, 8);
    drop(flood);
    assert!(queue.enter(network(4), 0).is_ok());
}

#[test]
fn one_place_is_enough_for_a_queue() {
    let queue = queue(1, 1);
    let place = queue.enter(network(1), 0).unwrap();
    assert!(queue.enter(network(2), 0).is_err());
    drop(place);
    assert!(queue.enter(network(2), 0).is_ok());
}

#[test]
fn more_work_than_foreseen_counts() {
    let queue = queue(1, 100);
    let _keeps_the_line = queue.enter(network(1), 0).unwrap();
    let mut place = queue.enter(network(1), 1_000).unwrap();
    let _target = place.submit(some_work(), 4_000);
    let _price = place.submit(some_work(), 1_000);
    let busy = queue.enter(network(1), 1_000).err();
    assert_eq!(
        busy,
        Some(Busy {
            retry_after_seconds: 6
        })
    );
    drop(place);
    assert!(queue.enter(network(1), 5_000).is_ok());
}

#[test]
fn networks_take_turns() {
    let queue = queue(1, 100);
    let _flood = place_with_jobs(&queue, 1, 3);
    let _quiet = place_with_jobs(&queue, 2, 1);
    let order: Vec<_> = (0..4)
        .filter_map(|_| taken(queue.next(0, 4, false)))
        .map(|running| running.network)
        .collect();
    assert_eq!(order, [network(1), network(2), network(1), network(1)]);
    assert!(taken(queue.next(0, 4, false)).is_none());
}

#[test]
fn the_last_lane_is_for_newcomers() {
    let queue = queue(1, 100);
    let _flood = place_with_jobs(&queue, 1, 9);
    let running: Vec<_> = (0..9)
        .map_while(|_| taken(queue.next(0, 4, false)))
        .collect();
    assert_eq!(running.len(), 3);
    let _quiet = place_with_jobs(&queue, 2, 1);
    let newcomer = taken(queue.next(0, 4, false)).expect("a lane is free");
    assert_eq!(newcomer.network, network(2));
    assert!(taken(queue.next(0, 4, false)).is_none());
    drop(newcomer);
    assert!(taken(queue.next(0, 4, false)).is_none());
    drop(running);
    assert!(taken(queue.next(0, 4, false)).is_some());
}

// REL-19
#[test]
fn a_quiet_network_takes_the_express_and_goes_ahead() {
    let queue = queue(2, 100);
    let _flood = place_with_jobs(&queue, 1, 20);
    let mut flood: Vec<_> = (0..20)
        .filter_map(|turn| taken(queue.next(turn % 2, 4, false)))
        .collect();
    assert_eq!(flood.len(), 6, "all lanes but the kept ones");
    assert!(queue.networks_ahead().is_empty(), "the flood never is");

    let quiet = place_with_jobs(&queue, 2, 1);
    // Even when another worker happens to have a lane free.
    flood.retain(|running| running.worker == EXPRESS_WORKER);
    let next = taken(queue.next(1, 4, false)).expect("a lane is free");
    assert_eq!(next.network, network(1), "left to the express");
    let first = taken(queue.next(EXPRESS_WORKER, 4, false)).expect("its lane is free");
    assert_eq!(first.network, network(2));
    assert_eq!(queue.networks_ahead(), [network(2)]);

    let _refilled = [(); 2].map(|()| taken(queue.next(1, 4, false)).expect("a lane is free"));
    let other = place_with_jobs(&queue, 3, 1);
    let second = taken(queue.next(1, 4, false)).expect("the express is full");
    assert_eq!((second.network, second.worker), (network(3), 1));
    assert_eq!(queue.networks_ahead().len(), 2);

    // Two waiting networks are few, three are a flood from everywhere.
    let _few = place_with_jobs(&queue, 4, 1);
    assert_eq!(queue.networks_ahead().len(), 2);
    let many = place_with_jobs(&queue, 5, 1);
    assert!(queue.networks_ahead().is_empty());
    drop((many, first, quiet));
    assert_eq!(queue.networks_ahead(), [network(3)]);
    drop((second, other));
    assert!(queue.networks_ahead().is_empty(), "none is left");
}

#[test]
fn only_who_has_one_job_goes_ahead_and_only_of_work_that_waits() {
    let queue = queue(1, 100);
    let next = || taken(queue.next(0, 8, false)).expect("a job");
    let _two = place_with_jobs(&queue, 1, 2);
    let _three = place_with_jobs(&queue, 2, 3);
    let first = next();
    let _running = [next(), next(), next()];
    assert_eq!(first.network, network(1));
    assert!(queue.networks_ahead().is_empty(), "both have two");
    drop(first);
    assert_eq!(queue.networks_ahead(), [network(1)]);
    let _last = next();
    assert!(queue.networks_ahead().is_empty(), "nothing waits");
}

#[test]
fn an_idle_express_is_left_what_comes_first() {
    let queue = queue(3, 100);
    let _place = place_with_jobs(&queue, 1, 1);
    assert!(taken(queue.next(1, 4, false)).is_none());
    let _first = taken(queue.next(EXPRESS_WORKER, 4, false)).expect("a job");
    let _place = place_with_jobs(&queue, 2, 1);
    assert!(taken(queue.next(EXPRESS_WORKER, 4, false)).is_none());
    assert!(taken(queue.next(2, 4, false)).is_some(), "fewest run here");
}

#[test]
fn what_was_left_to_the_express_and_is_not_for_it_wakes_another() {
    let queue = queue(2, 100);
    let shared = Arc::clone(&queue);
    let other = thread::spawn(move || taken(shared.next(1, 4, true)).map(|job| job.network));
    let _one = place_with_jobs(&queue, 1, 1);
    let _two = place_with_jobs(&queue, 2, 1);
    // Long enough for the other to wake up, leave both to the express, and sleep again.
    thread::sleep(Duration::from_millis(100));
    let first = taken(queue.next(EXPRESS_WORKER, 4, false)).expect("a job");
    assert_eq!(first.network, network(1));
    assert!(taken(queue.next(EXPRESS_WORKER, 4, false)).is_none());
    assert_eq!(other.join().expect("a worker"), Some(network(2)));
}

#[test]
fn a_job_goes_where_fewest_run() {
    let queue = queue(2, 100);
    let _place = place_with_jobs(&queue, 1, 4);
    let first = taken(queue.next(0, 4, false)).expect("both workers are idle");
    assert!(
        taken(queue.next(0, 4, false)).is_none(),
        "the other has none"
    );
    let _second = taken(queue.next(1, 4, false)).expect("fewest run here");
    let _third = taken(queue.next(1, 4, false)).expect("as many as on the other");
    assert!(taken(queue.next(1, 4, false)).is_none());
    drop(first);
    assert!(taken(queue.next(0, 4, false)).is_some());
}

#[test]
fn work_with_much_memory_is_done_one_at_a_time() {
    let queue = queue(3, 100);
    let mut place = queue.enter(network(1), 0).unwrap();
    let mut other = queue.enter(network(2), 0).unwrap();
    let _digests = [
        place.submit(big_work(), 16),
        other.submit(big_work(), 16),
        other.submit(some_work(), 16),
    ];
    let big = taken(queue.next(0, 4, false)).expect("none runs yet");
    assert!(taken(queue.next(1, 4, false)).is_none());
    let _small = place_with_jobs(&queue, 3, 1);
    let small = taken(queue.next(1, 4, false)).expect("others do not wait for it");
    assert_eq!(small.network, network(3));
    drop(big);
    assert!(taken(queue.next(0, 4, false)).is_some());
}

#[test]
fn who_has_gone_leaves_nothing_behind() {
    // REL-24
    let queue = queue(1, 100);
    let gone = place_with_jobs(&queue, 1, 2);
    let _stays = place_with_jobs(&queue, 2, 1);
    let half_done = place_with_jobs(&queue, 1, 1);
    let running = taken(queue.next(0, 4, false)).expect("there is work");
    assert_eq!(running.network, network(1));
    drop(gone);
    drop(half_done);
    assert_eq!(queue.load().waiting, 1);
    let next = taken(queue.next(0, 4, false)).expect("one still waits");
    assert_eq!(next.network, network(2));
    drop((running, next, _stays));
    assert_eq!(queue.load(), Load::default());
    let state = queue.lock();
    assert!(state.lines.is_empty() && state.turns.is_empty());
    assert_eq!(*state.busy_lanes, [0]);
}

#[test]
fn a_panic_with_the_lock_held_stops_nobody() {
    let queue = queue(1, 100);
    let same = Arc::clone(&queue);
    let panicked = thread::spawn(move || {
        let _state = same.lock();
        panic!("asked for by a test");
    })
    .join();
    assert!(panicked.is_err() && queue.state.is_poisoned());
    let _place = place_with_jobs(&queue, 1, 1);
    assert!(taken(queue.next(0, 4, true)).is_some());
}

#[test]
fn a_closed_queue_takes_and_gives_nothing() {
    let queue = queue(1, 100);
    let mut place = queue.enter(network(1), 16).unwrap();
    let mut before = place.submit(some_work(), 16);
    queue.close();
    let mut after = place.submit(some_work(), 16);
    assert!(before.try_recv().is_err() && after.try_recv().is_err());
    assert!(matches!(queue.next(0, 4, true), Next::Closed));
    drop(place);
    assert_eq!(queue.load(), Load::default());
}
