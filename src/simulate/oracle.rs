//! The oracle: its own books of what was promised and what happened, and every broken promise by name.
//!
//! It looks at the world (what was acknowledged, what arrived at a provider), never at how the agent works.

use crate::domain::channel::Channel;
use crate::domain::consent::State;
use crate::domain::ids::ReceiptId;
use crate::domain::message::{Audience, Kind};
use crate::domain::time::UnixMs;
use crate::store::{Result, Snapshot};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What the box can be told of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    Stopped,
    Started,
    Gone,
    Complained,
    Erased,
    Unsubscribed,
    Consents(State),
}

/// A message as it leaves.
pub struct Leaving<'a> {
    pub kind: Kind,
    pub channel: Channel,
    pub address: &'a str,
    /// When the event was.
    pub sold_at: UnixMs,
    /// The box's wall clock, and whether it can be believed.
    pub at: UnixMs,
    pub good: bool,
    /// Zone and region of the recipient, else the shop's.
    pub zone: &'a str,
    pub region: &'a str,
}

/// Whether it interrupts somebody at an hour when it should not. Told apart from the pipeline's own words: by
/// the hour on the wall alone.
fn wakes_up(m: &Leaving<'_>) -> bool {
    let stale = m.at.since(m.sold_at).as_secs() > 1800;
    let news = m.kind == Kind::OrderStatus || (stale && matches!(m.kind, Kind::Receipt | Kind::Refund));
    if m.channel != Channel::Sms || !(news || m.kind.is_marketing()) {
        return false;
    }
    let Ok(zone) = jiff::tz::TimeZone::get(m.zone) else { return false };
    let local = zone.to_datetime(m.at.instant());
    let (from, to) = match (m.kind.is_marketing(), local.weekday()) {
        (false, _) => (8, 21),
        (true, jiff::civil::Weekday::Sunday) => (12, 20),
        (true, _) => (9, 20),
    };
    !(from..to).contains(&local.hour())
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// Acknowledged sales: label and receipt.
    pub acknowledged: BTreeMap<String, ReceiptId>,
    /// How often each message arrived at its audience, by its intent.
    arrived: BTreeMap<String, u32>,
    /// Messages that came back at least once.
    returned: BTreeSet<String>,
    people: BTreeMap<(Channel, String, Told), UnixMs>,
    consents: BTreeMap<(Channel, String), State>,
    typed: BTreeMap<String, UnixMs>,
    violations: Vec<Value>,
}

impl Oracle {
    /// A message arrived at a provider, which may drop a repeat by its key; it may come `most` times.
    pub fn arrives(&mut self, intent: &str, safe_by_key: bool, most: u32) {
        let count = self.arrived.entry(intent.to_owned()).or_default();
        if *count > 0 && safe_by_key {
            return; // the provider dropped the repeat
        }
        *count += 1;
        if *count > most {
            self.violations.push(json!({"kind": "doubled", "intent": intent, "times": *count}));
        }
    }

    // ---- what people said, as far as the box was told ----

    /// An address was typed, at a sale or to a cashier.
    pub fn typed(&mut self, address: &str, at: UnixMs) {
        if !address.is_empty() {
            self.typed.insert(address.to_owned(), at);
        }
    }

    /// The box was told something of an address.
    pub fn told(&mut self, channel: Channel, address: &str, what: Told, at: UnixMs) {
        if address.is_empty() {
            return;
        }
        let key = (channel, address.to_owned());
        match what {
            Told::Started => _ = self.people.remove(&(key.0, key.1, Told::Stopped)),
            Told::Consents(state) => {
                self.consents.insert(key.clone(), state);
                if matches!(state, State::Soft | State::Express | State::Written) {
                    self.people.remove(&(key.0, key.1, Told::Unsubscribed));
                }
            }
            other => _ = self.people.insert((key.0, key.1, other), at),
        }
    }

