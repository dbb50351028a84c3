//! Sightings: the same sale told by another source, or again by its own. One document, however many tell it.

use super::receipts::{COLUMNS, Receipt, receipt};
use super::{Result, Snapshot, Tx};
use crate::domain::event::PRINT;
use crate::domain::ids::ReceiptId;
use crate::domain::time::UnixMs;
use rusqlite::{OptionalExtension, params};

/// A sighting to be stored.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Sighting<'a> {
    pub receipt: i64,
    pub raw_event: i64,
    pub receipt_id: ReceiptId,
    pub source: &'a str,
    pub at: UnixMs,
    pub total: i64,
    pub content: &'a [u8; 16],
    pub note: &'a str,
}

/// A sighting that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Seen {
    pub source: String,
    pub at: UnixMs,
    pub total: i64,
    pub note: String,
}

/// What a sale may be known by when another source tells of it.
#[derive(Clone, Copy, Debug)]
pub struct Likeness<'a> {
    /// The source that tells of it now: only others' sales are looked at.
    pub source: &'a str,
    /// The till: its number where the sale names one, else the name of its key.
    pub till: &'a str,
    /// The number that people read.
    pub receipt_number: &'a str,
    /// When it was sold.
    pub sold_at: UnixMs,
    /// Minor units.
    pub total: i64,
}

impl Tx<'_> {
    /// Keeps another sighting of a receipt.
    pub fn put_sighting(&self, s: &Sighting<'_>) -> Result<()> {
        let mut insert = self.sql(
            "INSERT INTO sighting(receipt, raw_event, receipt_id, source, at, total, content, note) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        )?;
        insert.execute(params![s.receipt, s.raw_event, s.receipt_id.bytes(), s.source, s.at.0, s.total, s.content, s.note])?;
        Ok(())
    }

    /// Notes the vendor's ids of a receipt.
    pub fn put_native(&self, receipt: i64, ids: &[String]) -> Result<()> {
        for id in ids {
            self.sql("INSERT INTO native(id, receipt) VALUES(?1, ?2) ON CONFLICT DO NOTHING")?.execute((id, receipt))?;
        }
        Ok(())
    }

    /// Puts a richer document in place of a receipt's: its content and when it was sold stay.
    pub fn set_document(&self, receipt: i64, body: i64) -> Result<()> {
        self.sql("UPDATE receipt SET body = ?2 WHERE id = ?1")?.execute((receipt, body))?;
        Ok(())
    }

    /// Takes away what was a receipt's document, unless a raw event has it.
    pub fn drop_document(&self, receipt: i64, body: i64) -> Result<()> {
        self.sql(
            "DELETE FROM body WHERE id = ?2 AND NOT EXISTS (SELECT 1 FROM receipt r JOIN raw_event e ON e.seq = r.raw_event WHERE r.id = ?1 AND e.body = ?2)
             AND NOT EXISTS (SELECT 1 FROM sighting s JOIN raw_event e ON e.seq = s.raw_event WHERE s.receipt = ?1 AND e.body = ?2)",
        )?
        .execute((receipt, body))?;
        Ok(())
    }
}

