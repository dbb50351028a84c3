//! Choosing what goes now, and by which provider: what was asked for first, the rest by its share, each only
//! when its hour has come, its lane is open, and nothing stands against it.

use super::lane::Gate;
use super::{Core, Facts, PUBLISHING, Report, Start, TEST_INBOX, compose, lane::Lane, unwanted};
use crate::config::checked::Route;
use crate::domain::channel::Channel;
use crate::domain::consent::{self, Purpose};
use crate::domain::delivery::State;
use crate::domain::message::{Audience, Kind};
use crate::domain::outcome::Suppress;
use crate::domain::token::{self, Mark};
use crate::store::outbox::Delivery;
use crate::store::receipts::Receipt;
use crate::store::{Result, Tx};
use crate::sys::clock::Now;
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// How soon a text whose link leads nowhere yet is looked at again.
const PUBLISH_AGAIN: Duration = Duration::from_secs(5);

/// The recipient's domain of an e-mail.
pub(super) fn domain(d: &Delivery) -> Option<String> {
    if d.channel != Channel::Email {
        return None;
    }
    d.address.rsplit_once('@').map(|(_, domain)| domain.to_owned())
}

/// What one look at the outbox found besides what goes.
#[derive(Default)]
struct Look {
    /// When to look again.
    wake: Option<Duration>,
    /// Providers for which something urgent waits: offers leave them alone.
    urgent: BTreeSet<String>,
}

impl Look {
    fn soon(&mut self, after: Option<Duration>) {
        self.wake = [self.wake, after].into_iter().flatten().min();
    }
}

impl Core {
    /// Chooses what goes now and marks it as in flight.
    pub(super) fn choose(&mut self, tx: Tx<'_>, now: Now, report: &mut Report) -> Result<()> {
        let mut look = Look::default();
        look.soon(self.swept.map(|at| super::SWEEP.saturating_sub(now.mono.since(at))));
        look.soon(self.line.opens(now.mono).map(|at| at.since(now.mono)));
        let channels = if tx.read().any_waits()? { self.channels() } else { Vec::new() };
        self.domains.retain(|_, narrow| !narrow.is_idle(now.mono));
        for priority in 0..=1 {
            for channel in &channels {
                for d in self.due(tx, *channel, priority, now)? {
                    self.serve(tx, d, now, &mut look, report)?;
                }
            }
        }
        for channel in &channels {
            self.share(tx, *channel, now, &mut look, report)?;
        }
        for channel in &channels {
            look.soon(tx.read().next_due(*channel, now.wall)?.map(|due| due.since(now.wall)));
        }
        report.wake = look.wake;
        Ok(())
    }

    /// What may go on a channel; nothing where no lane of it is open.
    fn due(&mut self, tx: Tx<'_>, channel: Channel, priority: u8, now: Now) -> Result<Vec<Delivery>> {
        let most = self.lanes.values().map(Lane::free).sum::<usize>().clamp(1, 256) as u32;
        tx.read().due(channel, priority, now.wall, !self.config.routing.drain_oldest, most + 16)
    }

    /// What is not urgent shares what the lanes have left, by weight; what waited long counts as one class more
    /// urgent.
    fn share(&mut self, tx: Tx<'_>, channel: Channel, now: Now, look: &mut Look, report: &mut Report) -> Result<()> {
        let mut classes: [VecDeque<Delivery>; 5] = Default::default();
        for (class, priority) in (2..=6u8).enumerate() {
            if let Some(shut) = self.shut(channel, now) {
                look.soon(shut);
                return Ok(());
            }
            for d in self.due(tx, channel, priority, now)? {
                let aged = now.wall.since(d.due) >= self.config.routing.ageing;
                let class = if aged { class.saturating_sub(1) } else { class };
                if let Some(queue) = classes.get_mut(class) {
                    queue.push_back(d);
                }
            }
        }
        while let Some(class) = self.next_class(&classes) {
            let Some(d) = classes.get_mut(class).and_then(VecDeque::pop_front) else { break };
            if self.serve(tx, d, now, look, report)?
                && let Some(credit) = self.credits.get_mut(class)
            {
                *credit -= 1;
            }
        }
        Ok(())
    }

