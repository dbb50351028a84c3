//! What comes from sources: raw events that are still to be decoded, the look-ups that they need with their
//! answers, and the newest state that was told of each thing.

use super::inbox::{Body, NewRawEvent};
use super::{Result, Snapshot, Tx};
use crate::domain::time::UnixMs;
use rusqlite::{OptionalExtension, Row, params};

/// The kinds of raw events that are decoded by their source.
pub const HOOK: &str = "hook";
/// What a source's API told when it was asked for what changed.
pub const PULL: &str = "pull";
/// A file or a mail.
pub const FILE: &str = "file";

/// Whether a raw event is decoded by its source.
pub fn is_arrival(kind: &str) -> bool {
    matches!(kind, HOOK | PULL | FILE)
}

/// A look-up that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Lookup {
    pub id: i64,
    pub raw_event: i64,
    pub key: String,
    pub need: String,
    pub path: String,
    pub headers: String,
    pub asked_at: UnixMs,
    pub tries: u32,
}

/// A look-up to be written.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct NewLookup<'a> {
    pub raw_event: i64,
    pub source: &'a str,
    pub key: &'a str,
    pub need: &'a str,
    pub path: &'a str,
    pub headers: &'a str,
    pub asked_at: UnixMs,
    pub due: UnixMs,
}

/// What came of one: `None` where there is no answer and will be none.
pub type Answer = (String, Option<Vec<u8>>);

