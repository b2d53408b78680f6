//! Sign-in: every refusal looks and costs the same.

use std::time::Duration;

use tokio::time::timeout;

use super::audit::{self, Subject};
use super::gate::Turn;
use super::limits::{LoginLimits, whole_seconds};
use super::{Caller, Email, Password, SignedIn};
use crate::app::App;
use crate::error::Error;
use crate::hash::{Ticket, Verdict};
use crate::store::{Reservation, Stored};

/// How long an attempt may wait for parallel ones of the same client or account; then it is told to come again.
const TURN_PATIENCE: Duration = Duration::from_secs(12);

/// Signs in. The order is the defence: a place in the hashing queue, then the count of failures, then the hash, then one
/// transaction. Nothing is hashed for a client that is over a limit, and no transaction is open while one is.
///
/// # Errors
/// [`Error::InvalidCredentials`] for everything that is wrong with e-mail, password or account;
/// [`Error::TooManyAttempts`], [`Error::Overloaded`], [`Error::DatabaseUnavailable`].
pub async fn login(
    app: &App,
    email: &str,
    password: &str,
    caller: &Caller,
) -> Result<SignedIn, Error> {
    let outcome = attempt(app, email, password, caller).await;
    app.pace.hand_on(outcome).await
}

async fn attempt(
    app: &App,
    email: &str,
    password: &str,
    caller: &Caller,
) -> Result<SignedIn, Error> {
    let canonical = Email::parse(email).ok();
    let counted_as = canonical.as_ref().map_or(email, Email::as_str);
    let ticket = app.hasher.admit(caller.network().address())?;
    let limits = app.limits.login(counted_as, caller.network());
    let attempt = timeout(TURN_PATIENCE, reserve(app, &limits)).await;
    let attempt = match attempt {
        Ok(Err(refused @ Error::TooManyAttempts { .. })) => {
            audit::record(caller, "login", "throttled", &Subject::Email(counted_as));
            return Err(refused);
        }
        Ok(attempt) => attempt?,
        Err(_) => {
            return Err(Error::Overloaded {
                retry_after_seconds: TURN_PATIENCE.as_secs(),
            });
        }
    };
    let password = Password::new(password);
    let checked = check(app, ticket, canonical.as_ref(), &password, &limits, caller).await;
    match checked.inspect_err(|_| take_back(app, &attempt, &limits))? {
        Some(signed_in) => {
            audit::record(
                caller,
                "login",
                "success",
                &Subject::User(signed_in.user.id),
            );
            Ok(signed_in)
        }
        None => {
            if attempt.wait_ms > 0 {
                let until = app.clock.now_ms() + attempt.wait_ms;
                app.store.begin_wait(&limits.keys[2], until).await?;
            }
            audit::record(caller, "login", "failure", &Subject::Email(counted_as));
            Err(Error::InvalidCredentials)
        }
    }
}

/// A counted attempt; its turns end when it is dropped.
struct Attempt {
    _turns: [Turn; 3],
    wait_ms: i64,
}

/// Counts the attempt as a failure before anything is hashed, so that parallel guesses cannot pass the limit (SEC-15).
async fn reserve(app: &App, limits: &LoginLimits) -> Result<Attempt, Error> {
    let [client, account, pair] = &limits.keys;
    let [client_turns, account_turns, pair_turns] = limits.parallel;
    let mut turns = [
        app.gate.turn(client, client_turns).await,
        app.gate.turn(account, account_turns).await,
        app.gate.turn(pair, pair_turns).await,
    ];
    loop {
        let [client, account, pair] = &turns;
        let ends = [client.other_ends(), account.other_ends(), pair.other_ends()];
        match app.store.reserve(&limits.caps, app.clock.now_ms()).await? {
            Reservation::Granted { wait_ms } => {
                drop(ends);
                turns.iter_mut().for_each(Turn::counted);
                return Ok(Attempt {
                    _turns: turns,
                    wait_ms,
                });
            }
            Reservation::Refused { index, wait_ms } => {
                if !turns[index].others_are_open() {
                    return Err(Error::TooManyAttempts {
                        retry_after_seconds: whole_seconds(wait_ms),
                    });
                }
                let [first, second, third] = ends;
                match index {
                    0 => first.await,
                    1 => second.await,
                    _ => third.await,
                }
            }
        }
    }
}

/// Nobody learned what the password is worth, so it was no guess: an outage must not lock the owner out (REL-09). The answer
/// does not wait for it, because the database may be what is away; then the attempt stays counted.
fn take_back(app: &App, attempt: &Attempt, limits: &LoginLimits) {
    let (store, keys) = (app.store.clone(), limits.keys.clone());
    let began_wait = attempt.wait_ms > 0;
    tokio::spawn(async move { store.take_back(&keys, began_wait).await });
}

/// Checks the password and opens a session. When the account was changed while its hash was being checked, everything is
/// looked at again: a sign-in beside this one may have kept a better hash of the same password (SEC-08).
async fn check(
    app: &App,
    mut ticket: Ticket,
    email: Option<&Email>,
    password: &Password,
    limits: &LoginLimits,
    caller: &Caller,
) -> Result<Option<SignedIn>, Error> {
    loop {
        let stored = match email {
            Some(email) => app.store.user_by_email(email.as_str()).await?,
            None => None,
        };
        let Some((stored, verified_hash, hash_to_keep)) =
            verify(app, ticket, password, stored.as_ref()).await?
        else {
            return Ok(None);
        };
        let session = app
            .tokens
            .new_session(stored.user.id, app.new_id(), app.clock.now_ms());
        let done = app
            .store
            .sign_in(&session, verified_hash, &hash_to_keep, &limits.keys)
            .await?;
        if done {
            return Ok(Some(app.signed_in(stored.user.clone(), &session)));
        }
        ticket = app.hasher.admit(caller.network().address())?;
    }
}

/// The account that the password opens, the hash that proved it, and the hash to keep. An account that nobody can sign in
/// to is hashed against all the same (SEC-12, SEC-13).
async fn verify<'a>(
    app: &App,
    ticket: Ticket,
    password: &Password,
    stored: Option<&'a Stored>,
) -> Result<Option<(&'a Stored, &'a str, String)>, Error> {
    let usable = stored.filter(|stored| stored.user.disabled_at.is_none());
    let hash = usable.and_then(|stored| stored.password_hash.as_deref());
    let (bytes, hash) = match password.hashable() {
        Some(bytes) => (bytes, hash),
        // No account can have this password: hash something of its place.
        None => (&b"unusable"[..], None),
    };
    let verdict = ticket.verify(bytes, hash, app.random.bytes()).await?;
    let (Some(stored), Some(hash)) = (usable, hash) else {
        return Ok(None);
    };
    Ok(match verdict {
        Verdict::Refused => None,
        Verdict::Matches => Some((stored, hash, hash.to_owned())),
        Verdict::MatchesWeaker { better } => Some((stored, hash, better)),
    })
}