    /// The class whose turn it is: the one with the most credit among those that have something.
    fn next_class(&mut self, classes: &[VecDeque<Delivery>; 5]) -> Option<usize> {
        let busy: Vec<usize> = classes.iter().enumerate().filter(|(_, q)| !q.is_empty()).map(|(n, _)| n).collect();
        let credit = |credits: &[i64; 5], n: usize| credits.get(n).copied().unwrap_or(0);
        let best = busy.iter().copied().max_by_key(|n| (credit(&self.credits, *n), 5 - n))?;
        if credit(&self.credits, best) <= 0 {
            // A new round: who has nothing to send saves nothing up.
            for (n, credit) in self.credits.iter_mut().enumerate() {
                let weight = self.config.routing.weights.get(n).copied().unwrap_or(1);
                *credit = if busy.contains(&n) { (*credit).max(0) + i64::from(weight) } else { 0 };
            }
            return busy.iter().copied().max_by_key(|n| (credit(&self.credits, *n), 5 - n));
        }
        Some(best)
    }

    /// Sends one on its way if it may go now; true where it did.
    fn serve(&mut self, tx: Tx<'_>, d: Delivery, now: Now, look: &mut Look, report: &mut Report) -> Result<bool> {
        if self.outdated(tx, &d, now)? || self.must_wait(tx, &d, now, look)? {
            return Ok(false);
        }
        match self.place(tx, &d, now, look)? {
            Ok((provider, ordinal)) => {
                let start = self.start(tx, d, &provider, ordinal, now)?;
                let started = start.is_some();
                report.starts.extend(start);
                Ok(started)
            }
            Err(until) => {
                look.soon(until);
                Ok(false)
            }
        }
    }

