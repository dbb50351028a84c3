//! What people, tills and providers do to the box: each as the real way in would do it.

use super::oracle::Told;
use super::scenario::{CampaignPlan, Happening, ScenarioError};
use super::world::{Item, Result, TILL_RETRY, World};
use crate::domain::channel::Channel;
use crate::domain::consent::{Reply, State};
use crate::domain::ids::ReceiptId;
use crate::domain::message::Audience;
use crate::pipeline::campaign::{self, Plan};
use crate::pipeline::intake::{self, Kept, Origin, Posted};
use crate::pipeline::people;
use crate::pipeline::reports::{self, Report, What};
use crate::pipeline::resend::{self, Ask};
use crate::pipeline::{Context, events, routine};
use crate::sources::lan;
use crate::store::Tx;
use crate::store::inbox::Body;
use crate::store::outbox::Delivery;
use crate::store::people::Contact;
use crate::sys::random;
use jiff::civil::Date;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// How long after closing the day is summed up.
const AFTER_CLOSE: Duration = Duration::from_secs(15 * 60);

/// How often what comes with time is looked for.
const TICK: Duration = Duration::from_secs(60);

impl World {
    /// Runs a unit of the pipeline and commits it. `None` where the box has no power, or loses it before the commit.
    fn unit<T>(&mut self, work: impl FnOnce(Tx<'_>, &Context<'_>) -> crate::store::Result<T>) -> Result<Option<T>> {
        let (config, key, random, now) = (self.config.clone(), self.key.clone(), self.random.clone(), self.now());
        self.commit(|tx| work(tx, &Context { config: &config, key: &key, random: random.as_ref(), now }))
    }

    /// A till posts until it is acknowledged, as a till does.
    pub(super) fn sale(&mut self, label: String, source: String, sale: Value, event_id: Option<String>) -> Result<()> {
        let again = Happening::Sale { label: label.clone(), source: source.clone(), sale: sale.clone(), event_id: event_id.clone() };
        if self.agent.is_none() {
            self.waiting.push(again);
            return Ok(());
        }
        let bytes = sale.to_string().into_bytes();
        let read = lan::sale(&bytes).map_err(|refusal| ScenarioError::Other(format!("sale {label}: {refusal:?}")))?;
        let receipt_id = ReceiptId::new(self.now().wall.0, random::bytes(self.random.as_ref()));
        let posted = Posted {
            body: Body::pack(&bytes),
            document: None,
            sale: read.value,
            content: read.content,
            receipt_id,
            idempotency_key: None,
            event_id,
        };
        let origin = self.origin(&source);
        match self.unit(|tx, cx| intake::keep_sale(tx, cx, &origin, &posted))? {
            None => self.at(self.time + TILL_RETRY, Item::Happens(again)),
            Some(Kept::Stored(id) | Kept::Duplicate(id)) => {
                let (email, phone) = (posted.sale.customer.email.clone(), posted.sale.customer.phone.clone());
                self.oracle.typed(&email, self.time);
                self.oracle.typed(&phone, self.time);
                self.oracle.acknowledged.entry(label.clone()).or_insert(id);
                self.documents.entry(id).or_insert_with(|| label.clone());
                self.labels.entry(label).or_insert(id);
                self.step(&[])?;
            }
            Some(Kept::Conflict { .. } | Kept::KeyReused) => {}
        }
        Ok(())
    }

    /// Whom the label of a source stands for: any two of them may tell of the same sales.
    fn origin(&self, source: &str) -> Origin {
        Origin { till: source.to_owned(), source: source.to_owned(), overlaps: true, ..intake::origin_of(&self.config, source) }
    }

