//! Incidents: what is or was wrong. Each is there once while it lasts, and people hear of it once and once
//! of its end, however often the box restarts in between.

use super::{Result, Tx};
use crate::domain::time::UnixMs;
use rusqlite::{OptionalExtension, Row, params};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Row.
    pub id: i64,
    /// What is wrong: `auth`, `provider_down`, `offline`, `dead_letter`, `refund`, …
    pub alert: String,
    /// With what, e.g. the provider's name.
    pub object: String,
    /// Since when.
    pub raised_at: UnixMs,
    /// Until when; `None` while it lasts.
    pub resolved_at: Option<UnixMs>,
    /// 0: nobody heard of it, 1: that it is there, 2: that it is over.
    pub told: u8,
}

impl Tx<'_> {
    /// Something is wrong; false where it was already.
    pub fn raise(&self, alert: &str, object: &str, now: UnixMs) -> Result<bool> {
        let mut insert = self.sql(
            "INSERT INTO incident(alert, object, raised_at) SELECT ?1, ?2, ?3
             WHERE NOT EXISTS (SELECT 1 FROM incident WHERE alert = ?1 AND object = ?2 AND resolved_at IS NULL)",
        )?;
        Ok(insert.execute((alert, object, now.0))? == 1)
    }

    /// It is over; false where it was not there.
    pub fn resolve(&self, alert: &str, object: &str, now: UnixMs) -> Result<bool> {
        let mut update = self.sql("UPDATE incident SET resolved_at = ?3 WHERE alert = ?1 AND object = ?2 AND resolved_at IS NULL")?;
        Ok(update.execute((alert, object, now.0))? > 0)
    }

    /// People heard of it: 1 that it is there, 2 that it is over.
    pub fn told(&self, id: i64, told: u8) -> Result<()> {
        self.sql("UPDATE incident SET told = ?2 WHERE id = ?1")?.execute(params![id, told])?;
        Ok(())
    }
}

impl super::Snapshot<'_> {
    /// Incidents that people have not heard all of, oldest first.
    pub fn untold(&self, limit: u32) -> Result<Vec<Incident>> {
        let mut select = self.sql(
            "SELECT id, alert, object, raised_at, resolved_at, told FROM incident WHERE told < 2 AND (told = 0 OR resolved_at IS NOT NULL) ORDER BY id LIMIT ?1",
        )?;
        Ok(select.query_map([limit], incident)?.collect::<rusqlite::Result<_>>()?)
    }

    /// The incident that lasts, where there is one.
    pub fn lasting(&self, alert: &str, object: &str) -> Result<Option<Incident>> {
        let mut select = self.sql(
            "SELECT id, alert, object, raised_at, resolved_at, told FROM incident WHERE alert = ?1 AND object = ?2 AND resolved_at IS NULL",
        )?;
        Ok(select.query_row((alert, object), incident).optional()?)
    }

    /// The newest incidents, newest first.
    pub fn incidents(&self, limit: u32) -> Result<Vec<Incident>> {
        let mut select = self.sql("SELECT id, alert, object, raised_at, resolved_at, told FROM incident ORDER BY id DESC LIMIT ?1")?;
        Ok(select.query_map([limit], incident)?.collect::<rusqlite::Result<_>>()?)
    }
}

fn incident(row: &Row<'_>) -> rusqlite::Result<Incident> {
    Ok(Incident {
        id: row.get(0)?,
        alert: row.get(1)?,
        object: row.get(2)?,
        raised_at: UnixMs(row.get(3)?),
        resolved_at: row.get::<_, Option<i64>>(4)?.map(UnixMs),
        told: row.get(5)?,
    })
}
