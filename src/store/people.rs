//! People: contacts with what they prefer, addresses that must not be written to, and who did what.

use super::{Result, Snapshot, Tx};
use crate::domain::channel::Channel;
use crate::domain::consent::{Entry, Purpose, State};
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
    pub push_token: String,
    pub language: String,
    pub timezone: String,
    pub region: String,
    /// Words of channels in order, or `none`.
    pub preference: Vec<String>,
    pub no_sharing: bool,
}

/// A consent to be stored.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct NewConsent<'a> {
    pub channel: Channel,
    pub address: &'a str,
    pub purpose: Purpose,
    pub state: State,
    pub at: UnixMs,
    pub method: &'a str,
    pub till: &'a str,
    pub actor: &'a str,
    pub wording: &'a str,
    pub origin: &'a str,
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

/// Which of them, newest first.
#[derive(Clone, Debug, Default)]
pub struct FindSuppressions {
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// Only for this reason; empty: for any.
    pub reason: String,
    /// Part of the address; empty: any.
    pub text: String,
    /// Only what comes after this one.
    pub after: Option<(UnixMs, String, String)>,
    /// How many.
    pub limit: u32,
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
            "INSERT INTO contact(contact_id, name, email, phone, push_token, language, timezone, region, preference, no_sharing, changed_at)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT(contact_id) DO UPDATE SET name = excluded.name, email = excluded.email, phone = excluded.phone, push_token = excluded.push_token,
             language = excluded.language, timezone = excluded.timezone, region = excluded.region, preference = excluded.preference,
             no_sharing = excluded.no_sharing, changed_at = excluded.changed_at",
        )?;
        let values = params![
            c.contact_id,
            c.name,
            c.email,
            c.phone,
            c.push_token,
            c.language,
            c.timezone,
            c.region,
            c.preference.join(" "),
            c.no_sharing,
            now.0
        ];
        upsert.execute(values)?;
        Ok(())
    }

    /// Writes down what a person allowed or forbade.
    pub fn put_consent(&self, c: &NewConsent<'_>) -> Result<()> {
        let mut insert = self.sql(
            "INSERT INTO consent(channel, address, purpose, state, at, method, till, actor, wording, origin) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let words = (c.channel.word(), c.address, c.purpose.word(), c.state.word());
        insert.execute(params![words.0, words.1, words.2, words.3, c.at.0, c.method, c.till, c.actor, c.wording, c.origin])?;
        Ok(())
    }

    /// Forgets a token that leads nowhere any more.
    pub fn drop_push_token(&self, token: &str) -> Result<()> {
        self.sql("UPDATE contact SET push_token = '' WHERE push_token = ?1")?.execute([token])?;
        Ok(())
    }

    /// Notes a soft bounce and gives how many there are, and over how long they are spread.
    pub fn soft_bounce(&self, channel: Channel, address: &str, at: UnixMs) -> Result<(u32, std::time::Duration)> {
        self.sql("INSERT INTO soft_bounce(channel, address, at) VALUES(?1, ?2, ?3) ON CONFLICT DO NOTHING")?.execute((
            channel.word(),
            address,
            at.0,
        ))?;
        let mut select = self.sql("SELECT count(*), min(at), max(at) FROM soft_bounce WHERE channel = ?1 AND address = ?2")?;
        let row = select.query_row((channel.word(), address), |row| Ok((row.get(0)?, UnixMs(row.get(1)?), UnixMs(row.get(2)?))))?;
        Ok((row.0, row.2.since(row.1)))
    }

    /// Something arrived there: soft bounces of before count no more.
    pub fn forget_soft_bounces(&self, channel: Channel, address: &str) -> Result<()> {
        self.sql("DELETE FROM soft_bounce WHERE channel = ?1 AND address = ?2")?.execute((channel.word(), address))?;
        self.sql("DELETE FROM suppression WHERE channel = ?1 AND address = ?2 AND reason = 'soft_bounce'")?
            .execute((channel.word(), address))?;
        Ok(())
    }

    /// Puts an address on the list of those that must not be written to. The stronger reason stays: what the
    /// recipient said stands above what a server said, and both above what holds for offers only.
    pub fn suppress(&self, channel: Channel, address: &str, reason: Suppress, at: UnixMs, origin: &str) -> Result<()> {
        let before = self.read().suppressed(channel, address)?;
        if before.as_deref().is_some_and(|b| Suppress::from_word(b).is_none_or(|b| b.strength() >= reason.strength())) {
            return Ok(());
        }
        let mut insert = self.sql("INSERT OR REPLACE INTO suppression(channel, address, reason, at, origin) VALUES(?1, ?2, ?3, ?4, ?5)")?;
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

const CONTACT: &str = "contact_id, name, email, phone, push_token, language, timezone, region, preference, no_sharing";

fn suppression(row: &rusqlite::Row<'_>) -> rusqlite::Result<Suppression> {
    Ok(Suppression { channel: row.get(0)?, address: row.get(1)?, reason: row.get(2)?, at: UnixMs(row.get(3)?), origin: row.get(4)? })
}

fn contact(row: &rusqlite::Row<'_>) -> rusqlite::Result<Contact> {
    Ok(Contact {
        contact_id: row.get(0)?,
        name: row.get(1)?,
        email: row.get(2)?,
        phone: row.get(3)?,
        push_token: row.get(4)?,
        language: row.get(5)?,
        timezone: row.get(6)?,
        region: row.get(7)?,
        preference: row.get::<_, String>(8)?.split_whitespace().map(str::to_owned).collect(),
        no_sharing: row.get(9)?,
    })
}

impl Snapshot<'_> {
    /// The contact by the shop's id of it.
    pub fn contact(&self, contact_id: &str) -> Result<Option<Contact>> {
        let mut select = self.sql(&format!("SELECT {CONTACT} FROM contact WHERE contact_id = ?1"))?;
        Ok(select.query_row([contact_id], contact).optional()?)
    }

    /// The contact that has one of these addresses, the one that changed last.
    pub fn contact_with(&self, email: &str, phone: &str) -> Result<Option<Contact>> {
        for (column, value) in [("email", email), ("phone", phone)] {
            if value.is_empty() {
                continue;
            }
            let sql =
                format!("SELECT {CONTACT} FROM contact WHERE {column} = ?1 AND {column} <> '' ORDER BY changed_at DESC, id DESC LIMIT 1");
            if let Some(found) = self.sql(&sql)?.query_row([value], contact).optional()? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// What was said last of a purpose on an address, in the order in which it came: a clock that was wrong must
    /// not make an old yes newer than a no. A state that this release does not know counts as no.
    pub fn consent(&self, channel: Channel, address: &str, purpose: Purpose) -> Result<Option<Entry>> {
        let mut select =
            self.sql("SELECT state, at FROM consent WHERE channel = ?1 AND address = ?2 AND purpose = ?3 ORDER BY id DESC LIMIT 1")?;
        let row = select.query_row((channel.word(), address, purpose.word()), |row| {
            let state: String = row.get(0)?;
            Ok(Entry { state: State::from_word(&state).unwrap_or(State::Denied), at: UnixMs(row.get(1)?), renewed: UnixMs::default() })
        });
        Ok(row.optional()?)
    }

    /// When the n-th last offer (1: the last) left for an address.
    pub fn offer_before(&self, channel: Channel, address: &str, n: u32) -> Result<Option<UnixMs>> {
        let mut select = self.sql(
            "SELECT began_at FROM delivery WHERE priority = 6 AND channel = ?1 AND address = ?2 AND began_at IS NOT NULL
             AND state IN ('sending', 'accepted', 'delivered', 'uncertain', 'complained') ORDER BY began_at DESC LIMIT 1 OFFSET ?3",
        )?;
        Ok(select.query_row(params![channel.word(), address, n.saturating_sub(1)], |row| row.get(0)).optional()?.map(UnixMs))
    }

    /// When this address was erased, by the name that only this box can make of it.
    pub fn erased(&self, name: &[u8; 16]) -> Result<Option<UnixMs>> {
        Ok(self.sql("SELECT at FROM erased WHERE hash = ?1")?.query_row([name], |row| row.get(0)).optional()?.map(UnixMs))
    }

    /// Why an address must not be written to on a channel; `None` where it may. A reason that this
    /// release does not know blocks as well.
    pub fn suppressed(&self, channel: Channel, address: &str) -> Result<Option<String>> {
        let mut select = self.sql("SELECT reason FROM suppression WHERE channel = ?1 AND address = ?2")?;
        Ok(select.query_row((channel.word(), address), |row| row.get(0)).optional()?)
    }

    /// The entry of an address on the suppression list.
    pub fn suppression(&self, channel: Channel, address: &str) -> Result<Option<Suppression>> {
        let mut select = self.sql("SELECT channel, address, reason, at, origin FROM suppression WHERE channel = ?1 AND address = ?2")?;
        Ok(select.query_row((channel.word(), address), suppression).optional()?)
    }

    /// All addresses that must not be written to.
    pub fn suppressions(&self, limit: u32) -> Result<Vec<Suppression>> {
        let mut select = self.sql("SELECT channel, address, reason, at, origin FROM suppression ORDER BY at DESC LIMIT ?1")?;
        let rows = select.query_map([limit], suppression)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Addresses that must not be written to, newest first.
    pub fn find_suppressions(&self, find: &FindSuppressions) -> Result<Vec<Suppression>> {
        let like = format!("%{}%", find.text.trim().replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"));
        let (at, channel, address) = find.after.clone().unwrap_or((UnixMs(i64::MAX), String::new(), String::new()));
        let mut select = self.sql(
            "SELECT channel, address, reason, at, origin FROM suppression WHERE (?1 IS NULL OR channel = ?1) AND (?2 = '' OR reason = ?2)
             AND address LIKE ?3 ESCAPE '\\' AND (at < ?4 OR (at = ?4 AND (channel, address) > (?5, ?6))) ORDER BY at DESC, channel, address LIMIT ?7",
        )?;
        let values = params![find.channel.map(Channel::word), find.reason, like, at.0, channel, address, find.limit];
        Ok(select.query_map(values, suppression)?.collect::<rusqlite::Result<_>>()?)
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
