//! Erasure: a person goes out of the store, and only names that nobody can read back stay.

use super::inbox::Body;
use super::lookups::is_arrival;
use super::{Result, Tx};
use crate::domain::time::UnixMs;
use rusqlite::params;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Receipts whose document and buyer were cleared.
    pub receipts: u32,
    /// Deliveries that were cancelled before they left.
    pub cancelled: u32,
    /// Deliveries whose address and content were cleared.
    pub cleared: u32,
}

impl Tx<'_> {
    /// Remembers that an address was erased, by its keyed name.
    pub fn put_erased(&self, name: &[u8; 16], at: UnixMs) -> Result<()> {
        self.sql("INSERT INTO erased(hash, at) VALUES(?1, ?2) ON CONFLICT DO NOTHING")?.execute(params![name, at.0])?;
        Ok(())
    }

    /// Removes contacts, consents, suppressions and soft bounces of these addresses, cancels what waits for
    /// them, and clears addresses and contents of what is over. `strip` takes the customer out of a document.
    /// Offers and receipts to the same address by another contact go as well: an address is one person's.
    pub fn erase(&self, contact_id: &str, addresses: &[String], strip: impl Fn(&[u8]) -> Option<Vec<u8>>, now: UnixMs) -> Result<Erased> {
        let mut done = Erased::default();
        self.sql("DELETE FROM contact WHERE contact_id = ?1")?.execute([contact_id])?;
        for address in addresses.iter().filter(|a| !a.is_empty()) {
            self.sql("DELETE FROM contact WHERE email = ?1 OR phone = ?1 OR push_token = ?1")?.execute([address])?;
            self.sql("DELETE FROM consent WHERE address = ?1")?.execute([address])?;
            self.sql("DELETE FROM suppression WHERE address = ?1")?.execute([address])?;
            self.sql("DELETE FROM soft_bounce WHERE address = ?1")?.execute([address])?;
            self.erase_deliveries(address, now, &mut done)?;
            self.erase_receipts(address, &strip, &mut done)?;
            self.erase_callbacks(address)?;
        }
        Ok(done)
    }

    fn erase_deliveries(&self, address: &str, now: UnixMs, done: &mut Erased) -> Result<()> {
        use crate::domain::delivery::State;
        let like = format!("%{}%", serde_json::Value::from(address).to_string().trim_matches('"'));
        let rows: Vec<(i64, String, Option<i64>)> = {
            let mut select = self.sql("SELECT id, state, content FROM delivery WHERE address = ?1")?;
            let rows = select.query_map([address], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        for (id, state, content) in rows {
            if let Some(state) = State::from_word(&state).filter(|s| s.may_become(State::Cancelled)) {
                done.cancelled += u32::from(self.transition(id, state, State::Cancelled, "erased", now)?);
            }
            self.sql("UPDATE delivery SET address = '', content = NULL WHERE id = ?1")?.execute([id])?;
            if let Some(body) = content {
                self.sql("DELETE FROM body WHERE id = ?1")?.execute([body])?;
            }
            done.cleared += 1;
        }
        self.sql("UPDATE message SET chain = '' WHERE chain LIKE ?1")?.execute([like])?;
        Ok(())
    }

    fn erase_receipts(&self, address: &str, strip: &impl Fn(&[u8]) -> Option<Vec<u8>>, done: &mut Erased) -> Result<()> {
        let rows: Vec<(i64, i64, i64)> = {
            let mut select = self.sql(
                "SELECT receipt.id, receipt.body, receipt.raw_event FROM buyer JOIN receipt ON receipt.id = buyer.receipt WHERE buyer.email = ?1 OR buyer.phone = ?1",
            )?;
            let rows = select.query_map([address], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        for (receipt, body, raw) in rows {
            self.sql("DELETE FROM buyer WHERE receipt = ?1")?.execute([receipt])?;
            let told: Vec<(i64, i64, String)> = {
                let mut select = self.sql(
                    "SELECT e.seq, e.body, e.kind FROM raw_event e WHERE e.seq = ?2 OR e.seq IN (SELECT raw_event FROM sighting WHERE receipt = ?1)",
                )?;
                let rows = select.query_map((receipt, raw), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
                rows.collect::<rusqlite::Result<_>>()?
            };
            for (seq, body, kind) in told {
                match is_arrival(&kind) {
                    true => self.purge_arrival(seq, body)?, // a vendor's form is nobody's to strip
                    false => self.strip_body(body, strip)?,
                }
            }
            self.strip_body(body, strip)?;
            done.receipts += 1;
        }
        Ok(())
    }

    /// What providers told of an address, as it came: goes whole, as it was acted on long ago.
    fn erase_callbacks(&self, address: &str) -> Result<()> {
        let plain = address.to_lowercase();
        let in_a_form = plain.replace('@', "%40").replace('+', "%2b");
        let bodies: Vec<i64> = {
            let mut select = self.sql("SELECT body FROM raw_event WHERE kind = 'callback'")?;
            select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?
        };
        for body in bodies {
            let text = self.read().body(body).map(|bytes| String::from_utf8_lossy(&bytes).to_lowercase()).unwrap_or_default();
            if text.contains(&plain) || text.contains(&in_a_form) {
                self.purge_body(body)?;
            }
        }
        Ok(())
    }

    /// What a source told, and what its vendor answered, goes whole.
    fn purge_arrival(&self, seq: i64, body: i64) -> Result<()> {
        self.drop_lookups(seq)?;
        self.arrival_due(seq, None)?;
        self.purge_body(body)
    }

    /// Bytes without the person; what cannot be read goes whole.
    fn strip_body(&self, body: i64, strip: &impl Fn(&[u8]) -> Option<Vec<u8>>) -> Result<()> {
        match self.read().body(body).ok().and_then(|bytes| strip(&bytes)) {
            Some(bytes) => self.replace_body(body, &Body::pack(&bytes)),
            None => self.purge_body(body),
        }
    }
}
