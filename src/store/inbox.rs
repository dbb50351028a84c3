//! The inbox: raw events as they came, their bytes, and the memory of what was already taken.

use super::{Result, Snapshot, StoreError, Tx};
use crate::domain::time::UnixMs;
use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};
use rusqlite::{OptionalExtension, params};
use std::cell::RefCell;
use std::io::Read;

thread_local! {
    /// Its tables are larger than what it packs: made once for each thread.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(4), false));
}

/// Coding of a body that is sealed.
const SEALED: i64 = 2;

/// Bytes as they are kept: deflated where that makes them smaller. Made outside the writer's thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    coding: i64,
    data: Vec<u8>,
}

impl Body {
    /// Packs the bytes.
    pub fn pack(bytes: &[u8]) -> Body {
        let deflated = DEFLATE.with_borrow_mut(|deflate| {
            deflate.reset();
            let mut data = Vec::with_capacity(bytes.len());
            // More than there is room for would not be smaller: then the bytes stay as they are.
            match deflate.compress_vec(bytes, &mut data, FlushCompress::Finish) {
                Ok(Status::StreamEnd) => Some(data),
                _ => None,
            }
        });
        match deflated {
            Some(data) if data.len() < bytes.len() => Body { coding: 1, data },
            _ => Body { coding: 0, data: bytes.to_vec() },
        }
    }

    /// Bytes that were sealed with the key of this box: nobody else reads them on the disk.
    pub fn sealed(bytes: Vec<u8>) -> Body {
        Body { coding: SEALED, data: bytes }
    }

    /// The bytes again. `None` where they cannot be read.
    fn unpack(coding: i64, data: Vec<u8>) -> Option<Vec<u8>> {
        match coding {
            0 | SEALED => Some(data),
            1 => {
                let mut out = Vec::with_capacity(data.len() * 3);
                // What we packed was a body within its limit: the cap only bounds damage.
                DeflateDecoder::new(data.as_slice()).take(64 << 20).read_to_end(&mut out).ok()?;
                Some(out)
            }
            _ => None,
        }
    }
}

/// A raw event to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewRawEvent<'a> {
    /// When it came.
    pub at: UnixMs,
    /// Till or source, by its name in the config.
    pub source: &'a str,
    /// `sale`, `event`, `resend`, `contact`.
    pub kind: &'a str,
    /// The sender's id of it.
    pub subject: &'a str,
    /// Its bytes.
    pub body: i64,
    /// `done` where deciding shares the transaction, `new` where it is still to come, `kept` where no rule
    /// acts on it yet.
    pub state: &'a str,
}

/// A kept raw event, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // as in `NewRawEvent`
pub struct RawEvent {
    pub seq: i64,
    pub at: UnixMs,
    pub source: String,
    pub kind: String,
    pub subject: String,
    pub body: i64,
    pub state: String,
    pub reason: Option<String>,
}

/// What was taken under a key before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recalled {
    /// Hash of the content then.
    pub content: [u8; 16],
    /// What was answered.
    pub answer: String,
}

impl Tx<'_> {
    /// Keeps bytes and gives their id.
    pub fn put_body(&self, body: &Body) -> Result<i64> {
        self.sql("INSERT INTO body(coding, data) VALUES(?1, ?2)")?.insert((body.coding, &body.data)).map_err(StoreError::from)
    }

    /// Takes the bytes of a body away; who refers to it finds none.
    pub fn purge_body(&self, id: i64) -> Result<()> {
        self.sql("UPDATE body SET data = x'', coding = 0 WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Puts other bytes in place of a body's.
    pub fn replace_body(&self, id: i64, body: &Body) -> Result<()> {
        self.sql("UPDATE body SET data = ?2, coding = ?3 WHERE id = ?1")?.execute(params![id, body.data, body.coding])?;
        Ok(())
    }

    /// Keeps a raw event and gives its number.
    pub fn put_raw_event(&self, event: &NewRawEvent<'_>) -> Result<i64> {
        let mut insert = self.sql("INSERT INTO raw_event(at, source, kind, subject, body, state) VALUES(?1, ?2, ?3, ?4, ?5, ?6)")?;
        Ok(insert.insert(params![event.at.0, event.source, event.kind, event.subject, event.body, event.state])?)
    }

    /// Says how a raw event ended: `done`, or `quarantined` with its reason.
    pub fn end_raw_event(&self, seq: i64, state: &str, reason: Option<&str>) -> Result<()> {
        self.sql("UPDATE raw_event SET state = ?2, reason = ?3 WHERE seq = ?1")?.execute(params![seq, state, reason])?;
        Ok(())
    }

    /// Remembers what was taken under a key, and the answer to a repeat.
    pub fn remember(&self, key: &[u8; 16], at: UnixMs, content: &[u8; 16], answer: &str) -> Result<()> {
        self.sql("INSERT INTO dedup(key, at, content, answer) VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING")?
            .execute(params![key, at.0, content, answer])?;
        Ok(())
    }

    /// Keeps a small thing that must outlive a restart.
    pub fn put_fact(&self, name: &str, value: &str) -> Result<()> {
        self.sql("INSERT INTO fact(name, value) VALUES(?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value")?
            .execute((name, value))?;
        Ok(())
    }
}

impl Tx<'_> {
    /// Lets a small thing go.
    pub fn drop_fact(&self, name: &str) -> Result<()> {
        self.sql("DELETE FROM fact WHERE name = ?1")?.execute([name])?;
        Ok(())
    }
}

