//! Reading the outbox: what is due, what lists show, and how many there are of what.

use super::{Attempt, Delivery, Filter};
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::ids::{IntentId, StepId, hex};
use crate::domain::message::{Audience, Kind};
use crate::domain::time::UnixMs;
use crate::store::{Result, Snapshot};
use rusqlite::types::Value as SqlValue;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};
use std::collections::BTreeMap;

pub(super) const COLUMNS: &str =
    "d.id, message, step, channel, address, state, reason, priority, due, expires, tries, counted, ordinal, here, here_since,
    online_since, provider, began_at, ended_at, d.content, composed_at, receipt, kind, audience, slot, intent, made_at, m.sold_at, fresh, test,
    language, actor, chain, why, seen_at, m.body, route, thread, campaign, zone, region";

/// For looking at deliveries in their own order.
pub(super) const FROM_DELIVERY: &str = "FROM delivery d JOIN message m ON m.id = d.message";

/// For looking at the deliveries of some messages: their steps lie beside each other.
pub(super) const FROM_MESSAGE: &str = "FROM message m JOIN delivery d ON d.id BETWEEN m.id * 16 AND m.id * 16 + 15";

impl Snapshot<'_> {
    /// Whether any delivery waits to go out, now or later.
    pub fn any_waits(&self) -> Result<bool> {
        Ok(self.sql("SELECT EXISTS (SELECT 1 FROM delivery WHERE state IN ('ready', 'retry'))")?.query_row([], |row| row.get(0))?)
    }

    /// What may go out on a channel now, of one priority: due longest first, or newest first. What belongs to an
    /// order or the like waits for what was said of it before.
    pub fn due(&self, channel: Channel, priority: u8, now: UnixMs, newest_first: bool, limit: u32) -> Result<Vec<Delivery>> {
        let order = if newest_first { "DESC" } else { "ASC" };
        // The states are literals, so that the partial index serves.
        let sql = format!(
            "SELECT {COLUMNS} {FROM_DELIVERY} WHERE channel = ?1 AND priority = ?2 AND due <= ?3 AND state IN ('ready', 'retry')
             AND (thread = '' OR NOT EXISTS (SELECT 1 FROM message e JOIN delivery x ON x.id BETWEEN e.id * 16 AND e.id * 16 + 15
                WHERE e.thread = m.thread AND (e.sold_at, e.id) < (m.sold_at, m.id) AND x.channel = d.channel
                AND x.state IN ('ready', 'retry', 'sending', 'held')))
             ORDER BY due {order}, d.id LIMIT ?4"
        );
        readable(self.sql(&sql)?.query_map(params![channel.word(), priority, now.0, limit], delivery)?)
    }

    /// Whether a later word on the same order waits for the same channel.
    pub fn has_later(&self, d: &Delivery) -> Result<bool> {
        let mut select = self.sql(
            "SELECT EXISTS (SELECT 1 FROM message l JOIN delivery x ON x.id BETWEEN l.id * 16 AND l.id * 16 + 15
             WHERE l.thread = ?1 AND (l.sold_at, l.id) > (?2, ?3) AND x.channel = ?4 AND x.state IN ('ready', 'retry'))",
        )?;
        Ok(select.query_row(params![d.thread, d.sold_at.0, d.message, d.channel.word()], |row| row.get(0))?)
    }

    /// Whether it waits behind an earlier word on the same order.
    pub fn waits_behind(&self, d: &Delivery) -> Result<bool> {
        let mut select = self.sql(
            "SELECT EXISTS (SELECT 1 FROM message e JOIN delivery x ON x.id BETWEEN e.id * 16 AND e.id * 16 + 15 WHERE e.thread = ?1
             AND ?1 <> '' AND (e.sold_at, e.id) < (?2, ?3) AND x.channel = ?4 AND x.state IN ('ready', 'retry', 'sending', 'held'))",
        )?;
        Ok(select.query_row(params![d.thread, d.sold_at.0, d.message, d.channel.word()], |row| row.get(0))?)
    }

    /// The newest moment that a message of an order or the like speaks of.
    pub fn thread_newest(&self, thread: &str) -> Result<Option<UnixMs>> {
        let newest: Option<i64> =
            self.sql("SELECT max(sold_at) FROM message WHERE thread = ?1 AND thread <> ''")?.query_row([thread], |row| row.get(0))?;
        Ok(newest.map(UnixMs))
    }

    /// When an attempt last began at each provider, among the newest deliveries: their rates go on from there.
    pub fn last_attempts(&self) -> Result<Vec<(String, UnixMs)>> {
        let mut select = self.sql(
            "SELECT provider, max(began_at) FROM delivery WHERE id > (SELECT coalesce(max(id), 0) FROM delivery) - 5000 * 16 AND began_at IS NOT NULL GROUP BY provider",
        )?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, UnixMs(row.get(1)?))))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// What waits for another attempt at a provider.
    pub fn waiting_at(&self, provider: &str, limit: u32) -> Result<Vec<Delivery>> {
        let mut select = self
            .sql(&format!("SELECT {COLUMNS} {FROM_DELIVERY} WHERE state IN ('ready', 'retry') AND provider = ?1 ORDER BY d.id LIMIT ?2"))?;
        readable(select.query_map((provider, limit), delivery)?)
    }

    /// Dead letters that ask something of a person: not those that only came too late.
    pub fn dead_letters(&self) -> Result<i64> {
        Ok(self.sql("SELECT count(*) FROM delivery WHERE state = 'dead' AND reason <> 'ttl'")?.query_row([], |row| row.get(0))?)
    }

    /// All deliveries of messages that are about no receipt, in their order.
    pub fn deliveries_without_receipt(&self) -> Result<Vec<Delivery>> {
        let mut select = self.sql(&format!("SELECT {COLUMNS} {FROM_MESSAGE} WHERE m.receipt IS NULL ORDER BY d.id"))?;
        readable(select.query_map([], delivery)?)
    }

    /// The delivery that uploads a receipt's page, where there is one.
    pub fn publishing(&self, receipt: i64) -> Result<Option<Delivery>> {
        let mut select = self
            .sql(&format!("SELECT {COLUMNS} {FROM_MESSAGE} WHERE m.receipt = ?1 AND d.channel = 'publish' ORDER BY d.id DESC LIMIT 1"))?;
        Ok(select.query_row([receipt], delivery).optional()?)
    }

    /// When the next delivery of a channel becomes due after `now`; `None` where none does.
    pub fn next_due(&self, channel: Channel, now: UnixMs) -> Result<Option<UnixMs>> {
        let mut earliest: Option<i64> = None;
        for priority in 0..=6u8 {
            let mut select = self
                .sql("SELECT min(due) FROM delivery WHERE channel = ?1 AND priority = ?2 AND due > ?3 AND state IN ('ready', 'retry')")?;
            let due: Option<i64> = select.query_row((channel.word(), priority, now.0), |row| row.get(0))?;
            earliest = [earliest, due].into_iter().flatten().min();
        }
        Ok(earliest.map(UnixMs))
    }

    /// Deliveries that wait since the online time was `online_ms` or less, and whose chain goes on.
    pub fn waiting_since(&self, online_ms: i64, limit: u32) -> Result<Vec<Delivery>> {
        let mut select = self.sql(&format!(
            "SELECT {COLUMNS} {FROM_DELIVERY} WHERE state IN ('ready', 'retry') AND online_since <= ?1 AND chain <> '' ORDER BY d.id LIMIT ?2"
        ))?;
        readable(select.query_map((online_ms, limit), delivery)?)
    }

    /// Deliveries that are uncertain, oldest first.
    pub fn uncertain(&self, limit: u32) -> Result<Vec<Delivery>> {
        let mut select = self.sql(&format!("SELECT {COLUMNS} {FROM_DELIVERY} WHERE state = 'uncertain' ORDER BY d.id LIMIT ?1"))?;
        readable(select.query_map([limit], delivery)?)
    }

    /// The delivery by its row.
    pub fn delivery(&self, id: i64) -> Result<Option<Delivery>> {
        Ok(self.sql(&format!("SELECT {COLUMNS} {FROM_DELIVERY} WHERE d.id = ?1"))?.query_row([id], delivery).optional()?)
    }

    /// The delivery by the id that is used outside.
    pub fn delivery_by_step(&self, id: &str) -> Result<Option<Delivery>> {
        let Some((intent, step)) = StepId::parse(id) else { return Ok(None) };
        let Some((first, last)) = receipts_of_the_moment(&intent) else { return Ok(None) };
        let mut select = self.sql(&format!(
            "SELECT {COLUMNS} {FROM_MESSAGE} JOIN receipt r ON r.id = m.receipt WHERE r.receipt_id BETWEEN ?1 AND ?2 AND d.step = ?3"
        ))?;
        let found = readable(select.query_map((first, last, step), delivery)?)?;
        let same = |d: &Delivery| hex(d.intent.bytes()).starts_with(&intent);
        if let Some(found) = found.into_iter().find(same) {
            return Ok(Some(found));
        }
        let mut select =
            self.sql(&format!("SELECT {COLUMNS} {FROM_MESSAGE} WHERE m.receipt IS NULL AND m.intent BETWEEN ?1 AND ?2 AND d.step = ?3"))?;
        let found = readable(select.query_map((first, last, step), delivery)?)?;
        Ok(found.into_iter().find(same))
    }

    /// Deliveries, newest first unless asked otherwise.
    pub fn deliveries(&self, filter: &Filter) -> Result<Vec<Delivery>> {
        let (mut wheres, mut values): (Vec<&str>, Vec<SqlValue>) = (vec!["1"], Vec::new());
        if let Some(state) = filter.state {
            wheres.push("state = ?");
            values.push(state.word().to_owned().into());
        }
        if let Some(channel) = filter.channel {
            wheres.push("channel = ?");
            values.push(channel.word().to_owned().into());
        }
        if let Some(provider) = &filter.provider {
            wheres.push("provider = ?");
            values.push(provider.clone().into());
        }
        if let Some(before) = filter.older_than {
            wheres.push("made_at < ?");
            values.push(before.0.into());
        }
        if let Some(before) = filter.before {
            wheres.push(if filter.oldest_first { "d.id > ?" } else { "d.id < ?" });
            values.push(before.into());
        }
        values.push(i64::from(filter.limit).into());
        let order = if filter.oldest_first { "ASC" } else { "DESC" };
        let sql = format!("SELECT {COLUMNS} {FROM_DELIVERY} WHERE {} ORDER BY d.id {order} LIMIT ?", wheres.join(" AND "));
        readable(self.sql(&sql)?.query_map(params_from_iter(values), delivery)?)
    }

    /// All deliveries of a receipt, in the order of messages and steps.
    pub fn deliveries_of(&self, receipt: i64) -> Result<Vec<Delivery>> {
        let mut select = self.sql(&format!("SELECT {COLUMNS} {FROM_MESSAGE} WHERE m.receipt = ?1 ORDER BY d.id"))?;
        readable(select.query_map([receipt], delivery)?)
    }

    /// All deliveries of a message, in the order of its steps.
    pub fn deliveries_of_message(&self, message: i64) -> Result<Vec<Delivery>> {
        let mut select = self.sql(&format!("SELECT {COLUMNS} {FROM_MESSAGE} WHERE m.id = ?1 ORDER BY d.id"))?;
        readable(select.query_map([message], delivery)?)
    }

    /// The attempts of a delivery that have ended, oldest first.
    pub fn attempts(&self, delivery: i64) -> Result<Vec<Attempt>> {
        let mut select = self.sql("SELECT delivery, n, provider, began_at, ended_at, class, scope, detail, provider_id FROM attempt WHERE delivery = ?1 ORDER BY n")?;
        Ok(select.query_map([delivery], attempt)?.collect::<rusqlite::Result<_>>()?)
    }

    /// How many deliberate resends a receipt has had, to name the next one.
    pub fn resends(&self, receipt: i64) -> Result<u32> {
        Ok(self.sql("SELECT count(*) FROM message WHERE receipt = ?1 AND kind = 'resend'")?.query_row([receipt], |row| row.get(0))?)
    }

    /// Deliveries by state: open ones and dead letters exactly, ended ones of the last 24 hours.
    pub fn counts(&self, now: UnixMs) -> Result<BTreeMap<&'static str, i64>> {
        let mut counts: BTreeMap<&'static str, i64> = State::ALL.iter().map(|s| (s.word(), 0)).collect();
        let mut add = |sql: &str, values: &[i64]| -> Result<()> {
            let mut select = self.sql(sql)?;
            let mut rows = select.query(params_from_iter(values))?;
            while let Some(row) = rows.next()? {
                let word: String = row.get(0)?;
                if let Some(state) = State::from_word(&word) {
                    *counts.entry(state.word()).or_default() += row.get::<_, i64>(1)?;
                }
            }
            Ok(())
        };
        add("SELECT state, count(*) FROM delivery WHERE state IN ('ready', 'retry') GROUP BY state", &[])?;
        add("SELECT state, count(*) FROM delivery WHERE state IN ('sending', 'held', 'uncertain', 'dead') GROUP BY state", &[])?;
        let day_ago = (now.0 / 3_600_000) - 23;
        add("SELECT word, sum(n) FROM rollup WHERE hour >= ?1 GROUP BY word", &[day_ago])?;
        Ok(counts)
    }

    /// When the oldest delivery that waits to go out became due.
    pub fn oldest_waiting(&self) -> Result<Option<UnixMs>> {
        let made: Option<i64> = self
            .sql("SELECT m.made_at FROM delivery d JOIN message m ON m.id = d.message WHERE state IN ('ready', 'retry') ORDER BY d.id LIMIT 1")?
            .query_row([], |row| row.get(0))
            .optional()?;
        Ok(made.map(UnixMs))
    }
}

