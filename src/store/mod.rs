//! The store: one SQLite file, and the only SQL of the program.
//!
//! **What is where.** `tillpost.db` with its `-wal` and `-shm`. Tables and their meaning:
//! `schema/*.sql`. One thread owns the write connection and the checkpoints ([`writer`]); readers are
//! read-only connections of their own threads ([`reader`]).
//!
//! **What is durable when.** WAL with `synchronous = FULL`: when a commit has returned, its
//! transaction survives kill -9 and a power cut, as far as the disk keeps what it said it had
//! synced. Units of work that came while the last commit ran share the next one; each runs in a
//! savepoint, so that one that fails is rolled back alone. Whoever waits for a unit is answered after
//! the commit.
//!
//! **Limits.** The writer's queue holds [`writer::QUEUE`] units; a full one makes callers wait. The
//! database is capped by `max_page_count` ([`budget`]).
//!
//! **Damage** is set aside and a new file opened ([`rescue`]): the agent always starts.
//!
//! It never opens a socket, decides nothing about messages and reads no clock: moments are handed in.

pub mod budget;
pub mod campaigns;
mod deadlines;
pub mod erasure;
pub mod error;
mod figures;
pub mod inbox;
pub mod incidents;
pub mod lookups;
pub mod open;
pub mod outbox;
pub mod people;
pub mod reader;
pub mod receipts;
pub mod rescue;
pub mod sightings;
pub mod writer;

pub use error::StoreError;
pub use open::{Durability, Options};
pub use reader::Readers;
pub use writer::Writer;

use rusqlite::{CachedStatement, Connection};

/// What every function of the store gives.
pub type Result<T> = std::result::Result<T, StoreError>;

/// A consistent look at the store.
#[derive(Clone, Copy)]
pub struct Snapshot<'a>(&'a Connection);

/// A unit of work inside a write transaction. It can also read what it has written.
#[derive(Clone, Copy)]
pub struct Tx<'a>(&'a Connection);

impl<'a> Tx<'a> {
    /// The store as this unit sees it.
    pub fn read(&self) -> Snapshot<'a> {
        Snapshot(self.0)
    }

    fn sql(&self, text: &str) -> Result<CachedStatement<'a>> {
        Ok(self.0.prepare_cached(text)?)
    }
}

impl<'a> Snapshot<'a> {
    fn sql(&self, text: &str) -> Result<CachedStatement<'a>> {
        Ok(self.0.prepare_cached(text)?)
    }
}

/// 48 bits of a 16-byte hash, for a narrow index; what it finds is compared in full.
fn bits48(hash: &[u8; 16]) -> i64 {
    hash.iter().take(6).fold(0, |bits, byte| bits << 8 | i64::from(*byte))
}
