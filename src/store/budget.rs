//! The disk budget: a ballast to let go in need, watermarks, and what is shed in which order.

use super::{Result, Tx};
use crate::domain::time::UnixMs;
use crate::sys::disk;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// Twice the limit of the WAL: a full SQLite needs room for its WAL before it can delete anything.
const BALLAST: u64 = 16 * MIB;

/// A file of real blocks beside the database that is given up when the disk is full.
pub struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// The ballast in the folder of the database; made when the writer is idle.
    pub fn beside(database: &Path) -> Ballast {
        Ballast { path: database.with_file_name("ballast") }
    }

    /// Gives its space back; false where it was gone already.
    pub fn release(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }

    /// Makes it again once there is room enough for it and as much beside.
    pub fn restore(&self) {
        if !self.path.exists() && disk::free(&self.path.with_file_name(".")).is_ok_and(|free| free > 4 * BALLAST) {
            // Without it a full disk is only harder to leave: no reason to stop.
            if let Err(error) = disk::fill_ballast(&self.path, BALLAST) {
                tracing::warn!(%error, "no ballast");
            }
        }
    }
}

/// How much room there is, worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Enough.
    Enough,
    /// Below 256 MiB: warn.
    Low,
    /// Below 64 MiB: what is finished is kept for a day only.
    Short,
    /// Below 32 MiB: nothing but sales is taken.
    SalesOnly,
}

impl Room {
    /// By the free bytes.
    pub const fn of(free: u64) -> Room {
        match free / MIB {
            0..32 => Room::SalesOnly,
            32..64 => Room::Short,
            64..256 => Room::Low,
            _ => Room::Enough,
        }
    }
}

/// How old things may become before they are removed.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Receipts with everything that belongs to them.
    pub receipts: Duration,
    /// Raw events.
    pub raw_events: Duration,
    /// Attempts.
    pub attempts: Duration,
}

impl Keep {
    /// What remains of it when the disk is short: only what is still open outlives a day.
    pub fn in_need(self) -> Keep {
        let day = Duration::from_secs(86_400);
        Keep { receipts: self.receipts.min(day), raw_events: self.raw_events.min(day), attempts: self.attempts.min(day) }
    }
}

/// Dedup keys outlive what they speak of: a repeat after the receipt is gone is still a repeat.
const DEDUP: Duration = Duration::from_secs(400 * 86_400);

