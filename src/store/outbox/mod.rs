//! The outbox: messages, their deliveries, and every attempt.
//!
//! A delivery changes its state only here and only by a move that [`State::may_become`] knows.

mod read;
#[cfg(test)]
mod tests;
mod told;

use super::inbox::Body;
use super::{Result, StoreError, Tx};
use crate::domain::address::mask;
use crate::domain::channel::Channel;
use crate::domain::delivery::State;
use crate::domain::ids::{IntentId, ReceiptId, StepId};
use crate::domain::message::{Audience, ChainStep, Kind};
use crate::domain::outcome::Outcome;
use crate::domain::time::UnixMs;
use read::{COLUMNS, FROM_DELIVERY, delivery, readable};
use rusqlite::{OptionalExtension, params};

/// A message to be stored.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // the columns' meaning stands in the schema
pub struct NewMessage<'a> {
    pub receipt: Option<i64>,
    pub body: Option<i64>,
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
    pub route: &'a str,
    pub thread: &'a str,
    pub campaign: &'a str,
    pub zone: &'a str,
    pub region: &'a str,
}

impl<'a> NewMessage<'a> {
    /// A message of now with nothing special about it.
    pub fn new(receipt: Option<i64>, kind: Kind, audience: Audience, slot: &'a str, intent: IntentId, now: UnixMs) -> Self {
        NewMessage {
            receipt,
            body: None,
            kind,
            audience,
            slot,
            intent,
            made_at: now,
            sold_at: now,
            fresh: false,
            test: false,
            language: "",
            actor: "",
            chain: "",
            why: "",
            route: "",
            thread: "",
            campaign: "",
            zone: "",
            region: "",
        }
    }
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
    pub seen_at: Option<UnixMs>,
    pub receipt: Option<i64>,
    pub body: Option<i64>,
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
    pub route: String,
    pub thread: String,
    pub campaign: String,
    pub zone: String,
    pub region: String,
}

impl Delivery {
    /// Where it goes, as lists and logs may show it: a customer's address masked, a destination of the shop's own
    /// by its name.
    pub fn shown_to(&self) -> String {
        if self.audience == Audience::Customer { mask(&self.address) } else { self.address.clone() }
    }

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

/// How the next step of a chain is made: by the shop's rules, which the store does not know.
pub struct NextStep<'a> {
    /// When a way may be taken, given channel and address.
    pub due: &'a dyn Fn(Channel, &str) -> UnixMs,
    /// How long the message is of use on a channel.
    pub time_to_live: &'a dyn Fn(Channel) -> std::time::Duration,
    /// 0 is served first.
    pub priority: u8,
    /// The page behind a text's link is uploaded first, and stands so long; `None`: texts carry no links.
    pub publish_until: Option<UnixMs>,
}

/// A delivery's row is its message's times this, plus its step.
const STEPS: i64 = 16;

impl Tx<'_> {
    /// Stores a message; `None` where the same intent is there already.
    pub fn put_message(&self, m: &NewMessage<'_>) -> Result<Option<i64>> {
        let mut insert = self.sql(
            "INSERT INTO message(receipt, kind, audience, slot, intent, made_at, sold_at, fresh, test, language, actor, chain, why, body, route,
             thread, campaign, zone, region)
             VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19) ON CONFLICT DO NOTHING",
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
            m.why,
            m.body,
            m.route,
            m.thread,
            m.campaign,
            m.zone,
            m.region
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

    /// Queues the upload of a receipt's page, once.
    #[allow(clippy::too_many_arguments)] // what a row is made of
    pub fn put_publishing(
        &self,
        receipt: i64,
        id: &ReceiptId,
        language: &str,
        priority: u8,
        sold_at: UnixMs,
        now: UnixMs,
        expires: UnixMs,
    ) -> Result<()> {
        let (kind, audience, slot) = (Kind::Receipt, Audience::System, "publish");
        let intent = IntentId::new(kind, id, 0, audience.word(), slot);
        let message = NewMessage { sold_at, fresh: true, language, ..NewMessage::new(Some(receipt), kind, audience, slot, intent, now) };
        let message = self.put_message(&message)?;
        let Some(message) = message else { return Ok(()) };
        let channel = Channel::Publish;
        let delivery = NewDelivery {
            message,
            step: 1,
            channel,
            address: slot,
            state: State::Ready,
            reason: "",
            priority,
            due: now,
            expires,
            online_ms: None,
        };
        self.put_delivery(&delivery).map(|_| ())
    }

    /// The next channel of the chain takes over, where there is one; false where there is none. Its deadline is
    /// that of the one before, which has moved with a clock that was set.
    pub fn take_over(&self, d: &Delivery, next: &NextStep<'_>, now: UnixMs) -> Result<bool> {
        // As it stands now: who was erased meanwhile is not in it any more.
        let Some(now_stored) = self.read().delivery(d.id)? else { return Ok(false) };
        let chain: Vec<ChainStep> = serde_json::from_str(&now_stored.chain).unwrap_or_default();
        let Some(step) = chain.get(d.step as usize - 1) else { return Ok(false) };
        let Some(channel) = Channel::from_word(&step.channel) else { return Ok(false) };
        self.put_delivery(&NewDelivery {
            message: d.message,
            step: d.step + 1,
            channel,
            address: &step.address,
            state: State::Ready,
            reason: "",
            priority: next.priority,
            due: (next.due)(channel, &step.address).max(now),
            expires: d.expires - (next.time_to_live)(d.channel) + (next.time_to_live)(channel),
            online_ms: None,
        })?;
        let carries_link = matches!(channel, Channel::Sms | Channel::Whatsapp) && matches!(d.kind, Kind::Receipt | Kind::Refund) && !d.test;
        if let (Some(until), true, Some(receipt)) = (next.publish_until, carries_link, self.read().receipt_at(d.receipt)?) {
            self.put_publishing(receipt.row, &receipt.receipt_id, &d.language, next.priority, d.sold_at, now, until)?;
        }
        Ok(true)
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

    /// The recipient opened it or followed a link in it.
    pub fn set_seen(&self, id: i64, at: UnixMs) -> Result<()> {
        self.sql("UPDATE delivery SET seen_at = coalesce(seen_at, ?2) WHERE id = ?1")?.execute((id, at.0))?;
        Ok(())
    }

    /// What was urgent while the customer was there is not any more: receipts of sales before `before` that
    /// wait as urgent ones wait with the others.
    pub fn demote_stale(&self, before: UnixMs) -> Result<usize> {
        let mut update = self.sql(
            "UPDATE delivery SET priority = 2 WHERE state IN ('ready', 'retry') AND priority = 1 AND EXISTS
             (SELECT 1 FROM message m WHERE m.id = delivery.message AND m.kind IN ('receipt', 'refund') AND m.sold_at < ?1)",
        )?;
        Ok(update.execute([before.0])?)
    }

    /// Its hour has not come: it waits, and waiting for an hour is no failure of its channel.
    pub fn postpone(&self, id: i64, due: UnixMs) -> Result<()> {
        self.sql("UPDATE delivery SET due = ?2, online_since = NULL WHERE id = ?1")?.execute((id, due.0))?;
        Ok(())
    }

    /// Makes a delivery wait for something, and says for what.
    pub fn wait_for(&self, id: i64, reason: &str, due: UnixMs) -> Result<()> {
        self.sql("UPDATE delivery SET due = ?2, reason = ?3 WHERE id = ?1")?.execute(params![id, due.0, reason])?;
        Ok(())
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
