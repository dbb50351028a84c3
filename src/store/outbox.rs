//! The outbox: messages, their deliveries, and every attempt.
//!
//! A delivery changes its state only here and only by a move that [`State::may_become`] knows.

use super::inbox::Body;
use super::{Result, Snapshot, StoreError, Tx};
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::ids::{IntentId, StepId, hex};
use crate::domain::message::{Audience, Kind};
use crate::domain::outcome::Outcome;
use crate::domain::time::UnixMs;
use rusqlite::types::Value as SqlValue;
use rusqlite::{OptionalExtension, Row, params, params_from_iter};
use std::collections::BTreeMap;

/// A message to be stored.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct NewMessage<'a> {
    pub receipt: i64,
    pub kind: Kind,
    pub audience: Audience,
    pub slot: &'a str,
    pub intent: IntentId,
    pub made_at: UnixMs,
    pub sold_at: UnixMs,
    pub fresh: bool,
    pub test: bool,
    pub language: &'a str,
    pub actor: &'a str,
    pub chain: &'a str,
    pub why: &'a str,
}

/// A delivery to be stored.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct NewDelivery<'a> {
    pub message: i64,
    pub step: u32,
    pub channel: Channel,
    pub address: &'a str,
    pub state: State,
    pub reason: &'a str,
    pub priority: u8,
    pub due: UnixMs,
    pub expires: UnixMs,
    /// Online time so far, from which waiting for the next channel counts.
    pub online_ms: Option<i64>,
}

/// A delivery with what is needed of its message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Delivery {
    pub id: i64,
    pub message: i64,
    pub step: u32,
    pub channel: Channel,
    pub address: String,
    pub state: State,
    pub reason: String,
    pub priority: u8,
    pub due: UnixMs,
    pub expires: UnixMs,
    pub tries: u32,
    pub counted: u32,
    pub ordinal: u32,
    pub here: u32,
    pub here_since: Option<i64>,
    pub online_since: Option<i64>,
    pub provider: String,
    pub began_at: Option<UnixMs>,
    pub ended_at: Option<UnixMs>,
    pub content: Option<i64>,
    pub composed_at: Option<UnixMs>,
    pub receipt: i64,
    pub kind: Kind,
    pub audience: Audience,
    pub slot: String,
    pub intent: IntentId,
    pub made_at: UnixMs,
    pub sold_at: UnixMs,
    pub fresh: bool,
    pub test: bool,
    pub language: String,
    pub actor: String,
    pub chain: String,
    pub why: String,
}

impl Delivery {
    /// The id that providers, pages and the API use, for the provider it is at.
    pub fn step_id(&self) -> StepId {
        StepId::new(&self.intent, self.step, self.ordinal)
    }
}

/// One attempt that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct Attempt {
    pub delivery: i64,
    pub n: u32,
    pub provider: String,
    pub began_at: UnixMs,
    pub ended_at: UnixMs,
    pub class: String,
    pub scope: String,
    pub detail: String,
    pub provider_id: Option<String>,
}

/// What a delivery becomes, besides its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The state.
    pub state: State,
    /// Why, in a word or a short phrase.
    pub reason: String,
    /// When it is due again, for `ready` and `retry`.
    pub due: UnixMs,
    /// The provider to go on with.
    pub ordinal: u32,
    /// Counted attempts at that provider.
    pub here: u32,
    /// Counted attempts in all.
    pub counted: u32,
}

/// What a list of deliveries is asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only in this state.
    pub state: Option<State>,
    /// Only on this channel.
    pub channel: Option<Channel>,
    /// Only last tried at this provider.
    pub provider: Option<String>,
    /// Only due, or begun, before this.
    pub older_than: Option<UnixMs>,
    /// Only before this row (after it, where the oldest come first): the cursor of the last page.
    pub before: Option<i64>,
    /// The oldest come first, not the newest.
    pub oldest_first: bool,
    /// Rows at most.
    pub limit: u32,
}

const COLUMNS: &str =
    "d.id, message, step, channel, address, state, reason, priority, due, expires, tries, counted, ordinal, here, here_since,
    online_since, provider, began_at, ended_at, d.content, composed_at, receipt, kind, audience, slot, intent, made_at, m.sold_at, fresh, test,
    language, actor, chain, why";

/// For looking at deliveries in their own order.
const FROM_DELIVERY: &str = "FROM delivery d JOIN message m ON m.id = d.message";

/// For looking at the deliveries of some messages: their steps lie beside each other.
const FROM_MESSAGE: &str = "FROM message m JOIN delivery d ON d.id BETWEEN m.id * 16 AND m.id * 16 + 15";

/// A delivery's row is its message's times this, plus its step.
const STEPS: i64 = 16;