    /// Everything that is neither a sale nor done to the box itself.
    pub(super) fn act(&mut self, happening: Happening) -> Result<()> {
        if self.agent.is_none() && !matches!(happening, Happening::StoreClose) {
            self.waiting.push(happening);
            return Ok(());
        }
        let again = happening.clone();
        let done = match happening {
            Happening::Event { label, event } => self.event(label, &event)?,
            Happening::Report { label, channel, what, event_id } => self.report_on(&label, channel, what, &event_id)?,
            Happening::InboundSms { from, text } => self.inbound(&from, &text)?,
            Happening::Unsubscribe { contact, channel } => self.unsubscribe(&contact, channel)?,
            Happening::Erase { contact } => self.erase(&contact)?,
            Happening::Consent { contact, entry } => self.consent(&contact, entry)?,
            Happening::Campaign(plan) => self.campaign(&plan)?,
            Happening::CampaignPause(id) => self.unit(|tx, cx| campaign::pause(tx, cx, &id))?.is_some(),
            Happening::CampaignResume(id) => self.unit(|tx, cx| campaign::resume(tx, cx, &id))?.is_some(),
            Happening::CampaignCancel(id) => self.unit(|tx, cx| campaign::cancel(tx, cx, &id))?.is_some(),
            Happening::CrmSync(contact) => {
                let told = people::Told { method: "crm", ..people::Told::default() };
                self.unit(|tx, cx| people::sync(tx, cx, &contact, cx.now.wall, &told))?.is_some()
            }
            Happening::StoreClose => {
                let day = self.local_day();
                self.at(self.time + AFTER_CLOSE, Item::Digest(day));
                true
            }
            _ => true,
        };
        if !done {
            self.at(self.time + TILL_RETRY, Item::Happens(again));
        }
        self.step(&[])
    }

    fn event(&mut self, label: Option<String>, event: &Value) -> Result<bool> {
        let bytes = event.to_string().into_bytes();
        let read = lan::event(&bytes).map_err(|refusal| ScenarioError::Other(format!("event: {refusal:?}")))?;
        if let Some(label) = label {
            self.events.insert(read.value.id.clone(), label);
        }
        let origin = self.origin("till");
        Ok(self.unit(|tx, cx| events::keep(tx, cx, &origin, &read.value, &bytes, &read.content))?.is_some())
    }

    fn report_on(&mut self, label: &str, channel: Option<Channel>, what: What, event_id: &str) -> Result<bool> {
        let ids: Vec<ReceiptId> = self.documents.iter().filter(|(_, l)| *l == label).map(|(id, _)| *id).collect();
        let at = self.now().wall;
        let done = self.unit(|tx, cx| {
            let mut found = None;
            for id in ids {
                let Some(receipt) = tx.read().receipt(id)? else { continue };
                let mut all = tx.read().deliveries_of(receipt.row)?.into_iter();
                let customers = |d: &Delivery| d.tries > 0 && d.audience == Audience::Customer;
                found = found.or(all.rfind(|d| customers(d) && channel.is_none_or(|c| c == d.channel)));
            }
            let Some(d) = found else { return Ok(None) };
            let report = Report { what, at, event_id, origin: &d.provider, machine: false };
            let new = reports::heed(tx, cx, &d, &report)?;
            Ok(new.then(|| (d.intent.to_string(), d.channel, d.address.clone())))
        })?;
        if let (Some(Some((_, channel, address))), Some(told)) = (&done, told_by(what)) {
            self.oracle.told(*channel, address, told, self.time);
        }
        let came_back = matches!(what, What::HardBounce | What::SoftBounce | What::Failed);
        if let Some(Some((intent, _, _))) = done.as_ref().filter(|_| came_back) {
            self.oracle.comes_back(intent);
        }
        Ok(done.is_some())
    }

    /// A contact as the box has it now; one that it does not know, as the scenario gives it.
    fn contact(&self, id: &str) -> Result<Contact> {
        let known = self.agent.as_ref().map(|a| a.writer.read().contact(id)).transpose()?.flatten();
        let own = |c: &&Map<String, Value>| c.get("id").and_then(Value::as_str) == Some(id);
        let given = self.contacts.iter().find(own).cloned().unwrap_or_default();
        let text = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(known.unwrap_or_else(|| Contact { contact_id: id.to_owned(), email: text("email"), phone: text("phone"), ..Contact::default() }))
    }

    fn inbound(&mut self, from: &str, text: &str) -> Result<bool> {
        let meaning = self.unit(|tx, cx| reports::reply(tx, cx, from, text, ""))?;
        let told = match meaning {
            Some(Reply::Stop) => Some(Told::Stopped),
            Some(Reply::Start) => Some(Told::Started),
            _ => None,
        };
        if let Some(told) = told {
            self.oracle.told(Channel::Sms, from, told, self.time);
        }
        Ok(meaning.is_some())
    }

    fn unsubscribe(&mut self, contact: &str, channel: Channel) -> Result<bool> {
        let contact = self.contact(contact)?;
        let told = people::Told { method: "link", ..people::Told::default() };
        let address = people::address(&contact, channel).to_owned();
        let done = self.unit(|tx, cx| people::unsubscribe(tx, channel, &address, cx.now.wall, &told))?.is_some();
        if done {
            self.oracle.told(channel, &address, Told::Unsubscribed, self.time);
        }
        Ok(done)
    }

