//! Finding the delivery that a provider speaks of by what it knows: its own id, or the address.
//!
//! Without an index: ids of providers come in the order of a hash, and an index of them would cost a page in
//! every commit. So the newest attempts are looked through, once for all ids of a call.

use super::Delivery;
use super::read::{COLUMNS, FROM_DELIVERY, delivery};
use crate::domain::channel::Channel;
use crate::domain::time::UnixMs;
use crate::store::{Result, Snapshot, Tx};
use rusqlite::{OptionalExtension, params};
use std::collections::{BTreeMap, BTreeSet};

/// How many of the newest messages are looked through; their reports come within days.
const NEWEST: i64 = 50_000;

impl Snapshot<'_> {
    /// The rows of the deliveries that a provider took under these ids, by the id as it was asked for.
    pub fn of_provider_ids(&self, provider: &str, ids: &BTreeSet<String>) -> Result<BTreeMap<String, i64>> {
        let mut wanted: BTreeMap<&str, &String> = BTreeMap::new();
        for id in ids {
            let bare = bare(id);
            wanted.insert(bare, id);
            // What SendGrid tells begins with the id that it answered, and goes on with a dot.
            wanted.entry(bare.split('.').next().unwrap_or(bare)).or_insert(id);
        }
        let mut select = self.sql(
            "SELECT delivery, provider_id FROM attempt WHERE delivery > (SELECT coalesce(max(id), 0) FROM delivery) - ?1
             AND provider = ?2 AND provider_id IS NOT NULL",
        )?;
        let mut rows = select.query(params![NEWEST * super::STEPS, provider])?;
        let mut found = BTreeMap::new();
        while let Some(row) = rows.next()? {
            let id: String = row.get(1)?;
            if let Some(asked) = wanted.get(bare(&id)) {
                found.insert((*asked).clone(), row.get(0)?);
            }
        }
        Ok(found)
    }

    /// The last delivery to an address that a provider was given between two moments.
    pub fn last_to(&self, provider: &str, channel: Channel, address: &str, between: (UnixMs, UnixMs)) -> Result<Option<Delivery>> {
        let mut select = self.sql(&format!(
            "SELECT {COLUMNS} {FROM_DELIVERY} WHERE d.id > (SELECT coalesce(max(id), 0) FROM delivery) - ?1
             AND channel = ?2 AND address = ?3 AND provider = ?4 AND began_at BETWEEN ?5 AND ?6 ORDER BY d.id DESC LIMIT 1"
        ))?;
        let values = params![NEWEST * super::STEPS, channel.word(), address, provider, between.0.0, between.1.0];
        Ok(select.query_row(values, delivery).optional()?)
    }
}

impl Tx<'_> {
    /// The provider turned out to have a message, under this id: its last attempt is the one.
    pub fn set_provider_id(&self, delivery: i64, id: &str) -> Result<()> {
        let mut update =
            self.sql("UPDATE attempt SET provider_id = ?2 WHERE delivery = ?1 AND n = (SELECT max(n) FROM attempt WHERE delivery = ?1)")?;
        update.execute((delivery, id))?;
        Ok(())
    }
}

/// Message ids stand now in angle brackets, now without.
fn bare(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}