impl Tx<'_> {
    /// Stores a message; `None` where the same intent is there already.
    pub fn put_message(&self, m: &NewMessage<'_>) -> Result<Option<i64>> {
        let mut insert = self.sql(
            "INSERT INTO message(receipt, kind, audience, slot, intent, made_at, sold_at, fresh, test, language, actor, chain, why)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING",
        )?;
        let new = insert.execute(params![
            m.receipt,
            m.kind.word(),
            m.audience.word(),
            m.slot,
            m.intent.bytes(),
            m.made_at.0,
            m.sold_at.0,
            m.fresh,
            m.test,
            m.language,
            m.actor,
            m.chain,
            m.why
        ])?;
        Ok((new == 1).then(|| self.0.last_insert_rowid()))
    }

    /// Stores a step of a message's chain and gives its row.
    pub fn put_delivery(&self, d: &NewDelivery<'_>) -> Result<i64> {
        let mut insert = self.sql(
            "INSERT INTO delivery(id, message, step, channel, address, state, reason, priority, due, expires, online_since)
             VALUES(?11, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        let values = params![
            d.message,
            d.step,
            d.channel.word(),
            d.address,
            d.state.word(),
            d.reason,
            d.priority,
            d.due.0,
            d.expires.0,
            d.online_ms,
            d.message * STEPS + i64::from(d.step)
        ];
        Ok(insert.insert(values)?)
    }

    /// An attempt begins: committed before its first byte leaves. False where the delivery has moved on
    /// meanwhile, and nothing may be sent. `content` is kept with it where a repeat must be the same bytes.
    pub fn begin_attempt(
        &self,
        d: &Delivery,
        provider: &str,
        ordinal: u32,
        now: UnixMs,
        online_ms: i64,
        content: Option<&Body>,
    ) -> Result<bool> {
        let content = match (d.content, content) {
            (Some(id), _) => Some(id),
            (None, Some(body)) => Some(self.put_body(body)?),
            (None, None) => None,
        };
        let moved = ordinal != d.ordinal;
        let mut update = self.sql(
            "UPDATE delivery SET state = 'sending', reason = '', provider = ?2, ordinal = ?3, began_at = ?4, tries = tries + 1, content = ?5,
             composed_at = coalesce(composed_at, ?4), here = CASE WHEN ?6 THEN 0 ELSE here END,
             here_since = CASE WHEN ?6 THEN ?7 ELSE coalesce(here_since, ?7) END, online_since = coalesce(online_since, ?7)
             WHERE id = ?1 AND state IN ('ready', 'retry')",
        )?;
        Ok(update.execute(params![d.id, provider, ordinal, now.0, content, moved, online_ms])? == 1)
    }

    /// An attempt has ended: its record, and what the delivery becomes. False where the delivery is not
    /// in flight any more (a report came first): then only the attempt is recorded.
    pub fn end_attempt(&self, d: &Delivery, outcome: &Outcome, next: &Next, now: UnixMs, content: Option<&Body>) -> Result<bool> {
        let mut insert = self.sql(
            "INSERT INTO attempt(delivery, n, provider, began_at, ended_at, class, scope, detail, provider_id)
             SELECT id, tries, provider, coalesce(began_at, ?2), ?2, ?3, ?4, ?5, ?6 FROM delivery WHERE id = ?1 ON CONFLICT DO NOTHING",
        )?;
        insert.execute(params![d.id, now.0, outcome.class.word(), outcome.scope.word(), outcome.detail, outcome.provider_id])?;
        if !self.transition(d.id, State::Sending, next.state, &next.reason, now)? {
            return Ok(false);
        }
        let stays = next.state.open() || next.state == State::Dead;
        let kept = match (d.content, content) {
            (Some(id), _) => Some(id),
            (None, Some(body)) => Some(self.put_body(body)?),
            (None, None) => None,
        };
        let mut update = self.sql("UPDATE delivery SET due = ?2, ordinal = ?3, here = ?4, counted = ?5, content = ?6 WHERE id = ?1")?;
        update.execute(params![d.id, next.due.0, next.ordinal, next.here, next.counted, kept])?;
        if let (false, Some(id), None) = (stays, kept, content) {
            // What was composed is needed no more, unless it was handed in to be kept.
            self.sql("UPDATE delivery SET content = NULL WHERE id = ?1")?.execute([d.id])?;
            self.sql("DELETE FROM body WHERE id = ?1")?.execute([id])?;
        }
        Ok(true)
    }

    /// Moves a delivery from one state to another; false where it was not in the first.
    ///
    /// # Errors
    /// A move that does not exist.
    pub fn transition(&self, id: i64, from: State, to: State, reason: &str, now: UnixMs) -> Result<bool> {
        if !from.may_become(to) {
            return Err(StoreError::Sql(format!("a delivery cannot go from {from} to {to}")));
        }
        let mut update = self.sql("UPDATE delivery SET state = ?3, reason = ?4, ended_at = ?5 WHERE id = ?1 AND state = ?2")?;
        if counted(from) {
            let since: Option<i64> = self
                .sql("SELECT ended_at FROM delivery WHERE id = ?1 AND state = ?2")?
                .query_row((id, from.word()), |row| row.get(0))
                .optional()?
                .flatten();
            if let Some(since) = since {
                self.count(UnixMs(since), from, -1)?;
            }
        }
        let done = update.execute(params![id, from.word(), to.word(), reason, now.0])? == 1;
        if done && counted(to) {
            self.count(now, to, 1)?;
        }
        Ok(done)
    }

    /// Makes a delivery due at a moment, e.g. at once.
    pub fn set_due(&self, id: i64, due: UnixMs) -> Result<()> {
        self.sql("UPDATE delivery SET due = ?2 WHERE id = ?1")?.execute((id, due.0))?;
        Ok(())
    }

    /// Gives a dead or held delivery a fresh start: no counted attempts, useful for as long again.
    pub fn renew(&self, id: i64, due: UnixMs, expires: UnixMs) -> Result<()> {
        let mut update = self.sql("UPDATE delivery SET due = ?2, expires = max(expires, ?3), counted = 0, here = 0, here_since = NULL, online_since = NULL WHERE id = ?1")?;
        update.execute((id, due.0, expires.0))?;
        Ok(())
    }

    /// At start: nobody knows what became of what was in flight. Each becomes uncertain; gives how many.
    pub fn doubt_in_flight(&self, now: UnixMs) -> Result<u32> {
        let mut select = self.sql(&format!("SELECT {COLUMNS} {FROM_DELIVERY} WHERE state = 'sending'"))?;
        let in_flight = readable(select.query_map([], delivery)?)?;
        for d in &in_flight {
            let outcome = Outcome::new(
                crate::domain::outcome::Class::Uncertain,
                crate::domain::outcome::Scope::Message,
                "the agent stopped during the attempt",
            );
            let next = Next {
                state: State::Uncertain,
                reason: "stopped".to_owned(),
                due: d.due,
                ordinal: d.ordinal,
                here: d.here + 1,
                counted: d.counted + 1,
            };
            self.end_attempt(d, &outcome, &next, now, None)?;
        }
        Ok(u32::try_from(in_flight.len()).unwrap_or(u32::MAX))
    }

    fn count(&self, at: UnixMs, state: State, by: i64) -> Result<()> {
        let mut upsert = self.sql("INSERT INTO rollup(hour, word, n) VALUES(?1, ?2, ?3) ON CONFLICT DO UPDATE SET n = n + excluded.n")?;
        upsert.execute((at.0 / 3_600_000, state.word(), by))?;
        Ok(())
    }
}

/// States that are counted by the hour; the others are counted from their index.
const fn counted(state: State) -> bool {
    !state.open() && !matches!(state, State::Dead)
}

impl Snapshot<'_> {
    /// Whether any delivery waits to go out, now or later.
    pub fn any_waits(&self) -> Result<bool> {
        Ok(self.sql("SELECT EXISTS (SELECT 1 FROM delivery WHERE state IN ('ready', 'retry'))")?.query_row([], |row| row.get(0))?)
    }

    /// What may go out on a channel now, of one priority: due longest first, or newest first.
    pub fn due(&self, channel: Channel, priority: u8, now: UnixMs, newest_first: bool, limit: u32) -> Result<Vec<Delivery>> {
        let order = if newest_first { "DESC" } else { "ASC" };
        // The states are literals, so that the partial index serves.
        let sql = format!(
            "SELECT {COLUMNS} {FROM_DELIVERY} WHERE channel = ?1 AND priority = ?2 AND due <= ?3 AND state IN ('ready', 'retry') ORDER BY due {order}, d.id LIMIT ?4"
        );
        readable(self.sql(&sql)?.query_map(params![channel.word(), priority, now.0, limit], delivery)?)
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
        Ok(found.into_iter().find(|d| hex(d.intent.bytes()).starts_with(&intent)))
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
fn readable(rows: impl Iterator<Item = rusqlite::Result<Delivery>>) -> Result<Vec<Delivery>> {
    let known = |row: &rusqlite::Result<Delivery>| !matches!(row, Err(rusqlite::Error::FromSqlConversionFailure(..)));
    Ok(rows.filter(known).collect::<rusqlite::Result<_>>()?)
}

/// Reads a word of a list; one that this release does not know makes the row unreadable, not wrong.
fn word<T>(row: &Row<'_>, at: usize, read: impl Fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let text = row.get_ref(at)?.as_str()?;
    read(text)
        .ok_or_else(|| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, format!("unknown word {text}").into()))
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
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
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::ReceiptId;
    use crate::store::Options;
    use crate::store::inbox::Body;
    use crate::store::receipts::NewReceipt;
    use crate::store::writer::WriterCore;

    const NOW: UnixMs = UnixMs(1_790_000_000_000);

    /// A receipt with one delivery that is due; gives the delivery's row.
    fn put(tx: Tx<'_>, n: u8) -> Result<i64> {
        let id = ReceiptId::new(NOW.0, [n; 10]);
        let number = n.to_string();
        let body = tx.put_body(&Body::pack(b"{}"))?;
        let receipt = tx.put_receipt(&NewReceipt {
            receipt_id: id,
            raw_event: 0,
            body,
            content: &[n; 16],
            taken_at: NOW,
            sold_at: NOW,
            source: "front",
            till: "front",
            workstation_id: "1",
            unit_id: "s",
            transaction_id: &number,
            transaction_type: "sale",
            receipt_number: &number,
            total: 100,
            currency: "USD",
            last4: "",
            no_message: "",
            name: "",
            email: "",
            phone: "",
        })?;
        let intent = IntentId::new(Kind::Receipt, &id, 0, "customer", "");
        let (kind, audience) = (Kind::Receipt, Audience::Customer);
        let message = NewMessage {
            receipt,
            kind,
            audience,
            slot: "",
            intent,
            made_at: NOW,
            sold_at: NOW,
            fresh: true,
            test: false,
            language: "",
            actor: "",
            chain: "",
            why: "",
        };
        let message = tx.put_message(&message)?.expect("it is new");
        let (channel, state, expires) = (Channel::Email, State::Ready, UnixMs(NOW.0 + 1000));
        tx.put_delivery(&NewDelivery {
            message,
            step: 1,
            channel,
            address: "a@b.example",
            state,
            reason: "",
            priority: 1,
            due: NOW,
            expires,
            online_ms: None,
        })
    }

    fn store() -> (tempfile::TempDir, WriterCore) {
        let folder = tempfile::tempdir().unwrap();
        let core = WriterCore::open(&Options::new(folder.path().join("t.db"))).unwrap();
        (folder, core)
    }

    #[test]
    fn a_word_of_another_release_is_left_alone_and_the_rest_goes_out() {
        let (_folder, mut core) = store();
        let (odd, good) = core.run(|tx| Ok((put(tx, 1)?, put(tx, 2)?))).unwrap();
        core.run(|tx| Ok(tx.sql("UPDATE message SET kind = 'hologram' WHERE id = ?1")?.execute([odd / STEPS])?)).unwrap();
        let due = core.read().due(Channel::Email, 1, NOW, false, 10).unwrap();
        assert_eq!(due.iter().map(|d| d.id).collect::<Vec<_>>(), [good]);
        core.run(|tx| Ok(tx.sql("UPDATE delivery SET state = 'sending'")?.execute([])?)).unwrap();
        assert_eq!(core.run(|tx| tx.doubt_in_flight(NOW)).unwrap(), 1, "a start is not stopped by it");
    }

    #[test]
    fn an_intent_is_stored_once() {
        let (_folder, mut core) = store();
        core.run(|tx| put(tx, 1)).unwrap();
        let again = core.run(|tx| {
            let d = tx.read().due(Channel::Email, 1, NOW, false, 1)?.remove(0);
            let (receipt, kind, audience, intent) = (d.receipt, d.kind, d.audience, d.intent);
            tx.put_message(&NewMessage {
                receipt,
                kind,
                audience,
                slot: "",
                intent,
                made_at: NOW,
                sold_at: NOW,
                fresh: true,
                test: false,
                language: "",
                actor: "",
                chain: "",
                why: "",
            })
        });
        assert_eq!(again.unwrap(), None);
    }

    #[test]
    fn a_delivery_is_found_by_its_outside_name_and_moves_only_as_it_may() {
        let (_folder, mut core) = store();
        let id = core.run(|tx| put(tx, 1)).unwrap();
        let d = core.read().delivery(id).unwrap().unwrap();
        assert_eq!(core.read().delivery_by_step(d.step_id().as_str()).unwrap().map(|d| d.id), Some(id));
        assert!(core.run(|tx| tx.transition(id, State::Ready, State::Accepted, "", NOW)).is_err());
        assert!(!core.run(|tx| tx.transition(id, State::Held, State::Ready, "", NOW)).unwrap(), "it is not held");
        assert!(core.run(|tx| tx.transition(id, State::Ready, State::Cancelled, "x", NOW)).unwrap());
        assert_eq!(core.read().counts(NOW).unwrap()["cancelled"], 1);
    }
}
