//! Attempts under way in this process, so that parallel right passwords do not count against each other.
//!
//! An attempt is counted as a failure before it is hashed, and taken off the count when it succeeds. Ten right
//! passwords at once would therefore look like ten failures to the eleventh. So an attempt that finds the limit reached
//! while others under the same key are still being checked waits for one of them to end, and asks again; it is refused
//! only when nobody is left who could still take a failure back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The attempts under way, by limit key.
#[derive(Clone, Default)]
pub struct Gate(Arc<Mutex<HashMap<String, Arc<Slot>>>>);

struct Slot {
    turns: Arc<Semaphore>,
    /// Attempts that are counted and whose outcome is open.
    open: AtomicUsize,
    ended: Notify,
}

/// A turn under one key; given back when dropped.
pub(super) struct Turn {
    gate: Gate,
    key: String,
    slot: Arc<Slot>,
    permit: Option<OwnedSemaphorePermit>,
    counted: bool,
}

impl Gate {
    /// Waits for a turn among at most `parallel` attempts under `key`.
    pub(super) async fn turn(&self, key: &str, parallel: u32) -> Turn {
        let slot = {
            let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let make = || {
                let turns = (parallel as usize).min(Semaphore::MAX_PERMITS);
                Arc::new(Slot {
                    turns: Arc::new(Semaphore::new(turns)),
                    open: AtomicUsize::new(0),
                    ended: Notify::new(),
                })
            };
            slots.entry(key.to_owned()).or_insert_with(make).clone()
        };
        // Made before waiting: a request that is dropped while it waits must leave no slot behind.
        let mut turn = Turn {
            gate: self.clone(),
            key: key.to_owned(),
            slot,
            permit: None,
            counted: false,
        };
        turn.permit = turn.slot.turns.clone().acquire_owned().await.ok();
        turn
    }

    /// Keys with an attempt under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Turn {
    /// Resolves when another attempt under this key ends. Made before the count is looked at, so no end is missed.
    pub(super) fn other_ends(&self) -> Notified<'_> {
        self.slot.ended.notified()
    }

    /// Whether another attempt under this key is counted and not yet decided.
    pub(super) fn others_are_open(&self) -> bool {
        self.slot.open.load(Ordering::SeqCst) > 0
    }

    /// Says that this attempt is counted now.
    pub(super) fn counted(&mut self) {
        self.counted = true;
        self.slot.open.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.counted {
            self.slot.open.fetch_sub(1, Ordering::SeqCst);
        }
        self.permit = None;
        self.slot.ended.notify_waiters();
        let mut slots = self.gate.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Two owners are this turn and the map: nobody else waits here.
        if Arc::strong_count(&self.slot) == 2 {
            slots.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn so_many_have_a_turn_under_one_key() {
        let gate = Gate::default();
        assert!(gate.is_empty());
        let first = gate.turn("ann", 2).await;
        let _second = gate.turn("ann", 2).await;
        let _other = gate.turn("bob", 2).await;
        assert_eq!((gate.len(), gate.is_empty()), (2, false));

        let mut third = Box::pin(gate.turn("ann", 2));
        assert!(third.as_mut().now_or_never().is_none(), "two have a turn");
        drop(first);
        let third = timeout(Duration::from_secs(5), third).await;
        assert!(third.is_ok(), "the turn of the first is free");
    }

    #[tokio::test]
    async fn nothing_is_left_of_who_gave_up_or_ended() {
        let gate = Gate::default();
        let turn = gate.turn("ann", 1).await;
        let mut waiting = Box::pin(gate.turn("ann", 1));
        assert!(waiting.as_mut().now_or_never().is_none(), "one has a turn");
        drop(waiting);
        assert_eq!(gate.len(), 1, "the turn goes on");
        drop(turn);
        assert!(gate.is_empty());
    }

    #[tokio::test]
    async fn an_attempt_is_open_from_its_count_to_its_end() {
        let gate = Gate::default();
        let waiting = gate.turn("ann", 9).await;
        let mut counted = gate.turn("ann", 9).await;
        assert!(!waiting.others_are_open(), "none is counted yet");
        counted.counted();
        assert!(waiting.others_are_open());

        let mut end = Box::pin(waiting.other_ends());
        assert!(end.as_mut().now_or_never().is_none(), "still open");
        drop(counted);
        assert!(timeout(Duration::from_secs(5), end).await.is_ok());
        assert!(!waiting.others_are_open());
    }
}
