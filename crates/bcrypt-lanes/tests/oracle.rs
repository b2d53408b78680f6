//! The `bcrypt` crate is the oracle: the same digest for every cost, salt, password, width and order of joining.

use bcrypt_lanes::{Digest, Engine, Job, MAX_LANES, hash, verify};
use proptest::collection::vec;
use proptest::prelude::*;

/// What the oracle computes.
fn expected(cost: u32, salt: [u8; 16], password: &[u8]) -> Digest {
    let mut terminated = password.to_vec();
    terminated.push(0);
    terminated.truncate(72);
    let [digest @ .., _] = bcrypt::bcrypt(cost, salt, &terminated);
    Digest::from(digest)
}

#[derive(Debug, Clone)]
struct Input {
    cost: u32,
    salt: [u8; 16],
    password: Vec<u8>,
}

impl Input {
    fn job(&self) -> Job {
        Job::new(self.cost, self.salt, &self.password).expect("the strategy makes valid inputs")
    }

    fn expected(&self) -> Digest {
        expected(self.cost, self.salt, &self.password)
    }
}

fn input(costs: std::ops::RangeInclusive<u32>) -> impl Strategy<Value = Input> {
    (costs, any::<[u8; 16]>(), vec(any::<u8>(), 0..=72)).prop_map(|(cost, salt, password)| Input {
        cost,
        salt,
        password,
    })
}

#[test]
fn every_length_of_password() {
    let password: Vec<u8> = (0..72_u8).map(|n| n.wrapping_mul(37) | 1).collect();
    for length in 0..=password.len() {
        let (salt, password) = ([length.to_le_bytes()[0]; 16], &password[..length]);
        let hash = hash(4, salt, password).unwrap();
        assert_eq!(
            hash.digest(),
            &expected(4, salt, password),
            "{length} bytes"
        );
        let text = bcrypt::hash_with_salt(password, 4, salt).unwrap();
        assert_eq!(hash.to_string(), text.to_string());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(250))]

    /// 250 times eight inputs, in an engine of every width.
    #[test]
    fn any_width(inputs in vec(input(4..=4), MAX_LANES), width in 1..=MAX_LANES) {
        let mut engine = Engine::new(width);
        for group in inputs.chunks(width) {
            for (position, input) in group.iter().enumerate() {
                prop_assert!(engine.admit(input.job(), position).is_ok());
            }
            let mut finished = 0;
            engine.advance(16, |position, digest| {
                assert_eq!(digest, group[position].expected());
                finished += 1;
            });
            prop_assert_eq!(finished, group.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn higher_costs(input in input(5..=8)) {
        let hash = hash(input.cost, input.salt, &input.password).unwrap();
        prop_assert_eq!(hash.digest(), &input.expected());
        prop_assert_eq!(verify(&input.password, &hash), Ok(true));
    }

    #[test]
    fn one_other_bit_of_the_password_is_another_password(
        input in input(4..=4),
        position in 0..72_usize,
        bit in 0..8_u32,
    ) {
        let hash = hash(4, input.salt, &input.password).unwrap();
        let mut other = input.password;
        prop_assume!(position < other.len());
        other[position] ^= 1_u8 << bit;
        prop_assert_eq!(verify(&other, &hash), Ok(false));
    }
}

/// What happens to an engine.
#[derive(Debug, Clone)]
enum Event {
    Join(Input),
    Advance(u32),
    /// All jobs leave whose number divided by the first leaves the second.
    Leave(usize, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => input(4..=6).prop_map(Event::Join),
        3 => (0..40_u32).prop_map(Event::Advance),
        1 => (2..5_usize, 0..2_usize).prop_map(|(divisor, rest)| Event::Leave(divisor, rest)),
    ]
}

/// A job in the model: its number, its input, the rounds it still has to do.
type Running = (usize, Input, u32);

/// Advances engine and model, and checks that the same jobs finish, each with its own digest.
fn advance(engine: &mut Engine<usize>, running: &mut Vec<Running>, rounds: u32) {
    let mut finished = Vec::new();
    engine.advance(rounds, |number, digest| finished.push((number, digest)));
    finished.sort_by_key(|(number, _)| *number);
    let due = running.extract_if(.., |(_, _, left)| {
        *left = left.saturating_sub(rounds);
        *left == 0
    });
    let expected: Vec<(usize, Digest)> = due
        .map(|(number, input, _)| (number, input.expected()))
        .collect();
    assert_eq!(finished, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn jobs_join_and_leave_at_any_time(width in 1..=MAX_LANES, events in vec(event(), 1..40)) {
        let mut engine = Engine::new(width);
        let mut running: Vec<Running> = Vec::new();
        for (number, event) in events.into_iter().enumerate() {
            match event {
                Event::Join(input) => match engine.admit(input.job(), number) {
                    Ok(()) => running.push((number, input.clone(), 1 << input.cost)),
                    Err((_, tag)) => prop_assert_eq!((tag, running.len()), (number, width)),
                },
                Event::Advance(rounds) => advance(&mut engine, &mut running, rounds),
                Event::Leave(divisor, rest) => {
                    engine.retain(|number| number % divisor != rest);
                    running.retain(|(number, ..)| number % divisor != rest);
                }
            }
            prop_assert_eq!(engine.active(), running.len());
        }
        advance(&mut engine, &mut running, u32::MAX);
        prop_assert_eq!(engine.active(), 0);
    }
}