impl Snapshot<'_> {
    /// The bytes of a body.
    pub fn body(&self, id: i64) -> Result<Vec<u8>> {
        let (coding, data) =
            self.sql("SELECT coding, data FROM body WHERE id = ?1")?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Body::unpack(coding, data).ok_or_else(|| StoreError::Sql(format!("body {id} cannot be read")))
    }

    /// One raw event.
    pub fn raw_event(&self, seq: i64) -> Result<Option<RawEvent>> {
        let mut select = self.sql("SELECT seq, at, source, kind, subject, body, state, reason FROM raw_event WHERE seq = ?1")?;
        Ok(select.query_row([seq], raw_event).optional()?)
    }

    /// The body of a raw event.
    pub fn raw_event_body(&self, seq: i64) -> Result<i64> {
        Ok(self.sql("SELECT body FROM raw_event WHERE seq = ?1")?.query_row([seq], |row| row.get(0))?)
    }

    /// What was taken under the key before.
    pub fn recall(&self, key: &[u8; 16]) -> Result<Option<Recalled>> {
        let row = self
            .sql("SELECT content, answer FROM dedup WHERE key = ?1")?
            .query_row([key], |row| Ok(Recalled { content: row.get(0)?, answer: row.get(1)? }));
        Ok(row.optional()?)
    }

    /// A small thing that outlived a restart.
    pub fn fact(&self, name: &str) -> Result<Option<String>> {
        Ok(self.sql("SELECT value FROM fact WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()?)
    }

    /// The newest raw events, newest first; `before` is the number to page on from.
    pub fn raw_events(&self, before: Option<i64>, limit: u32) -> Result<Vec<RawEvent>> {
        let mut select = self
            .sql("SELECT seq, at, source, kind, subject, body, state, reason FROM raw_event WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2")?;
        Ok(select.query_map((before.unwrap_or(i64::MAX), limit), raw_event)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Raw events of tills that were kept but not decided yet, oldest first; those of sources are arrivals.
    pub fn undecided(&self, limit: u32) -> Result<Vec<RawEvent>> {
        let mut select = self
            .sql("SELECT seq, at, source, kind, subject, body, state, reason FROM raw_event WHERE state = 'new' AND kind NOT IN ('hook', 'pull', 'file') ORDER BY seq LIMIT ?1")?;
        Ok(select.query_map([limit], raw_event)?.collect::<rusqlite::Result<_>>()?)
    }
}

fn raw_event(row: &rusqlite::Row<'_>) -> rusqlite::Result<RawEvent> {
    Ok(RawEvent {
        seq: row.get(0)?,
        at: UnixMs(row.get(1)?),
        source: row.get(2)?,
        kind: row.get(3)?,
        subject: row.get(4)?,
        body: row.get(5)?,
        state: row.get(6)?,
        reason: row.get(7)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bodies_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let body = Body::pack(&bytes);
            prop_assert!(body.data.len() <= bytes.len());
            prop_assert_eq!(Body::unpack(body.coding, body.data), Some(bytes));
        }
    }
}
