//! Deadlines of deliveries, and what becomes of them when the clock they were set by was wrong.

use super::{Result, Tx};
use crate::domain::delivery::State;
use crate::domain::message::Kind;
use crate::domain::time::UnixMs;

impl Tx<'_> {
    /// Steps whose time to live has passed end, too late to be useful; gives kind and document of each. At most
    /// `most`.
    pub fn expire(&self, now: UnixMs, most: u32) -> Result<Vec<(Kind, i64)>> {
        let late: Vec<(i64, String, String, Option<i64>)> = {
            let mut select = self.sql(
                "SELECT d.id, d.state, m.kind, m.body FROM delivery d JOIN message m ON m.id = d.message WHERE d.state IN ('ready', 'retry') AND d.expires < ?1 LIMIT ?2",
            )?;
            let rows = select.query_map((now.0, most), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
            rows.collect::<rusqlite::Result<_>>()?
        };
        for (id, state, _, _) in &late {
            self.transition(*id, State::from_word(state).unwrap_or(State::Ready), State::Dead, "ttl", now)?;
        }
        Ok(late.iter().filter_map(|(_, _, kind, body)| Some((Kind::from_word(kind)?, (*body)?))).collect())
    }

    /// Moves open deadlines with a clock that was set from `old` to `new`. A deadline belongs to the old
    /// clock when it lies within a month of it; one that is further ahead than any schedule reaches is
    /// due now. Without `old` (at start) only the latter holds.
    pub fn align_deadlines(&self, old: Option<UnixMs>, new: UnixMs) -> Result<()> {
        const MONTH: i64 = 30 * 86_400_000;
        const OPEN: &str = "state IN ('ready', 'retry')";
        if let Some(old) = old {
            let by = new.0 - old.0;
            for column in ["due", "expires"] {
                let sql = format!("UPDATE delivery SET {column} = {column} + ?1 WHERE {OPEN} AND abs({column} - ?2) <= ?3");
                self.sql(&sql)?.execute((by, old.0, MONTH))?;
            }
        }
        self.sql(&format!("UPDATE delivery SET due = ?1 WHERE {OPEN} AND due > ?1 + ?2"))?.execute((new.0, MONTH))?;
        Ok(())
    }

    /// A deadline further ahead than any message is useful was set by a clock that could not be believed,
    /// or that was wrong: it counts from now, the first moment that can be believed.
    pub fn mend_deadlines(&self, now: UnixMs) -> Result<()> {
        const LONGEST: i64 = 15 * 86_400_000;
        const USEFUL: i64 = 7 * 86_400_000;
        let mut update = self.sql("UPDATE delivery SET expires = ?1 WHERE state IN ('ready', 'retry') AND expires > ?2")?;
        update.execute((now.0 + USEFUL, now.0 + LONGEST))?;
        Ok(())
    }

    /// Notes from when on online time counts for deliveries that are due and were not tried yet.
    pub fn begin_waiting(&self, now: UnixMs, online_ms: i64) -> Result<()> {
        let mut update =
            self.sql("UPDATE delivery SET online_since = ?2 WHERE state IN ('ready', 'retry') AND due <= ?1 AND online_since IS NULL")?;
        update.execute((now.0, online_ms))?;
        Ok(())
    }
}