    /// News that waited so long that later news of the same order waits behind it.
    fn outdated(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<bool> {
        let rules = &self.config.routing;
        let waited = d.thread.is_empty() || !rules.status_latest || now.wall.since(d.made_at) <= rules.fresh;
        if waited || !tx.read().has_later(d)? || self.bound_to(tx, d)?.is_some() {
            return Ok(false);
        }
        tx.transition(d.id, d.state, State::Cancelled, "superseded", now.wall)
    }

    /// Whether its hour has not come: by the recipient's clock, or because its link leads nowhere yet.
    fn must_wait(&mut self, tx: Tx<'_>, d: &Delivery, now: Now, look: &mut Look) -> Result<bool> {
        let mut opens = self.config.opens(d.kind, d.channel, d.sold_at, &d.zone, &d.region, &d.address, now);
        if d.kind.is_marketing() && now.good {
            let free = self.config.routing.offers_free(d.channel, |n| tx.read().offer_before(d.channel, &d.address, n))?;
            opens = opens.max(free.unwrap_or_default());
        }
        if opens > now.wall && !d.test {
            tx.postpone(d.id, opens)?;
            look.soon(Some(opens.since(now.wall)));
            return Ok(true);
        }
        if !self.awaits_link(tx, d, now)? {
            return Ok(false);
        }
        tx.wait_for(d.id, PUBLISHING, now.wall + PUBLISH_AGAIN)?;
        look.soon(Some(PUBLISH_AGAIN));
        Ok(true)
    }

    /// Whether a text's link is still being uploaded, and there is patience left.
    fn awaits_link(&mut self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<bool> {
        let carries = matches!(d.channel, Channel::Sms | Channel::Whatsapp) && matches!(d.kind, Kind::Receipt | Kind::Refund);
        let (true, Some(receipt), None) = (carries, d.receipt, d.content) else { return Ok(false) };
        let Some(page) = tx.read().publishing(receipt)? else { return Ok(false) };
        if !matches!(page.state, State::Ready | State::Retry | State::Sending | State::Uncertain) {
            return Ok(false);
        }
        let online = self.line.online_ms(now.mono);
        let since = page.online_since.or(d.online_since).unwrap_or(online);
        Ok(online - since < i64::try_from(self.config.routing.publish_wait.as_millis()).unwrap_or(i64::MAX))
    }

    /// The channels that may have something to send: those with providers, those of test messages, and those of
    /// rules that name a provider themselves.
    fn channels(&self) -> Vec<Channel> {
        let configured = |c: &Channel| self.config.channels.get(c).is_some_and(|c| !c.providers.is_empty());
        let named = self.config.routes.values().any(|r| r.to.is_some() || !r.providers.is_empty());
        let all = Channel::ALL.iter().copied();
        all.filter(|c| configured(c) || matches!(c, Channel::Email | Channel::Sms) || (named && *c != Channel::Print)).collect()
    }

    /// `Some` where no lane of the channel takes anything now: until when, if that is known.
    fn shut(&mut self, channel: Channel, now: Now) -> Option<Option<Duration>> {
        let mut names: Vec<String> = self.config.channels.get(&channel).map(|c| c.providers.clone()).unwrap_or_default();
        names.extend(self.config.routes.values().flat_map(|r| r.providers.iter().chain(&r.to)).cloned());
        names.push(TEST_INBOX.to_owned());
        let mut until: Option<Duration> = None;
        for name in names {
            match self.gate(&name, now) {
                Gate::Open => return None,
                Gate::Busy(None) => {}
                Gate::Busy(Some(at)) | Gate::Throttled(at) | Gate::Broken(at) | Gate::Paused(at) => {
                    until = [until, Some(at.since(now.mono))].into_iter().flatten().min();
                }
            }
        }
        Some(until)
    }

    fn gate(&mut self, provider: &str, now: Now) -> Gate {
        let local = self.facts.get(provider).is_some_and(|f| f.local);
        let share = if local { 1000 } else { self.line.share(now.mono) };
        match self.lanes.get_mut(provider) {
            Some(lane) if share > 0 => lane.gate(now.mono, share),
            _ => Gate::Busy(self.line.opens(now.mono)),
        }
    }

    /// The same for one delivery: offers leave room, and a recipient's domain has limits of its own.
    fn gate_for(&mut self, d: &Delivery, provider: &str, now: Now, look: &Look) -> Gate {
        let gate = self.gate(provider, now);
        if gate != Gate::Open {
            return gate;
        }
        if d.kind.is_marketing() {
            if look.urgent.contains(provider) {
                return Gate::Busy(Some(now.mono + Duration::from_secs(1)));
            }
            match self.lanes.get(provider).map(|lane| lane.gate_offer(now.mono)) {
                Some(Gate::Open) | None => {}
                Some(busy) => return busy,
            }
        }
        let narrow = domain(d).and_then(|domain| self.domains.get(&(provider.to_owned(), domain)));
        narrow.map_or(Gate::Open, |narrow| narrow.gate(self.config.routing.domain_concurrency as usize, now.mono))
    }

    /// The provider that takes the delivery now, or when to look again.
    fn place(
        &mut self,
        tx: Tx<'_>,
        d: &Delivery,
        now: Now,
        look: &mut Look,
    ) -> Result<std::result::Result<(String, u32), Option<Duration>>> {
        let names = self.providers(d);
        let bound = self.bound_to(tx, d)?;
        if bound.is_some() && self.is_foreign(d) && d.audience == Audience::Customer {
            tx.transition(d.id, d.state, State::Held, "provider_changed", now.wall)?;
            return Ok(Err(None));
        }
        let count = u32::try_from(names.len()).unwrap_or(1);
        let mut until: Option<Duration> = None;
        for step in 0..count {
            let ordinal = (d.ordinal + step) % count;
            let Some(name) = names.get(ordinal as usize).filter(|name| bound.as_ref().is_none_or(|b| b == *name)) else { continue };
            let gate = self.gate_for(d, name, now, look);
            if gate != Gate::Open && d.priority <= 1 {
                look.urgent.insert(name.clone());
            }
            // What may be there already goes under the id that it had there, wherever its provider stands now.
            let ordinal = if bound.is_some() && d.provider == *name { d.ordinal } else { ordinal };
            let at = match gate {
                Gate::Open => return Ok(Ok((name.clone(), ordinal))),
                // In its turn: another provider is for when this one cannot, not for when it is busy.
                Gate::Busy(at) => return Ok(Err(at.map(|at| at.since(now.mono)))),
                Gate::Throttled(at) if d.priority > 1 || at.since(now.mono) <= Duration::from_secs(60) => {
                    return Ok(Err(Some(at.since(now.mono))));
                }
                Gate::Throttled(at) | Gate::Broken(at) | Gate::Paused(at) => at,
            };
            until = [until, Some(at.since(now.mono))].into_iter().flatten().min();
        }
        Ok(Err(until))
    }

    /// The rule that made a message, where it is one of the config.
    pub(super) fn route(&self, d: &Delivery) -> Option<&Route> {
        self.config.routes.get(&d.route)
    }

    pub(super) fn providers(&self, d: &Delivery) -> Vec<String> {
        if d.test {
            return vec![TEST_INBOX.to_owned()];
        }
        if d.audience != Audience::Customer && self.config.providers.contains_key(&d.address) {
            return vec![d.address.clone()];
        }
        match self.route(d).map(|r| &r.providers) {
            Some(own) if !own.is_empty() => own.clone(),
            _ => self.config.channels.get(&d.channel).map(|c| c.providers.clone()).unwrap_or_default(),
        }
    }

    /// The only provider that may go on with a delivery, as it may have it already: what it drops as a
    /// repeat, another would deliver a second time.
    pub(super) fn bound_to(&self, tx: Tx<'_>, d: &Delivery) -> Result<Option<String>> {
        if d.tries == 0 {
            return Ok(None);
        }
        let by_key = |name: &str| self.facts.get(name).is_some_and(|f| f.safe_by_key);
        // What such a provider did not answer is a retry that speaks of the message.
        let doubtful = |class: &str, scope: &str, at: &str| class == "uncertain" || (class == "retry" && scope == "message" && by_key(at));
        let attempts = tx.read().attempts(d.id)?;
        Ok(attempts.into_iter().rev().find(|a| doubtful(&a.class, &a.scope, &a.provider)).map(|a| a.provider))
    }

    /// Marks a delivery as in flight; `None` where it may not go after all.
    fn start(&mut self, tx: Tx<'_>, d: Delivery, provider: &str, ordinal: u32, now: Now) -> Result<Option<Start>> {
        if now.good && d.expires < now.wall {
            tx.transition(d.id, d.state, State::Dead, "ttl", now.wall)?;
            if let (Kind::PasswordReset, Some(body)) = (d.kind, d.body) {
                tx.purge_body(body)?;
            }
            return Ok(None);
        }
        if self.stands_against(tx, &d, now)? {
            return Ok(None);
        }
        let Some((document, receipt)) = self.document(tx, &d, now)? else { return Ok(None) };
        if let Some(why) = self.held(&d, provider, &document) {
            tx.transition(d.id, d.state, State::Held, &why, now.wall)?;
            return Ok(None);
        }
        let content = d.content.and_then(|id| self.bytes(tx, d.kind, id).ok()).and_then(|json| serde_json::from_slice(&json).ok());
        let mut start = Start {
            link: self.link(tx, &d, receipt.as_ref())?,
            promo: self.promo(tx, &d, now)?,
            delivery: Delivery { ordinal, ..d.clone() },
            provider: provider.to_owned(),
            receipt,
            document,
            content,
            composed_at: d.composed_at.unwrap_or(now.wall),
        };
        // A repeat under the same key must be the same bytes, also after a crash in between; so must be the words
        // by which a text is looked for.
        let mut kept = None;
        let same = |f: &Facts| f.safe_by_key || (f.lookup.is_some() && d.channel == Channel::Sms);
        if self.facts.get(provider).is_some_and(same) && start.content.is_none() {
            start.content = compose::content(&self.composer, &self.config, &start, now.wall).ok();
            kept = start.content.as_ref().map(|c| self.pack(d.kind, c)).transpose()?;
        }
        let online = self.line.online_ms(now.mono);
        if !tx.begin_attempt(&d, provider, ordinal, now.wall, online, kept.as_ref())? {
            return Ok(None);
        }
        if ordinal != d.ordinal {
            (start.delivery.here, start.delivery.here_since) = (0, Some(online));
        }
        start.delivery.tries += 1;
        start.delivery.began_at = Some(now.wall);
        start.delivery.here_since.get_or_insert(online);
        if let Some(lane) = self.lanes.get_mut(provider) {
            lane.begin(d.kind.is_marketing());
        }
        if let Some(domain) = domain(&d) {
            self.domains.entry((provider.to_owned(), domain)).or_default().begin(self.config.routing.domain_rate, now.mono);
        }
        Ok(Some(start))
    }

    /// Whether the address must not be written to, or the person does not want it any more: it is ended, and the
    /// next channel takes over where that is right.
    fn stands_against(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<bool> {
        if d.audience != Audience::Customer {
            return Ok(false);
        }
        let Some(why) = self.against(tx, d, now)? else { return Ok(false) };
        // What may have arrived before the address was blocked goes by no other way: a person decides.
        let doubtful = self.bound_to(tx, d)?.is_some();
        let to = if doubtful { State::Held } else { State::Cancelled };
        let by_recipient = why.strip_prefix("suppressed:").is_some_and(unwanted);
        if tx.transition(d.id, d.state, to, &why, now.wall)? && !doubtful && !by_recipient {
            self.fall_back(tx, d, now)?;
        }
        Ok(true)
    }

    fn against(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<Option<String>> {
        let rules = &self.config.routing;
        if let Some(entry) = tx.read().suppression(d.channel, &d.address)?
            && !rules.has_lapsed(&entry.reason, entry.at, now.wall)
        {
            // What was known when it was decided was weighed then, with what was typed.
            let weighed = entry.at < d.made_at
                && (d.kind == Kind::Resend || matches!(Suppress::from_word(&entry.reason), Some(Suppress::Complaint | Suppress::Erased)));
            if d.kind.held_back_by(&entry.reason, weighed) {
                return Ok(Some(format!("suppressed:{}", entry.reason)));
            }
        }
        if d.kind.is_marketing() && !self.agreed(tx, d, now)? {
            return Ok(Some("no_consent".to_owned()));
        }
        Ok(None)
    }

    /// Whether the recipient agrees to offers on the channel.
    fn agreed(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<bool> {
        let region = if d.region.is_empty() { self.config.shop.whereabouts() } else { &d.region };
        let mut said = tx.read().consent(d.channel, &d.address, Purpose::Marketing)?;
        if let Some(entry) = &mut said {
            entry.renewed = entry.renewed.max(d.sold_at); // this sale, or the decision on this offer
        }
        Ok(consent::marketing(region, d.channel, said, now.wall))
    }

    /// Whether a receipt shows the promotion block: only with consent, never in a text, never where offers are
    /// not wanted.
    fn promo(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<bool> {
        let block = matches!(d.kind, Kind::Receipt | Kind::Refund | Kind::Resend) && d.channel == Channel::Email;
        if !block || self.config.brand.promotions.is_empty() || d.test {
            return Ok(false);
        }
        let refused = tx.read().suppressed(d.channel, &d.address)?.is_some();
        Ok(!refused && self.agreed(tx, d, now)?)
    }

    /// The document, and the receipt where it is one. One that cannot be read must not keep the others from going
    /// out.
    fn document(&self, tx: Tx<'_>, d: &Delivery, now: Now) -> Result<Option<(Vec<u8>, Option<Receipt>)>> {
        let read = tx.read();
        let found = read.receipt_at(d.receipt).and_then(|receipt| {
            let document = match (d.body, &receipt) {
                (Some(body), _) => self.bytes(tx, d.kind, body)?,
                (None, Some(receipt)) => read.body(receipt.body)?,
                (None, None) => Vec::new(),
            };
            Ok((document, receipt))
        });
        match found {
            Ok((document, receipt)) if !document.is_empty() => Ok(Some((document, receipt))),
            Err(error) if error.is_fatal() => Err(error),
            Ok(_) | Err(_) => {
                tx.transition(d.id, d.state, State::Dead, "unreadable", now.wall)?;
                Ok(None)
            }
        }
    }

    /// Why a person must release it first; only before its first attempt, and once.
    fn held(&self, d: &Delivery, provider: &str, document: &[u8]) -> Option<String> {
        let rules = &self.config.routing.hold;
        if rules.is_empty() || d.tries > 0 || d.reason == "released" {
            return None;
        }
        let event: Value = serde_json::from_slice(document).unwrap_or_default();
        let data = event.get("data").unwrap_or(&event);
        let total = data.get("totals").and_then(|t| t.get("grand_amount"));
        let amount = total.and_then(|t| t.as_str().map_or_else(|| self.decimal(data, t.as_i64()), |t| t.parse().ok()));
        let domain = d.address.rsplit_once('@').map_or("", |(_, domain)| domain);
        let facts = json!({"amount": amount, "total": amount, "domain": domain, "provider": provider, "channel": d.channel.word(),
            "kind": d.kind.word(), "audience": d.audience.word(), "event": event, "data": data});
        let met = rules.iter().find(|rule| match rule.when.holds(&facts) {
            Ok(met) => met,
            Err(error) => {
                tracing::warn!(rule = %rule.when, error, "a rule that holds messages could not be applied: this one is held");
                true
            }
        });
        met.map(|rule| format!("rule:{}", rule.reason))
    }

    /// Minor units as a number of the currency.
    fn decimal(&self, data: &Value, minor: Option<i64>) -> Option<f64> {
        let code = data.get("currency_code").and_then(Value::as_str).unwrap_or(&self.config.shop.currency);
        let currency = crate::domain::money::Currency::parse(code)?;
        crate::domain::money::Money { minor: minor?, currency }.decimal().parse().ok()
    }

    /// The link to the receipt's page, once it leads somewhere.
    fn link(&self, tx: Tx<'_>, d: &Delivery, receipt: Option<&Receipt>) -> Result<Option<String>> {
        let Some(receipt) = receipt.filter(|_| self.config.publishes()) else { return Ok(None) };
        let page = tx.read().publishing(receipt.row)?;
        let up = d.channel == Channel::Publish || page.is_some_and(|p| matches!(p.state, State::Accepted | State::Delivered));
        Ok(up.then(|| self.config.link(&token::token(self.key.links(), Mark::of(&receipt.receipt_id)))))
    }
}
