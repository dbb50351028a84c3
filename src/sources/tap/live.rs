//! What is known of running taps, and their prints as they come: for `tap sniff`, `status` and tests.

use super::Tap;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// Prints that wait for a slow listener.
const WAITING: usize = 16;

/// All taps of an agent. Cheap to clone.
#[derive(Clone, Default)]
pub struct Taps(Arc<Mutex<BTreeMap<String, Live>>>);

impl Taps {
    /// A tap that runs from now on.
    pub fn add(&self, tap: Tap, kind: &'static str) -> Live {
        let name = tap.name.clone();
        let live = Live(Arc::new(Inner {
            tap: Arc::new(tap),
            kind,
            state: Mutex::default(),
            passed: AtomicU64::new(0),
            prints: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            told: broadcast::channel(WAITING).0,
        }));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, live.clone());
        live
    }

    /// By name.
    pub fn get(&self, name: &str) -> Option<Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// How each is.
    pub fn shown(&self) -> Value {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().map(Live::shown).collect()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// One tap.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

struct Inner {
    tap: Arc<Tap>,
    kind: &'static str,
    state: Mutex<State>,
    passed: AtomicU64,
    prints: AtomicU64,
    missed: AtomicU64,
    told: broadcast::Sender<Arc<Value>>,
}

#[derive(Default)]
struct State {
    word: &'static str,
    why: String,
    listens: String,
}

impl Live {
    /// Its settings.
    pub fn tap(&self) -> Arc<Tap> {
        self.0.tap.clone()
    }

    /// Says how it is: `listening`, `printing`, `waiting` with the reason. True where that is new.
    pub fn set(&self, word: &'static str, why: &str) -> bool {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let new = state.word != word || state.why != why;
        (state.word, state.why) = (word, why.to_owned());
        new
    }

    /// Says where it listens.
    pub fn listens(&self, address: String) {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner).listens = address;
    }

    pub(super) fn passed(&self, bytes: usize) {
        self.0.passed.fetch_add(u64::try_from(bytes).unwrap_or(0), Ordering::Relaxed);
    }

    pub(super) fn printed(&self) {
        self.0.prints.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn missed(&self) {
        self.0.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells who listens of a print.
    pub fn tell(&self, print: Value) {
        let _ = self.0.told.send(Arc::new(print)); // nobody listens: nobody misses it
    }

    /// Prints from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Value>> {
        self.0.told.subscribe()
    }

    fn shown(&self) -> Value {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        json!({"name": self.0.tap.name, "type": self.0.kind, "state": state.word, "why": state.why, "listens": state.listens,
            "bytes": count(&self.0.passed), "prints": count(&self.0.prints), "gaps": count(&self.0.missed)})
    }
}
