//! What a request costs before and beside its database and hash: `cargo bench -p gatewright --bench micro`.
#![expect(clippy::print_stdout, reason = "printing is what this program is for")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use gatewright::auth::{Email, Tokens};
use gatewright::hash::{Hasher, HasherSettings, Scheme};
use gatewright::random::Random;
use gatewright::settings::{Secret, Secrets};
use gatewright::store::User;

/// Every measurement is repeated this often and the shortest counts: other work on the machine can only lengthen it.
const TURNS: usize = 30;
const CALLS: u32 = 2000;
const NOW_MS: i64 = 1_800_000_000_000;

fn main() {
    println!("| | time of one |");
    println!("|---|---|");
    token();
    email();
    queue();
}

fn token() {
    let secret = Secret::new("8mUq1xv0bTn5cYwR2kGdLs7HfJzPe4Ai9oXQhVtByCM".to_owned());
    let secrets = Secrets::single(secret.expect("the secret is long and varied enough"));
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    let tokens = Tokens::new(&secrets, week, false).expect("a key can be made of the secret");
    let id = Random::System.uuid(NOW_MS);
    let user = User {
        id,
        email: "ann@example.com".into(),
        name: "Ann".into(),
        created_at: NOW_MS,
        updated_at: NOW_MS,
        disabled_at: None,
    };
    let session = tokens.new_session(id, id, NOW_MS);
    let signed = tokens.sign(&session, &user, id);
    let forged = format!("{}A", &signed[..signed.len() - 1]);

    measure("token signed", || tokens.sign(&session, &user, id));
    measure("token checked", || tokens.check(black_box(&signed), NOW_MS));
    measure("forged token refused", || {
        tokens.check(black_box(&forged), NOW_MS)
    });
}

fn email() {
    for text in [
        "ann@example.com",
        " Ann.Lee@Example.COM",
        "ann@BÜCHER.example",
    ] {
        let label = format!("canonical e-mail of `{text}`");
        measure(&label, || Email::parse(black_box(text)));
    }
}

/// Through the door and out again, with nobody inside and with a crowd of other client networks waiting.
fn queue() {
    for crowd in [0, 100] {
        let hasher = Hasher::start(HasherSettings {
            scheme: Scheme::Bcrypt { cost: 12 },
            workers: 1,
            lanes: Some(4),
            max_wait: Duration::from_secs(3600),
            max_waiting: 1024,
        });
        let hasher = hasher.expect("a thread can be started");
        let inside: Vec<_> = (0..crowd)
            .map(|number| hasher.admit(IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))))
            .collect();
        let newcomer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let label =
            format!("place in the hashing queue taken and given back, {crowd} networks inside");
        measure(&label, || drop(hasher.admit(black_box(newcomer))));
        drop(inside);
    }
}

fn measure<T>(label: &str, call: impl Fn() -> T) {
    let turn = || {
        let started = Instant::now();
        for _ in 0..CALLS {
            black_box(call());
        }
        started.elapsed()
    };
    let shortest = (0..TURNS).map(|_| turn()).min().unwrap_or_default();
    println!("| {label} | {:?} |", shortest / CALLS);
}
