//! Providers: one file for each company's wire, and the list of them.
//!
//! A provider knows how to ask (`request`) and what an answer means (`classify`), both pure. It
//! never sees the store, decides nothing about retries, and keeps nothing between two messages
//! except its connections.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Account, Rate};
use crate::domain::content::Outgoing;
use crate::domain::outcome::Outcome;

/// What makes a repeat safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// Nothing: a repeat may arrive twice.
    None,
    /// The provider drops a repeat that carries the same id.
    Key,
}

/// One type of provider: everything that others need to know of it.
pub struct Kind {
    /// Name, channels, settings, example.
    pub keys: TypeKeys,
    /// See [`Idempotency`].
    pub idempotency: Idempotency,
    /// Rate of one account where the config names none.
    pub rate: Rate,
    /// Attempts at once where the config names none.
    pub concurrency: usize,
    /// What was composed stays readable after the end: the test inbox.
    pub keeps_content: bool,
    /// Makes an account's wire from its settings. The error is a sentence for the config check.
    pub build: fn(&Account) -> Result<Wire, String>,
}