impl Tx<'_> {
    /// Keeps what came, to be decoded at once.
    pub fn put_arrival(&self, event: &NewRawEvent<'_>, headers: &str) -> Result<i64> {
        let seq = self.put_raw_event(event)?;
        self.sql("INSERT INTO arrival(raw_event, headers, due) VALUES(?1, ?2, 0)")?.execute(params![seq, headers])?;
        Ok(seq)
    }

    /// When it is to be decoded next; `None`: only a new answer makes it so.
    pub fn arrival_due(&self, seq: i64, due: Option<UnixMs>) -> Result<()> {
        self.sql("UPDATE arrival SET due = ?2, tries = 0 WHERE raw_event = ?1")?.execute((seq, due.map(|at| at.0)))?;
        Ok(())
    }

    /// Its decision failed: again later, later each time.
    pub fn arrival_failed(&self, seq: i64, now: UnixMs) -> Result<()> {
        self.sql("UPDATE arrival SET due = ?2 + min(1000 << min(tries, 10), 600000), tries = tries + 1 WHERE raw_event = ?1")?
            .execute((seq, now.0))?;
        Ok(())
    }

    /// Writes a look-up, unless it was asked before.
    pub fn put_lookup(&self, l: &NewLookup<'_>) -> Result<()> {
        let mut insert = self.sql(
            "INSERT INTO lookup(raw_event, source, key, need, path, headers, asked_at, state, due)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 'open', ?8 WHERE NOT EXISTS (SELECT 1 FROM lookup WHERE raw_event = ?1 AND key = ?3)",
        )?;
        insert.execute(params![l.raw_event, l.source, l.key, l.need, l.path, l.headers, l.asked_at.0, l.due.0])?;
        Ok(())
    }

    /// Keeps the answer, and has its raw event decoded anew. `None`: there is none and will be none.
    pub fn answer_lookup(&self, l: &Lookup, answer: Option<&Body>, now: UnixMs) -> Result<()> {
        let body = answer.map(|body| self.put_body(body)).transpose()?;
        let state = if body.is_some() { "found" } else { "absent" };
        let mut update =
            self.sql("UPDATE lookup SET state = ?2, answer = ?3, due = NULL, tries = tries + 1 WHERE id = ?1 AND due IS NOT NULL")?;
        if update.execute(params![l.id, state, body])? == 0 {
            return body.map_or(Ok(()), |body| self.drop_body(body)); // its raw event is gone
        }
        self.sql("UPDATE arrival SET due = ?2, tries = 0 WHERE raw_event = ?1")?.execute((l.raw_event, now.0))?;
        Ok(())
    }

    /// It is to be asked again at `due`; `counted` where it was an attempt of its own.
    pub fn retry_lookup(&self, id: i64, due: UnixMs, counted: bool) -> Result<()> {
        let mut update = self.sql("UPDATE lookup SET due = ?2, tries = tries + ?3 WHERE id = ?1 AND due IS NOT NULL")?;
        update.execute(params![id, due.0, counted])?;
        Ok(())
    }

    /// Everything that was asked for a raw event goes.
    pub fn drop_lookups(&self, seq: i64) -> Result<()> {
        self.sql("DELETE FROM body WHERE id IN (SELECT answer FROM lookup WHERE raw_event = ?1)")?.execute([seq])?;
        self.sql("DELETE FROM lookup WHERE raw_event = ?1")?.execute([seq])?;
        Ok(())
    }

    /// Notes the newest state of a business key; false where a newer one was told already. One without a version
    /// is older than any with one.
    pub fn put_told(&self, source: &str, business_key: &str, version: i64, at: UnixMs) -> Result<bool> {
        let mut insert = self.sql(
            "INSERT INTO told(source, business_key, at, version) VALUES(?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET version = excluded.version, at = excluded.at WHERE excluded.version >= version",
        )?;
        Ok(insert.execute(params![source, business_key, at.0, version])? == 1)
    }

    /// A body that nothing refers to.
    pub fn drop_body(&self, id: i64) -> Result<()> {
        self.sql("DELETE FROM body WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// What belongs to a raw event that goes.
    pub(super) fn drop_arrival(&self, seq: i64) -> Result<()> {
        self.drop_lookups(seq)?;
        self.sql("DELETE FROM arrival WHERE raw_event = ?1")?.execute([seq])?;
        Ok(())
    }
}

impl Snapshot<'_> {
    /// Raw events that are to be decoded by now, oldest first.
    pub fn arrivals_due(&self, now: UnixMs, limit: u32) -> Result<Vec<i64>> {
        let mut select = self.sql("SELECT raw_event FROM arrival WHERE due <= ?1 ORDER BY due, raw_event LIMIT ?2")?;
        Ok(select.query_map((now.0, limit), |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
    }

    /// When the next raw event is to be decoded.
    pub fn next_arrival(&self) -> Result<Option<UnixMs>> {
        let due: Option<i64> = self.sql("SELECT min(due) FROM arrival WHERE due IS NOT NULL")?.query_row([], |row| row.get(0))?;
        Ok(due.map(UnixMs))
    }

    /// The headers that were kept with a raw event.
    pub fn arrival_headers(&self, seq: i64) -> Result<String> {
        let found = self.sql("SELECT headers FROM arrival WHERE raw_event = ?1")?.query_row([seq], |row| row.get(0)).optional()?;
        Ok(found.unwrap_or_default())
    }

    /// The answers so far for a raw event.
    pub fn answers(&self, seq: i64) -> Result<Vec<Answer>> {
        let rows: Vec<(String, Option<i64>)> = {
            let mut select = self.sql("SELECT key, answer FROM lookup WHERE raw_event = ?1 AND due IS NULL ORDER BY id")?;
            select.query_map([seq], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?
        };
        rows.into_iter().map(|(key, body)| Ok((key, body.map(|body| self.body(body)).transpose()?))).collect()
    }

    /// How many answers there are for a raw event.
    pub fn answered(&self, seq: i64) -> Result<usize> {
        let n: i64 = self.sql("SELECT count(*) FROM lookup WHERE raw_event = ?1 AND due IS NULL")?.query_row([seq], |row| row.get(0))?;
        Ok(usize::try_from(n).unwrap_or(0))
    }

    /// Look-ups of a source that are due, oldest first.
    pub fn lookups_due(&self, source: &str, now: UnixMs, limit: u32) -> Result<Vec<Lookup>> {
        let mut select = self.sql(
            "SELECT id, raw_event, key, need, path, headers, asked_at, tries FROM lookup WHERE source = ?1 AND due <= ?2 ORDER BY due, id LIMIT ?3",
        )?;
        Ok(select.query_map((source, now.0, limit), lookup)?.collect::<rusqlite::Result<_>>()?)
    }

    /// When the next look-up of a source is due, and how many are open.
    pub fn lookups_open(&self, source: &str) -> Result<(Option<UnixMs>, i64)> {
        let mut select = self.sql("SELECT min(due), count(*) FROM lookup WHERE source = ?1 AND due IS NOT NULL")?;
        Ok(select.query_row([source], |row| Ok((row.get::<_, Option<i64>>(0)?.map(UnixMs), row.get(1)?)))?)
    }

    /// The newest version that was told of a business key.
    pub fn told(&self, source: &str, business_key: &str) -> Result<Option<i64>> {
        let mut select = self.sql("SELECT version FROM told WHERE source = ?1 AND business_key = ?2")?;
        Ok(select.query_row((source, business_key), |row| row.get(0)).optional()?)
    }
}

fn lookup(row: &Row<'_>) -> rusqlite::Result<Lookup> {
    Ok(Lookup {
        id: row.get(0)?,
        raw_event: row.get(1)?,
        key: row.get(2)?,
        need: row.get(3)?,
        path: row.get(4)?,
        headers: row.get(5)?,
        asked_at: UnixMs(row.get(6)?),
        tries: row.get(7)?,
    })
}
