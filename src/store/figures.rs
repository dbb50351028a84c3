//! Figures of a day, for those who look at the day in figures. Each looks at one day's rows.

use super::{Result, Snapshot};
use crate::domain::time::UnixMs;

impl Snapshot<'_> {
    /// Documents that were sold in a time, without those that came after it was over: type, currency, how many,
    /// sum in minor units.
    pub fn day_sums(&self, from: UnixMs, to: UnixMs) -> Result<Vec<(String, String, i64, i64)>> {
        let mut select = self.sql(
            "SELECT transaction_type, currency, count(*), sum(total) FROM receipt WHERE sold_at >= ?1 AND sold_at < ?2 AND taken_at < ?2
             GROUP BY transaction_type, currency ORDER BY transaction_type, currency",
        )?;
        let rows = select.query_map((from.0, to.0), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Sales of before a day that came within a time: the first moment of each of those days, how many, sum in
    /// minor units.
    pub fn came_late(&self, from: UnixMs, day: UnixMs, to: UnixMs) -> Result<Vec<(UnixMs, i64, i64)>> {
        let mut select = self.sql(
            "SELECT min(sold_at), count(*), sum(total) FROM receipt WHERE taken_at >= ?1 AND taken_at < ?3 AND sold_at < ?2
             GROUP BY (?2 - 1 - sold_at) / 86400000 ORDER BY 1",
        )?;
        let rows = select.query_map((from.0, day.0, to.0), |row| Ok((UnixMs(row.get(0)?), row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Messages to customers that were made in a time: channel, state, how many.
    pub fn day_channels(&self, from: UnixMs, to: UnixMs) -> Result<Vec<(String, String, i64)>> {
        let mut select = self.sql(
            "SELECT d.channel, d.state, count(*) FROM message m JOIN delivery d ON d.id BETWEEN m.id * 16 AND m.id * 16 + 15
             WHERE m.made_at >= ?1 AND m.made_at < ?2 AND m.audience = 'customer' GROUP BY d.channel, d.state ORDER BY 1, 2",
        )?;
        let rows = select.query_map((from.0, to.0), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Sales that came since a moment: how many, and their sum in minor units of a currency.
    pub fn sold_since(&self, since: UnixMs, currency: &str) -> Result<(i64, i64)> {
        let mut select = self.sql(
            "SELECT count(*), coalesce(sum(CASE WHEN currency = ?2 THEN total ELSE 0 END), 0) FROM receipt
             WHERE id > (SELECT coalesce(max(id), 0) FROM receipt) - 20000 AND taken_at >= ?1 AND transaction_type = 'sale'",
        )?;
        Ok(select.query_row((since.0, currency), |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// Messages to the staff about single events since a moment.
    pub fn staff_events_since(&self, since: UnixMs) -> Result<i64> {
        let mut select = self.sql(
            "SELECT count(*) FROM message WHERE id > (SELECT coalesce(max(id), 0) FROM message) - 500 AND kind = 'staff_event' AND made_at >= ?1",
        )?;
        Ok(select.query_row([since.0], |row| row.get(0))?)
    }

    /// Minutes within a time in which the line was down.
    pub fn offline_minutes(&self, from: UnixMs, to: UnixMs) -> Result<i64> {
        let mut select = self.sql(
            "SELECT coalesce(sum(max(0, min(coalesce(resolved_at, ?2), ?2) - max(raised_at, ?1))), 0) / 60000 FROM incident
             WHERE alert = 'line' AND raised_at < ?2 AND coalesce(resolved_at, ?2) > ?1",
        )?;
        Ok(select.query_row((from.0, to.0), |row| row.get(0))?)
    }

    /// What providers answered most within a time, other than that they took it: text, how often.
    pub fn top_errors(&self, from: UnixMs, to: UnixMs, most: u32) -> Result<Vec<(String, i64)>> {
        let mut select = self.sql(
            "SELECT provider || ': ' || detail, count(*) AS n FROM attempt WHERE ended_at >= ?1 AND ended_at < ?2 AND class NOT IN ('accepted', 'offline')
             GROUP BY 1 ORDER BY n DESC, 1 LIMIT ?3",
        )?;
        let rows = select.query_map((from.0, to.0, most), |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