impl Snapshot<'_> {
    /// The receipt that has this vendor's id, the newest.
    pub fn receipt_of_native(&self, id: &str) -> Result<Option<Receipt>> {
        let sql = format!("SELECT {COLUMNS} WHERE receipt.id = (SELECT max(receipt) FROM native WHERE native.id = ?1)");
        Ok(self.sql(&sql)?.query_row([id], receipt).optional()?)
    }

    /// Receipts that have this id, the oldest first.
    pub fn receipts_of_native(&self, id: &str, limit: u32) -> Result<Vec<Receipt>> {
        let sql =
            format!("SELECT {COLUMNS} WHERE receipt.id IN (SELECT receipt FROM native WHERE native.id = ?1) ORDER BY receipt.id LIMIT ?2");
        Ok(self.sql(&sql)?.query_map((id, limit), receipt)?.collect::<rusqlite::Result<_>>()?)
    }

    /// The vendor's ids of a receipt.
    pub fn native_ids(&self, receipt: i64) -> Result<Vec<String>> {
        let mut select = self.sql("SELECT id FROM native WHERE receipt = ?1 ORDER BY id")?;
        Ok(select.query_map([receipt], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// Receipts of the same till and number, from other sources, sold within a day and a half of this.
    pub fn same_number(&self, like: &Likeness<'_>) -> Result<Vec<Receipt>> {
        const DAYS: i64 = 36 * 3_600_000;
        let sql = format!(
            "SELECT {COLUMNS} WHERE receipt_number = ?1 AND source <> ?2 AND (workstation_id = ?3 OR (workstation_id = '' AND till = ?3))
             AND sold_at BETWEEN ?4 AND ?5 ORDER BY receipt.id DESC LIMIT 20"
        );
        let values = params![like.receipt_number, like.source, like.till, like.sold_at.0 - DAYS, like.sold_at.0 + DAYS];
        Ok(self.sql(&sql)?.query_map(values, receipt)?.collect::<rusqlite::Result<_>>()?)
    }

    /// The newest receipts of the same till and total, from other sources, sold within `ms` of this.
    pub fn same_total(&self, like: &Likeness<'_>, ms: i64) -> Result<Vec<Receipt>> {
        let sql = format!(
            "SELECT {COLUMNS} WHERE receipt.id > (SELECT coalesce(max(id), 0) FROM receipt) - 2000 AND total = ?1 AND source <> ?2
             AND (workstation_id = ?3 OR (workstation_id = '' AND till = ?3)) AND sold_at BETWEEN ?4 AND ?5 ORDER BY receipt.id DESC LIMIT 20"
        );
        let values = params![like.total, like.source, like.till, like.sold_at.0 - ms, like.sold_at.0 + ms];
        Ok(self.sql(&sql)?.query_map(values, receipt)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Sources of a receipt, the first sighting first, each once.
    pub fn sources_of(&self, r: &Receipt) -> Result<Vec<String>> {
        let mut select = self.sql("SELECT source FROM sighting WHERE receipt = ?1 ORDER BY at, raw_event")?;
        let others = select.query_map([r.row], |row| row.get::<_, String>(0))?;
        let mut all = vec![r.source.clone()];
        for source in others {
            let source = source?;
            if !all.contains(&source) {
                all.push(source);
            }
        }
        Ok(all)
    }

    /// Other sightings of a receipt, whole.
    pub fn sightings(&self, receipt: i64) -> Result<Vec<Seen>> {
        let mut select = self.sql("SELECT source, at, total, note FROM sighting WHERE receipt = ?1 ORDER BY at, raw_event LIMIT 100")?;
        let seen =
            |row: &rusqlite::Row<'_>| Ok(Seen { source: row.get(0)?, at: UnixMs(row.get(1)?), total: row.get(2)?, note: row.get(3)? });
        Ok(select.query_map([receipt], seen)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Other sightings of a receipt: source, when, note.
    pub fn sightings_of(&self, receipt: i64) -> Result<Vec<(String, UnixMs, String)>> {
        let mut select = self.sql("SELECT source, at, note FROM sighting WHERE receipt = ?1 ORDER BY at, raw_event")?;
        let rows = select.query_map([receipt], |row| Ok((row.get(0)?, UnixMs(row.get(1)?), row.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Contents of a receipt that its own source and others told: a repeat of one is no news.
    pub fn seen_before(&self, receipt: i64, content: &[u8; 16]) -> Result<bool> {
        let mut select = self.sql("SELECT EXISTS (SELECT 1 FROM sighting WHERE receipt = ?1 AND content = ?2)")?;
        Ok(select.query_row(params![receipt, content], |row| row.get(0))?)
    }

    /// Whether a raw event is another sighting of a receipt.
    pub fn is_sighting(&self, raw_event: i64) -> Result<bool> {
        let mut select = self.sql("SELECT EXISTS (SELECT 1 FROM sighting WHERE raw_event = ?1)")?;
        Ok(select.query_row([raw_event], |row| row.get(0))?)
    }

    /// The print of a receipt, where a tap saw it: the tap, and the body with its bytes.
    pub fn print_of(&self, receipt: i64) -> Result<Option<(String, i64)>> {
        let mut select = self.sql(
            "SELECT e.source, e.body FROM raw_event e WHERE e.kind = ?2 AND e.seq IN
             (SELECT raw_event FROM receipt WHERE id = ?1 UNION SELECT raw_event FROM sighting WHERE receipt = ?1) ORDER BY e.seq LIMIT 1",
        )?;
        Ok(select.query_row((receipt, PRINT), |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    /// By how much the last sales of a till differ from when they came, in milliseconds, newest first.
    pub fn delays_of(&self, till: &str, limit: u32) -> Result<Vec<i64>> {
        let mut select = self.sql(
            "SELECT taken_at - sold_at FROM receipt WHERE id > (SELECT coalesce(max(id), 0) FROM receipt) - 2000 AND till = ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        Ok(select.query_map((till, limit), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }
}