/// The first and the last receipt id that begin like an intent: those of one millisecond.
fn receipts_of_the_moment(intent: &str) -> Option<([u8; 16], [u8; 16])> {
    let bits = u64::from_str_radix(intent.get(..12)?, 16).ok()?;
    let (mut first, mut last) = ([0; 16], [0xff; 16]);
    for (n, byte) in bits.to_be_bytes().iter().skip(2).enumerate() {
        *first.get_mut(n)? = *byte;
        *last.get_mut(n)? = *byte;
    }
    Some((first, last))
}

fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        delivery: row.get(0)?,
        n: row.get(1)?,
        provider: row.get(2)?,
        began_at: UnixMs(row.get(3)?),
        ended_at: UnixMs(row.get(4)?),
        class: row.get(5)?,
        scope: row.get(6)?,
        detail: row.get(7)?,
        provider_id: row.get(8)?,
    })
}

/// The rows that this release can read. One with a word that it does not know is left alone, for the
/// release that wrote it: it must not keep the others from going out.
pub(super) fn readable(rows: impl Iterator<Item = rusqlite::Result<Delivery>>) -> Result<Vec<Delivery>> {
    let known = |row: &rusqlite::Result<Delivery>| !matches!(row, Err(rusqlite::Error::FromSqlConversionFailure(..)));
    Ok(rows.filter(known).collect::<rusqlite::Result<_>>()?)
}