impl Tx<'_> {
    /// Removes up to `most` of each kind of thing that is older than it may become, and gives their
    /// number. A receipt with an open delivery stays. Small steps, for when the writer is idle.
    pub fn shed(&self, keep: Keep, now: UnixMs, most: u32) -> Result<usize> {
        let mut gone = self
            .sql("DELETE FROM attempt WHERE (delivery, n) IN (SELECT delivery, n FROM attempt WHERE ended_at < ?1 LIMIT ?2)")?
            .execute(((now - keep.attempts).0, most))?;
        gone += self.shed_raw_events(now - keep.raw_events, most)?;
        gone += self.shed_receipts(now - keep.receipts, now, most)?;
        gone += self.shed_messages(now - keep.receipts, most)?;
        const QUARTER: Duration = Duration::from_secs(90 * 86_400);
        gone += self.sql("DELETE FROM incident WHERE resolved_at < ?1")?.execute([(now - QUARTER).0])?;
        gone += self.sql("DELETE FROM soft_bounce WHERE at < ?1")?.execute([(now - QUARTER).0])?;
        gone +=
            self.sql("DELETE FROM dedup WHERE key IN (SELECT key FROM dedup WHERE at < ?1 LIMIT ?2)")?.execute(((now - DEDUP).0, most))?;
        gone += self.sql("DELETE FROM told WHERE at < ?1")?.execute([(now - DEDUP).0])?;
        gone += self.sql("DELETE FROM rollup WHERE hour < ?1")?.execute([(now - Duration::from_secs(90 * 86_400)).0 / 3_600_000])?;
        if gone > 0 {
            self.sql("PRAGMA incremental_vacuum(64)")?.query([])?.next()?;
        }
        Ok(gone)
    }

    fn shed_raw_events(&self, before: UnixMs, most: u32) -> Result<usize> {
        let mut old =
            self.sql("SELECT seq, body FROM raw_event WHERE at < ?1 AND state NOT IN ('new', 'waiting') ORDER BY seq LIMIT ?2")?;
        let rows: Vec<(i64, i64)> =
            old.query_map((before.0, most), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        for (seq, body) in &rows {
            self.sql("DELETE FROM raw_event WHERE seq = ?1")?.execute([seq])?;
            self.drop_arrival(*seq)?;
            // The bytes of a posted sale are its receipt's document as well, those of an event its messages'.
            self.sql(
                "DELETE FROM body WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM receipt WHERE receipt.raw_event = ?2 AND receipt.body = ?1)
                 AND NOT EXISTS (SELECT 1 FROM message WHERE message.body = ?1)
                 AND NOT EXISTS (SELECT 1 FROM sighting s JOIN receipt r ON r.id = s.receipt WHERE s.raw_event = ?2 AND r.body = ?1)",
            )?
            .execute((body, seq))?;
        }
        Ok(rows.len())
    }

    /// Messages that are about no receipt, with their documents.
    fn shed_messages(&self, before: UnixMs, most: u32) -> Result<usize> {
        let rows: Vec<(i64, Option<i64>)> = {
            let mut old = self.sql(
                "SELECT m.id, m.body FROM message m WHERE m.receipt IS NULL AND m.made_at < ?1 AND NOT EXISTS (SELECT 1 FROM delivery d
                 WHERE d.id BETWEEN m.id * 16 AND m.id * 16 + 15 AND d.state IN ('ready', 'retry', 'sending', 'held', 'uncertain')) ORDER BY m.id LIMIT ?2",
            )?;
            old.query_map((before.0, most), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?
        };
        for (id, body) in &rows {
            self.shed_message(*id)?;
            self.shed_document(*body)?;
        }
        Ok(rows.len())
    }

    fn shed_message(&self, id: i64) -> Result<()> {
        for sql in [
            "DELETE FROM attempt WHERE delivery BETWEEN ?1 * 16 AND ?1 * 16 + 15",
            "DELETE FROM body WHERE id IN (SELECT content FROM delivery WHERE id BETWEEN ?1 * 16 AND ?1 * 16 + 15)",
            "DELETE FROM delivery WHERE id BETWEEN ?1 * 16 AND ?1 * 16 + 15",
            "DELETE FROM message WHERE id = ?1",
        ] {
            self.sql(sql)?.execute([id])?;
        }
        Ok(())
    }

    /// A document that nobody refers to any more. One whose raw event may still be there goes with that: bodies
    /// and raw events are numbered in the same order.
    fn shed_document(&self, body: Option<i64>) -> Result<()> {
        self.sql(
            "DELETE FROM body WHERE id = ?1 AND id < coalesce((SELECT body FROM raw_event ORDER BY seq LIMIT 1), id + 1)
             AND NOT EXISTS (SELECT 1 FROM message WHERE message.body = ?1)",
        )?
        .execute([body])?;
        Ok(())
    }

    fn shed_receipts(&self, before: UnixMs, now: UnixMs, most: u32) -> Result<usize> {
        let mut old = self.sql(
            "SELECT id, body FROM receipt WHERE taken_at < ?1 AND NOT EXISTS (SELECT 1 FROM message m JOIN delivery d ON d.id BETWEEN m.id * 16 AND m.id * 16 + 15
             WHERE m.receipt = receipt.id AND d.state IN ('ready', 'retry', 'sending', 'held', 'uncertain')) ORDER BY id LIMIT ?2",
        )?;
        let rows: Vec<(i64, i64)> =
            old.query_map((before.0, most), |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
        for (id, body) in &rows {
            self.remember_transaction(*id, now)?;
            let messages: Vec<(i64, Option<i64>)> = {
                let mut select = self.sql("SELECT id, body FROM message WHERE receipt = ?1")?;
                select.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?
            };
            for (message, document) in messages {
                self.shed_message(message)?;
                self.shed_document(document)?;
            }
            for sql in [
                "DELETE FROM native WHERE receipt = ?1",
                "DELETE FROM sighting WHERE receipt = ?1",
                "DELETE FROM buyer WHERE receipt = ?1",
                "DELETE FROM receipt WHERE id = ?1",
            ] {
                self.sql(sql)?.execute([id])?;
            }
            self.shed_document(Some(*body))?;
        }
        Ok(rows.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks() {
        for (mib, room) in [(1000, Room::Enough), (255, Room::Low), (63, Room::Short), (31, Room::SalesOnly), (0, Room::SalesOnly)] {
            assert_eq!(Room::of(mib * MIB), room, "{mib} MiB");
        }
    }
}
