//! People: contacts with what they prefer, addresses that must not be written to, and who did what.

use super::{Result, Snapshot, Tx};
use crate::domain::channel::Channel;
use crate::domain::outcome::Suppress;
use crate::domain::time::UnixMs;
use rusqlite::{OptionalExtension, params};

/// A person known to the shop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Contact {
    pub contact_id: String,
    pub name: String,
    pub email: String,
    pub phone: String,
    pub language: String,
    /// Words of channels in order, or `none`.
    pub preference: Vec<String>,
}

/// An address that must not be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Suppression {
    pub channel: String,
    pub address: String,
    pub reason: String,
    pub at: UnixMs,
    pub origin: String,
}

/// Something that a person did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct AuditRow {
    pub seq: i64,
    pub at: UnixMs,
    pub actor: String,
    pub action: String,
    pub object: String,
    pub detail: String,
}

impl Tx<'_> {
    /// Stores a contact; replaces an earlier state of it.
    pub fn put_contact(&self, c: &Contact, now: UnixMs) -> Result<()> {
        let mut upsert = self.sql(
            "INSERT INTO contact(contact_id, name, email, phone, language, preference, changed_at) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT(contact_id) DO UPDATE SET name = excluded.name, email = excluded.email, phone = excluded.phone,
             language = excluded.language, preference = excluded.preference, changed_at = excluded.changed_at",
        )?;
        upsert.execute(params![c.contact_id, c.name, c.email, c.phone, c.language, c.preference.join(" "), now.0])?;
        Ok(())
    }

    /// Puts an address on the list of those that must not be written to; the first reason stays.
    pub fn suppress(&self, channel: Channel, address: &str, reason: Suppress, at: UnixMs, origin: &str) -> Result<()> {
        let mut insert =
            self.sql("INSERT INTO suppression(channel, address, reason, at, origin) VALUES(?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING")?;
        insert.execute(params![channel.word(), address, reason.word(), at.0, origin])?;
        Ok(())
    }

    /// Takes an address off the list; false where it was not on it.
    pub fn unsuppress(&self, channel: Channel, address: &str) -> Result<bool> {
        Ok(self.sql("DELETE FROM suppression WHERE channel = ?1 AND address = ?2")?.execute((channel.word(), address))? == 1)
    }

    /// Writes down who did what to which object.
    pub fn audit(&self, at: UnixMs, actor: &str, action: &str, object: &str, detail: &str) -> Result<()> {
        self.sql("INSERT INTO audit(at, actor, action, object, detail) VALUES(?1, ?2, ?3, ?4, ?5)")?
            .execute(params![at.0, actor, action, object, detail])?;
        Ok(())
    }
}

impl Snapshot<'_> {
    /// The contact by the shop's id of it.
    pub fn contact(&self, contact_id: &str) -> Result<Option<Contact>> {
        let mut select = self.sql("SELECT contact_id, name, email, phone, language, preference FROM contact WHERE contact_id = ?1")?;
        let row = select.query_row([contact_id], |row| {
            Ok(Contact {
                contact_id: row.get(0)?,
                name: row.get(1)?,
                email: row.get(2)?,
                phone: row.get(3)?,
                language: row.get(4)?,
                preference: row.get::<_, String>(5)?.split_whitespace().map(str::to_owned).collect(),
            })
        });
        Ok(row.optional()?)
    }

    /// Why an address must not be written to on a channel; `None` where it may. A reason that this
    /// release does not know blocks as well.
    pub fn suppressed(&self, channel: Channel, address: &str) -> Result<Option<String>> {
        let mut select = self.sql("SELECT reason FROM suppression WHERE channel = ?1 AND address = ?2")?;
        Ok(select.query_row((channel.word(), address), |row| row.get(0)).optional()?)
    }

    /// All addresses that must not be written to.
    pub fn suppressions(&self, limit: u32) -> Result<Vec<Suppression>> {
        let mut select = self.sql("SELECT channel, address, reason, at, origin FROM suppression ORDER BY at DESC LIMIT ?1")?;
        let rows = select.query_map([limit], |row| {
            Ok(Suppression {
                channel: row.get(0)?,
                address: row.get(1)?,
                reason: row.get(2)?,
                at: UnixMs(row.get(3)?),
                origin: row.get(4)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Who did what to an object, oldest first.
    pub fn audit_of(&self, object: &str) -> Result<Vec<AuditRow>> {
        let mut select = self.sql("SELECT seq, at, actor, action, object, detail FROM audit WHERE object = ?1 ORDER BY seq")?;
        let rows = select.query_map([object], |row| {
            Ok(AuditRow {
                seq: row.get(0)?,
                at: UnixMs(row.get(1)?),
                actor: row.get(2)?,
                action: row.get(3)?,
                object: row.get(4)?,
                detail: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
