//! Campaigns: a message to many. Its recipients are messages like any other, fixed when it was planned.

use super::{Result, Tx};
use crate::domain::delivery::State;
use crate::domain::time::UnixMs;
use rusqlite::{OptionalExtension, params};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Campaign {
    pub id: String,
    pub channel: String,
    pub template: String,
    pub state: String,
    pub reason: String,
    pub matched: u32,
    pub planned: u32,
    /// JSON: `[{contact, reason}]`.
    pub skipped: String,
    pub changed_at: UnixMs,
}

impl Tx<'_> {
    /// Stores a campaign; false where its id was used before: the same id is the same campaign for ever.
    pub fn put_campaign(&self, c: &Campaign) -> Result<bool> {
        let mut insert = self.sql(
            "INSERT INTO campaign(id, channel, template, state, reason, matched, planned, skipped, changed_at)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO NOTHING",
        )?;
        let values = params![c.id, c.channel, c.template, c.state, c.reason, c.matched, c.planned, c.skipped, c.changed_at.0];
        Ok(insert.execute(values)? == 1)
    }

    /// Moves a campaign from one state to another; false where it was not in the first.
    pub fn move_campaign(&self, id: &str, from: &str, to: &str, now: UnixMs) -> Result<bool> {
        let mut update = self.sql("UPDATE campaign SET state = ?3, changed_at = ?4 WHERE id = ?1 AND state = ?2")?;
        Ok(update.execute((id, from, to, now.0))? == 1)
    }

    /// What has not left of a campaign waits, goes on, or is given up: `from` and `to` are states that
    /// [`State::may_become`] allows.
    pub fn move_recipients(&self, id: &str, from: State, to: State, now: UnixMs) -> Result<usize> {
        if !from.may_become(to) {
            return Err(super::StoreError::Sql(format!("a delivery cannot go from {from} to {to}")));
        }
        let reason = if to == State::Ready { "" } else { "campaign" };
        let mut update = self.sql(
            "UPDATE delivery SET state = ?3, reason = ?4, ended_at = ?5 WHERE state = ?2 AND id IN
             (SELECT d.id FROM message m JOIN delivery d ON d.id BETWEEN m.id * 16 AND m.id * 16 + 15 WHERE m.campaign = ?1)",
        )?;
        Ok(update.execute((id, from.word(), to.word(), reason, now.0))?)
    }
}

impl super::Snapshot<'_> {
    /// A campaign by its id.
    pub fn campaign(&self, id: &str) -> Result<Option<Campaign>> {
        let mut select =
            self.sql("SELECT id, channel, template, state, reason, matched, planned, skipped, changed_at FROM campaign WHERE id = ?1")?;
        Ok(select.query_row([id], campaign).optional()?)
    }

    /// All campaigns.
    pub fn campaigns(&self) -> Result<Vec<Campaign>> {
        let mut select = self.sql(
            "SELECT id, channel, template, state, reason, matched, planned, skipped, changed_at FROM campaign ORDER BY changed_at, id",
        )?;
        Ok(select.query_map([], campaign)?.collect::<rusqlite::Result<_>>()?)
    }

    /// Of a campaign's recipients: how many were sent (taken, or perhaps taken), and how many are still open.
    pub fn campaign_progress(&self, id: &str) -> Result<(u32, u32)> {
        let mut select = self.sql(
            "SELECT coalesce(sum(d.state IN ('accepted', 'delivered', 'uncertain', 'complained', 'bounced') AND d.tries > 0), 0),
             coalesce(sum(d.state IN ('ready', 'retry', 'sending', 'held')), 0)
             FROM message m JOIN delivery d ON d.id BETWEEN m.id * 16 AND m.id * 16 + 15 WHERE m.campaign = ?1",
        )?;
        Ok(select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// When the last recipient of a campaign ended.
    pub fn campaign_ended(&self, id: &str) -> Result<Option<UnixMs>> {
        let mut select = self.sql(
            "SELECT max(d.ended_at) FROM message m JOIN delivery d ON d.id BETWEEN m.id * 16 AND m.id * 16 + 15 WHERE m.campaign = ?1",
        )?;
        Ok(select.query_row([id], |row| row.get::<_, Option<i64>>(0))?.map(UnixMs))
    }
}

fn campaign(row: &rusqlite::Row<'_>) -> rusqlite::Result<Campaign> {
    Ok(Campaign {
        id: row.get(0)?,
        channel: row.get(1)?,
        template: row.get(2)?,
        state: row.get(3)?,
        reason: row.get(4)?,
        matched: row.get(5)?,
        planned: row.get(6)?,
        skipped: row.get(7)?,
        changed_at: UnixMs(row.get(8)?),
    })
}