/// Reads a word of a list; one that this release does not know makes the row unreadable, not wrong.
fn word<T>(row: &Row<'_>, at: usize, read: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text = row.get_ref(at)?.as_str()?;
    read(text)
        .ok_or_else(|| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, format!("unknown word {text}").into()))
}

pub(super) fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let intent: Vec<u8> = row.get(25)?;
    Ok(Delivery {
        id: row.get(0)?,
        message: row.get(1)?,
        step: row.get(2)?,
        channel: word(row, 3, Channel::from_word)?,
        address: row.get(4)?,
        state: word(row, 5, State::from_word)?,
        reason: row.get(6)?,
        priority: row.get(7)?,
        due: UnixMs(row.get(8)?),
        expires: UnixMs(row.get(9)?),
        tries: row.get(10)?,
        counted: row.get(11)?,
        ordinal: row.get(12)?,
        here: row.get(13)?,
        here_since: row.get(14)?,
        online_since: row.get(15)?,
        provider: row.get(16)?,
        began_at: row.get::<_, Option<i64>>(17)?.map(UnixMs),
        ended_at: row.get::<_, Option<i64>>(18)?.map(UnixMs),
        content: row.get(19)?,
        composed_at: row.get::<_, Option<i64>>(20)?.map(UnixMs),
        receipt: row.get(21)?,
        kind: word(row, 22, Kind::from_word)?,
        audience: word(row, 23, Audience::from_word)?,
        slot: row.get(24)?,
        intent: IntentId::from_bytes(&intent).ok_or(rusqlite::Error::InvalidQuery)?,
        made_at: UnixMs(row.get(26)?),
        sold_at: UnixMs(row.get(27)?),
        fresh: row.get(28)?,
        test: row.get(29)?,
        language: row.get(30)?,
        actor: row.get(31)?,
        chain: row.get(32)?,
        why: row.get(33)?,
        seen_at: row.get::<_, Option<i64>>(34)?.map(UnixMs),
        body: row.get(35)?,
        route: row.get(36)?,
        thread: row.get(37)?,
        campaign: row.get(38)?,
        zone: row.get(39)?,
        region: row.get(40)?,
    })
}