    /// A message leaves: nothing that was said may stand against it.
    pub fn leaves(&mut self, m: &Leaving<'_>) {
        let since = |what: Told| self.people.get(&(m.channel, m.address.to_owned(), what)).copied();
        let typed_since = |at: UnixMs| self.typed.get(m.address).is_some_and(|typed| *typed >= at);
        let unless_typed = |what: Told| since(what).is_some_and(|at| !typed_since(at));
        let offer = m.kind.is_marketing();
        let against = [
            (since(Told::Stopped).is_some(), "a text to a number that answered STOP"),
            (unless_typed(Told::Gone), "a message to an address that is gone"),
            (unless_typed(Told::Complained) || (offer && since(Told::Complained).is_some()), "a message to someone who complained"),
            (unless_typed(Told::Erased) || (offer && since(Told::Erased).is_some()), "a message to someone who was erased"),
            (offer && since(Told::Unsubscribed).is_some(), "an offer to someone who unsubscribed"),
            (offer && !self.agreed(m), "an offer without consent"),
            (m.good && wakes_up(m), "a text in quiet hours"),
        ];
        for (_, why) in against.into_iter().filter(|(broken, _)| *broken) {
            self.violations
                .push(json!({"kind": "unwanted", "why": why, "message": m.kind.word(), "channel": m.channel.word(), "at": m.at.rfc3339()}));
        }
    }

    /// In the United States mail is opt-out; a text needs a signature. Elsewhere a yes is needed.
    fn agreed(&self, m: &Leaving<'_>) -> bool {
        let said = self.consents.get(&(m.channel, m.address.to_owned()));
        match (m.region.starts_with("US"), m.channel, said) {
            (_, _, Some(State::Denied | State::Revoked)) => false,
            (true, Channel::Email, _) => true,
            (true, Channel::Sms | Channel::Whatsapp, said) => said == Some(&State::Written),
            (_, _, said) => said.is_some(),
        }
    }

    /// A message that a provider had taken did not arrive after all: its provider says so.
    pub fn comes_back(&mut self, intent: &str) {
        if let Some(count) = self.arrived.get_mut(intent) {
            *count = count.saturating_sub(1);
            self.returned.insert(intent.to_owned());
        }
    }

    /// What is stored must fit what was acknowledged and what arrived. `flying` attempts are under way.
    pub fn check(&mut self, read: Snapshot<'_>, flying: usize) -> Result<()> {
        let sending = read.counts(UnixMs::default())?.get("sending").copied().unwrap_or(0);
        if sending != i64::try_from(flying).unwrap_or(i64::MAX) {
            self.violations.push(json!({"kind": "lost", "why": format!("{sending} are marked as being sent, {flying} are")}));
        }
        for (label, id) in self.acknowledged.clone() {
            let Some(receipt) = read.receipt(id)? else {
                self.violations.push(json!({"kind": "lost", "receipt": label, "why": "an acknowledged sale is not there"}));
                continue;
            };
            let deliveries = read.deliveries_of(receipt.row)?;
            if deliveries.is_empty() && receipt.no_message.is_empty() {
                self.violations.push(json!({"kind": "lost", "receipt": label, "why": "no message was made and no reason given"}));
            }
            for d in deliveries.iter().filter(|d| d.audience == Audience::Customer) {
                let came = self.arrived.get(&d.intent.to_string()).copied().unwrap_or(0);
                if d.state.word() == "accepted" && came == 0 && !self.returned.contains(&d.intent.to_string()) {
                    self.violations.push(json!({"kind": "unknown", "receipt": label, "why": "marked as accepted, but no provider has it"}));
                }
            }
        }
        if let Some(fault) = read.quick_check()? {
            self.violations.push(json!({"kind": "damaged", "why": fault}));
        }
        Ok(())
    }

    /// All of them.
    pub fn violations(&self) -> &[Value] {
        &self.violations
    }
}