    fn erase(&mut self, contact: &str) -> Result<bool> {
        let contact = self.contact(contact)?;
        let done = self.unit(|tx, cx| people::erase(tx, cx, &contact))?.is_some();
        if let Some(agent) = self.agent.as_mut().filter(|_| done) {
            agent.writer.scrub()?;
            for channel in [Channel::Email, Channel::Sms, Channel::Push] {
                self.oracle.told(channel, people::address(&contact, channel), Told::Erased, self.time);
            }
        }
        Ok(done)
    }

    fn consent(&mut self, contact: &str, mut entry: Map<String, Value>) -> Result<bool> {
        entry.retain(|name, _| !matches!(name.as_str(), "at" | "event" | "contact"));
        let mut given = Map::new();
        given.insert("id".into(), contact.into());
        given.insert("consent".into(), json!([entry.clone()]));
        let told = people::Told { method: "form", ..people::Told::default() };
        let done = self.unit(|tx, cx| people::sync(tx, cx, &given, cx.now.wall, &told))?.unwrap_or(false);
        if done {
            let known = self.contact(contact)?;
            let word = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
            if let (Some(state), Some(channel)) = (State::from_word(word("state")), Channel::from_word(word("channel"))) {
                self.oracle.told(channel, people::address(&known, channel), Told::Consents(state), self.time);
            }
        }
        Ok(self.agent.is_some())
    }

    fn campaign(&mut self, plan: &CampaignPlan) -> Result<bool> {
        let audience: Vec<Contact> = plan.audience.iter().map(|id| self.contact(id)).collect::<Result<_>>()?;
        let provider = self.config.channels.get(&plan.channel).and_then(|c| c.providers.first());
        let rate = provider.and_then(|name| self.facts.get(name)).map_or(crate::config::checked::Rate::per_second(1), |f| f.rate);
        let plan = Plan { id: &plan.id, channel: plan.channel, template: &plan.template, data: plan.data.clone(), end: plan.end, rate };
        Ok(self.unit(|tx, cx| campaign::plan(tx, cx, &plan, &audience))?.is_some())
    }

    fn local_day(&self) -> Date {
        let zone = jiff::tz::TimeZone::get(&self.config.shop.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
        zone.to_datetime(self.now().wall.instant()).date()
    }

    /// The day in figures.
    pub(super) fn digest(&mut self, day: Date) -> Result<()> {
        if self.unit(|tx, cx| routine::digest(tx, cx, day))?.is_none() {
            return Ok(()); // without power nobody sums up; the next evening does
        }
        self.step(&[])
    }

    /// What comes with time, once a minute, and at once where something was told; true where a message was made.
    pub(super) fn tick(&mut self, told: bool) -> Result<bool> {
        if !told && self.ticked.is_some_and(|at| self.time.since(at) < TICK) {
            return Ok(false);
        }
        self.ticked = Some(self.time);
        let online = self.agent.as_ref().is_some_and(|a| a.core.line.is_up());
        Ok(self.unit(|tx, cx| routine::tick(tx, cx, online))?.unwrap_or(false))
    }

    pub(super) fn resend(&mut self, label: &str, ask: Ask) -> Result<()> {
        let at = self.time.rfc3339();
        let Some(id) = self.labels.get(label).copied() else {
            self.answers.push(json!({"at": at, "result": "refused", "reason": "not_found"}));
            return Ok(());
        };
        let answer = self.unit(|tx, cx| match tx.read().receipt(id)? {
            Some(receipt) => resend::resend(tx, cx, &receipt, &ask),
            None => Ok(resend::Answer::Refused("not_found", String::new())),
        })?;
        if matches!(answer, Some(resend::Answer::Accepted(_))) {
            self.oracle.typed(&ask.address, self.time);
        }
        let (result, reason) = match answer {
            None => ("refused", "starting"),
            Some(resend::Answer::Accepted(_)) => ("accepted", ""),
            Some(resend::Answer::Collapsed(_)) => ("collapsed", ""),
            Some(resend::Answer::Refused(code, _)) => ("refused", code),
        };
        self.answers.push(json!({"at": at, "result": result, "reason": if reason.is_empty() { Value::Null } else { reason.into() }}));
        self.step(&[])
    }
}

/// What a report says of an address, for the oracle.
fn told_by(what: What) -> Option<Told> {
    match what {
        What::HardBounce => Some(Told::Gone),
        What::Complaint => Some(Told::Complained),
        What::Unsubscribed => Some(Told::Unsubscribed),
        _ => None,
    }
}
