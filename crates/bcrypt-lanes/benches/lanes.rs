//! Ratios against the `bcrypt` crate, all measured in turn in one run: `cargo bench -p bcrypt-lanes`.
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bcrypt_lanes::{Engine, Job, MAX_LANES, calibrate};

/// Every measurement is repeated this often, in turn with the others, and the shortest one counts: other work on the
/// machine can only lengthen them.
const TURNS: usize = 25;

/// The cost of the hashes of the crowd: short measurements escape other work. At cost 12 each takes 16 times as long,
/// and the ratios are about the same.
const COST: u32 = 8;

/// Rounds until a waiting job may join.
const CHUNK: u32 = 16;

const SALT: [u8; 16] = *b"sixteen bytes ok";
const PASSWORD: &[u8] = b"correct horse battery staple";

/// What is measured: a name, and the seconds of one hash.
type Contestant = (String, Box<dyn Fn() -> Duration>);

fn main() {
    let started = Instant::now();
    println!(
        "calibrate() = {} after {:?}",
        calibrate(),
        started.elapsed()
    );

    println!("\n| one password, cost 12 | time per hash | hashes/s against the bcrypt crate |");
    println!("|---|---|---|");
    compare(&[
        ("bcrypt crate".into(), Box::new(|| oracle(12))),
        ("bcrypt-lanes, hash()".into(), Box::new(|| alone(12))),
        (
            "bcrypt-lanes, Engine of 8 lanes, 1 in use".into(),
            Box::new(|| together(8, 1, 12)),
        ),
    ]);

    println!("\n| a crowd, cost {COST} | time per hash | hashes/s against the bcrypt crate |");
    println!("|---|---|---|");
    let mut contestants: Vec<Contestant> = vec![("bcrypt crate".into(), Box::new(|| oracle(COST)))];
    for width in 1..=MAX_LANES as u32 {
        contestants.push((
            format!("{width} lanes, joining together"),
            Box::new(move || together(width, width, COST)),
        ));
    }
    for width in [4, 6, 8] {
        contestants.push((
            format!("{width} lanes, one joining whenever one leaves"),
            Box::new(move || stream(width)),
        ));
    }
    compare(&contestants);
}

/// Measures the contestants in turn and prints the shortest time of each and its ratio to the first.
fn compare(contestants: &[Contestant]) {
    let mut shortest = vec![Duration::MAX; contestants.len()];
    for _ in 0..TURNS {
        for ((_, measure), shortest) in contestants.iter().zip(&mut shortest) {
            *shortest = measure().min(*shortest);
        }
    }
    for ((name, _), time) in contestants.iter().zip(&shortest) {
        let ratio = shortest[0].as_secs_f64() / time.as_secs_f64();
        println!(
            "| {name} | {:.2} ms | {ratio:.2} |",
            time.as_secs_f64() * 1e3
        );
    }
}

fn oracle(cost: u32) -> Duration {
    let started = Instant::now();
    black_box(bcrypt::bcrypt(cost, SALT, black_box(PASSWORD)));
    started.elapsed()
}

fn alone(cost: u32) -> Duration {
    let started = Instant::now();
    black_box(
        bcrypt_lanes::hash(cost, SALT, black_box(PASSWORD)).expect("cost and password are fine"),
    );
    started.elapsed()
}

/// `jobs` join an engine of `width` lanes at once and finish at once.
fn together(width: u32, jobs: u32, cost: u32) -> Duration {
    let mut engine = Engine::new(width as usize);
    let started = Instant::now();
    for _ in 0..jobs {
        engine
            .admit(job(cost), ())
            .expect("there is a lane for each");
    }
    while engine.active() > 0 {
        engine.advance(CHUNK, |(), digest| {
            black_box(digest);
        });
    }
    started.elapsed() / jobs
}

/// Three jobs a lane; the first ones join one by one, so that lanes never finish together.
fn stream(width: u32) -> Duration {
    let mut engine = Engine::new(width as usize);
    let jobs = 3 * width;
    let mut to_join = jobs;
    let started = Instant::now();
    while to_join > 0 || engine.active() > 0 {
        if to_join > 0 && engine.admit(job(COST), ()).is_ok() {
            to_join -= 1;
        }
        engine.advance(CHUNK, |(), digest| {
            black_box(digest);
        });
    }
    started.elapsed() / jobs
}

fn job(cost: u32) -> Job {
    Job::new(cost, SALT, black_box(PASSWORD)).expect("cost and password are fine")
}
