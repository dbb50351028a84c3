//! The sentences themselves. Pure.

use super::{Facts, Step};
use crate::config::checked::Receipts;
use crate::domain::area_code;
use crate::domain::channel::Channel;
use crate::domain::consent::{self, Purpose};
use crate::domain::delivery::State;
use crate::domain::message::{Audience, ChainStep, Kind, WhenUncertain};
use crate::domain::outcome::{Class, Suppress};
use crate::domain::time::{UnixMs, for_people};
use crate::observe::{shown, words};
use crate::store::outbox::{Attempt, Delivery};
use crate::store::receipts::Receipt;
use std::time::Duration;

/// What may happen next, and when.
type Next = (String, Option<UnixMs>);

impl Facts<'_> {
    // ---- the sale ----

    pub(super) fn of_sale(&self) -> Vec<String> {
        let Some(r) = &self.receipt else { return Vec::new() };
        let mut said = vec![self.head(r)];
        if self.around.till_offset != 0 {
            let by = for_people(Duration::from_millis(self.around.till_offset.unsigned_abs()));
            let way = if self.around.till_offset > 0 { "behind" } else { "ahead" };
            said.push(format!("The clock of till {} is {by} {way}: its last sales all say so, and are read with that.", r.till));
        }
        said.extend(self.sightings.iter().map(|s| self.seen(s, r)));
        if !r.no_message.is_empty() {
            said.push(self.no_message(r));
        }
        said
    }

    fn head(&self, r: &Receipt) -> String {
        let number = if r.receipt_number.is_empty() { &r.transaction_id } else { &r.receipt_number };
        let total = shown::decimal(r.total, &r.currency);
        let late = r.taken_at.since(r.sold_at);
        let late = if late >= Duration::from_secs(60) { format!(", {} later", for_people(late)) } else { String::new() };
        format!(
            "Receipt {number} over {total} {} was sold {} at till {} and stored {}{late}. Times are those of {}.",
            r.currency,
            self.at(r.sold_at),
            if r.workstation_id.is_empty() { &r.till } else { &r.workstation_id },
            self.at(r.taken_at),
            self.config.shop.timezone
        )
    }

    fn seen(&self, s: &crate::store::sightings::Seen, r: &Receipt) -> String {
        let (who, at, total) = (&s.source, self.at(s.at), shown::decimal(s.total, &r.currency));
        match s.note.as_str() {
            "total_differs" => {
                let ours = shown::decimal(r.total, &r.currency);
                format!("{who} told of the same sale {at}, but with a total of {total} instead of {ours}: someone should look at that.")
            }
            "filled" => format!("{who} told of the same sale {at}, before anything was sent: one document, with what either knew."),
            "late" => format!("{who} told of the same sale {at}, when its receipt had gone out: nothing was sent again."),
            "corrected" => format!("{who} corrected it {at} to {total}: that is a document of its own."),
            _ => format!("{who} told of the same sale {at}."),
        }
    }

    fn no_message(&self, r: &Receipt) -> String {
        let mode = self.config.tills.get(&r.till).map(|t| t.receipts).unwrap_or_default();
        let why = match (r.no_message.as_str(), mode, self.choice.as_str()) {
            ("declined", _, "paper") => "the customer chose paper".to_owned(),
            ("declined", _, "none") => "the customer chose to have none".to_owned(),
            ("declined", Receipts::Never, _) => format!("[tills.{}] receipts = \"never\"", r.till),
            ("declined", Receipts::Registered, _) => format!("[tills.{}] sends receipts to registered customers only", r.till),
            ("declined", Receipts::OnRequest, _) => format!("[tills.{}] sends receipts on request only", r.till),
            ("declined", ..) => {
                "the customer's own preference is none, the rule is switched off, or the sale was undone before it was sent".to_owned()
            }
            ("no_contact", ..) => "no address was given, and none is known".to_owned(),
            ("undeliverable", ..) => "none of the ways to the customer can be used".to_owned(),
            ("erased", ..) => "the customer asked to be forgotten and gave no address at this sale".to_owned(),
            (other, ..) => other.to_owned(),
        };
        format!("No message was made: {why}.")
    }

    // ---- one delivery ----

    pub(super) fn of_step(&self, step: &Step) -> Vec<String> {
        let d = &step.delivery;
        let mut said = Vec::new();
        if d.step == 1 {
            said.push(self.made(d));
            said.extend(if d.audience == Audience::Customer { ways(&d.why) } else { Vec::new() });
        } else {
            let before = self.steps.iter().find(|s| s.delivery.message == d.message && s.delivery.step + 1 == d.step);
            let at = before.and_then(|s| s.delivery.ended_at).map(|at| format!(" {}", self.at(at))).unwrap_or_default();
            said.push(format!("{} took over{at} as the next way of its message.", capital(channel(d.channel))));
        }
        said.extend(self.consent(step));
        said.extend(self.suppression(step));
        said.extend(self.attempts(d, &step.attempts));
        said.push(self.stands(step));
        said
    }

    fn made(&self, d: &Delivery) -> String {
        if d.channel == Channel::Publish {
            return format!(
                "The page behind the receipt's link is uploaded (asked for {}): a text with the link waits for it.",
                self.at(d.made_at)
            );
        }
        let rule = match (d.campaign.as_str(), d.route.as_str(), d.kind) {
            ("", "", Kind::Resend) => String::new(),
            ("", "", _) => " by the built-in rule for it".to_owned(),
            ("", route, _) => format!(" by [routes.{route}]"),
            (campaign, ..) => format!(" by the campaign {campaign}"),
        };
        let asked = if d.actor.is_empty() { String::new() } else { format!(", asked for by {}", d.actor) };
        let test = if d.test { " It is a test: it reaches the test inbox only." } else { "" };
        let fresh = match (d.kind, d.fresh) {
            (Kind::Receipt | Kind::Refund, true) => " The customer may still have been in the shop: no quiet hours.",
            (Kind::Receipt | Kind::Refund, false) => " The sale was some time ago: texts and the like keep quiet hours.",
            _ => "",
        };
        format!("This {} was made {}{rule}{asked}.{fresh}{test}", kind(d.kind), self.at(d.made_at))
    }

    /// Offers need a consent; a receipt shows them only with one.
    fn consent(&self, step: &Step) -> Option<String> {
        let d = &step.delivery;
        let shows = d.channel == Channel::Email && matches!(d.kind, Kind::Receipt | Kind::Refund | Kind::Resend);
        let shows = shows && !self.config.brand.promotions.is_empty();
        if d.audience != Audience::Customer || !(d.kind.is_marketing() || shows) {
            return None;
        }
        let region = if d.region.is_empty() { self.config.shop.whereabouts() } else { &d.region };
        let mut entry = step.marketing;
        if let Some(entry) = &mut entry {
            entry.renewed = entry.renewed.max(d.sold_at);
        }
        let may = consent::marketing(region, d.channel, entry, self.now.wall);
        let said = entry.map_or("nothing was said".to_owned(), |e| format!("{} was said {}", e.state.word(), self.at(e.at)));
        let what = if d.kind.is_marketing() { "Offers may" } else { "The offers in it may" };
        Some(format!("{what} {}go there: of {}, {said} ({region}).", if may { "" } else { "not " }, Purpose::Marketing))
    }

    fn suppression(&self, step: &Step) -> Option<String> {
        let (d, s) = (&step.delivery, step.suppression.as_ref()?);
        if self.config.routing.has_lapsed(&s.reason, s.at, self.now.wall) {
            return Some(format!("The address was blocked {} ({}); that has lapsed.", self.at(s.at), words::reason(&s.reason)));
        }
        // What was known when it was decided was weighed then, with what the customer typed.
        let weighed = s.at <= d.made_at && matches!(Suppress::from_word(&s.reason), Some(Suppress::Complaint | Suppress::Erased));
        let holds = d.kind.held_back_by(&s.reason, weighed || d.kind == Kind::Resend);
        let from = if s.origin.is_empty() { String::new() } else { format!(", learned from {}", s.origin) };
        let effect = if holds { "nothing of this kind goes there" } else { "this kind may go there all the same" };
        Some(format!("The address is blocked since {}{from}: {}; {effect}.", self.at(s.at), words::reason(&s.reason)))
    }

    fn attempts(&self, d: &Delivery, attempts: &[Attempt]) -> Vec<String> {
        let mut said = Vec::new();
        for (n, a) in attempts.iter().enumerate() {
            let before = n.checked_sub(1).and_then(|n| attempts.get(n));
            if let Some(before) = before.filter(|b| b.provider != a.provider) {
                said.push(format!("{} then took over from {}: the next provider of {}.", a.provider, before.provider, channel(d.channel)));
            }
            let detail = if a.detail.is_empty() { String::new() } else { format!(" ({})", a.detail) };
            let came = match Class::from_word(&a.class) {
                Some(Class::Accepted) => "was accepted",
                Some(Class::Offline) => "found no internet, which costs no attempt",
                Some(Class::Retry) => "was not taken for now",
                Some(Class::Throttle) => "was told to wait, which costs no attempt",
                Some(Class::Auth) => "was refused because of the shop's account, which was paused",
                Some(Class::Permanent) => "was refused for good",
                Some(Class::Uncertain) => "got no answer: it may have arrived",
                None => "came back with a word that this release does not know",
            };
            said.push(format!("Attempt {} at {} {} {came}{detail}.", a.n, a.provider, self.at(a.began_at)));
        }
        said
    }

    /// How it stands now.
    fn stands(&self, step: &Step) -> String {
        let d = &step.delivery;
        let ended = d.ended_at.map(|at| format!(" {}", self.at(at))).unwrap_or_default();
        match d.state {
            State::Held => match d.reason.strip_prefix("rule:") {
                Some(why) => format!("It is held by a rule of [routing] hold: {why}."),
                None => format!("It is held: {}.", words::reason(&d.reason)),
            },
            State::Cancelled => match d.reason.strip_prefix("suppressed:") {
                Some(why) => format!("It was cancelled{ended} because the address is blocked: {}.", words::reason(why)),
                None => format!("It was cancelled{ended}: {}.", words::reason(&d.reason)),
            },
            State::Accepted | State::Delivered if d.seen_at.is_some() => {
                format!("{} has it{ended}, and the customer has seen it.", d.provider)
            }
            _ => {
                let text = words::delivery(d, self.around.online.unwrap_or(true), false, |at| self.at(at)).text;
                if ended.is_empty() || matches!(d.state, State::Ready | State::Retry | State::Sending) {
                    format!("{text}.")
                } else {
                    format!("{text}{ended}.")
                }
            }
        }
    }

    // ---- next ----

    /// What would happen next, and when that is.
    pub(super) fn next(&self, step: &Step) -> Next {
        let d = &step.delivery;
        match d.state {
            State::Ready | State::Retry => self.waits(step),
            State::Sending => ("Its answer is waited for; without one it is uncertain.".to_owned(), None),
            State::Uncertain => (self.doubt(d), None),
            State::Held => (format!("A person releases it (`tillpost outbox release {}`) or discards it.", d.step_id()), None),
            State::Dead if d.reason == "ttl" => ("Nothing: it came too late to be of use.".to_owned(), None),
            State::Dead => (format!("A person releases it (`tillpost outbox release {}`) or discards it.", d.step_id()), None),
            State::Accepted => self.accepted(step),
            State::Delivered | State::Complained => ("Nothing: it arrived.".to_owned(), None),
            State::Bounced | State::Cancelled => (self.after_end(d), None),
        }
    }

    /// Why it has not gone yet: the first thing that stands in its way.
    fn waits(&self, step: &Step) -> Next {
        let (d, now) = (&step.delivery, self.now.wall);
        let opens = self.config.opens(d.kind, d.channel, d.sold_at, &d.zone, &d.region, &d.address, self.now);
        if opens > now && !d.test {
            return (format!("Quiet hours: it may go {}, by {}.", self.at(opens), self.clocks(d)), Some(opens));
        }
        if step.behind {
            return ("It waits for an earlier word on the same order to be accepted.".to_owned(), None);
        }
        if d.reason == "publishing" {
            return (self.publishing(), None);
        }
        let gone = format!(" After {} it is of no use and is not sent.", self.at(d.expires));
        if self.around.online == Some(false) {
            return (format!("It goes as soon as there is internet; waiting costs no attempt.{gone}"), None);
        }
        let names = self.providers(d);
        let lane = |name: &String| self.around.lanes.iter().find(|(n, _)| n == name).map(|(_, word)| *word);
        let shut: Vec<(&String, &str)> = names.iter().filter_map(|n| lane(n).filter(|w| *w != "ok").map(|w| (n, w))).collect();
        if names.is_empty() {
            return (format!("No provider of {} is configured: it waits for one.{gone}", channel(d.channel)), None);
        }
        if shut.len() == names.len() {
            let list: Vec<String> = shut.iter().map(|(name, word)| format!("{name} {}", lane_word(word))).collect();
            return (format!("{}: it goes when one of them takes messages again.{gone}", list.join(", ")), None);
        }
        let takes = names.iter().find(|n| lane(n).is_none_or(|w| w == "ok")).cloned().unwrap_or_default();
        let passed = match shut.first() {
            Some((name, word)) if *name != &takes => format!(" ({name} {})", lane_word(word)),
            _ => String::new(),
        };
        let fallback = self.fallback(d, " If nobody accepts it within ", " online, ");
        if d.due > now {
            let nth = d.counted + 1;
            let most = self.config.routing.max_attempts;
            let text = format!("Attempt {nth} of {most} at the most goes {}, to {takes}{passed}.{fallback}{gone}", self.at(d.due));
            return (text, Some(d.due));
        }
        (format!("It goes to {takes} as soon as its turn comes{passed}.{fallback}{gone}"), Some(now))
    }

    fn publishing(&self) -> String {
        let page = match self.page.as_ref().map(|p| p.state) {
            Some(State::Ready) => "waits to be uploaded",
            Some(State::Retry) => "could not be uploaded yet",
            Some(State::Sending) => "is being uploaded",
            Some(State::Uncertain) => "may have been uploaded",
            _ => "is not up",
        };
        let most = for_people(self.config.routing.publish_wait);
        format!("It waits for its link: the page behind that {page}. After {most} online it goes without one.")
    }

    fn fallback(&self, d: &Delivery, before: &str, after: &str) -> String {
        match next_way(d) {
            Some(next) if d.kind.falls_back() => {
                format!("{before}{}{after}{} takes over.", for_people(self.config.routing.fallback_after), name(&next.channel))
            }
            _ => String::new(),
        }
    }

    fn accepted(&self, step: &Step) -> Next {
        let d = &step.delivery;
        let until = d.sold_at + self.config.routing.report_fallback;
        match next_way(d) {
            Some(next) if d.kind.falls_back() && d.seen_at.is_none() && until > self.now.wall => {
                let text = format!(
                    "Nothing, unless {} reports before {} that it did not arrive: then {} takes over.",
                    d.provider,
                    self.at(until),
                    name(&next.channel)
                );
                (text, None)
            }
            _ => ("Nothing: it has been handed over.".to_owned(), None),
        }
    }

    fn doubt(&self, d: &Delivery) -> String {
        let wait = for_people(self.config.routing.uncertain_wait);
        match d.kind.when_uncertain() {
            WhenUncertain::Repeat if d.kind == Kind::PasswordReset => "It is sent once more while it is of use.".to_owned(),
            WhenUncertain::Repeat => format!("It is sent again after {wait}: for staff and systems twice is better than never."),
            WhenUncertain::Drop => "It is given up: an offer is not sent twice.".to_owned(),
            WhenUncertain::Hold => {
                "Where the provider drops a repeat it is sent again, and one that can be asked is asked first; else it stays until a person decides: send it again, or let it be."
                    .to_owned()
            }
        }
    }

    fn after_end(&self, d: &Delivery) -> String {
        match self.steps.iter().find(|s| s.delivery.message == d.message && s.delivery.step > d.step) {
            Some(next) => format!("{} took over.", capital(channel(next.delivery.channel))),
            None => "Nothing: this was the last way.".to_owned(),
        }
    }

    fn providers(&self, d: &Delivery) -> Vec<String> {
        if d.test {
            return vec!["test-inbox".to_owned()];
        }
        if d.audience != Audience::Customer && self.config.providers.contains_key(&d.address) {
            return vec![d.address.clone()];
        }
        match self.config.routes.get(&d.route).map(|r| &r.providers) {
            Some(own) if !own.is_empty() => own.clone(),
            _ => self.config.channels.get(&d.channel).map(|c| c.providers.clone()).unwrap_or_default(),
        }
    }

    /// Whose clock counts.
    fn clocks(&self, d: &Delivery) -> String {
        let own = if d.zone.is_empty() {
            format!("the shop's clock ({})", self.config.shop.timezone)
        } else {
            format!("the customer's clock ({})", d.zone)
        };
        let zone = if d.zone.is_empty() { self.config.shop.timezone.as_str() } else { d.zone.as_str() };
        match area_code::zone(&d.address).filter(|other| *other != zone) {
            Some(other) => format!("{own} and that of the number's area ({other})"),
            None => own,
        }
    }

    /// A moment on the shop's clock.
    fn at(&self, at: UnixMs) -> String {
        let zone = jiff::tz::TimeZone::get(&self.config.shop.timezone).unwrap_or(jiff::tz::TimeZone::UTC);
        zone.to_datetime(at.instant()).strftime("%Y-%m-%d %H:%M").to_string()
    }
}

/// The decision, way by way: `email=chosen@choice sms=no_address@shop`.
fn ways(why: &str) -> Vec<String> {
    if why.is_empty() {
        return vec!["The first way that was looked at was good.".to_owned()];
    }
    why.split(' ').filter_map(way).collect()
}

fn way(part: &str) -> Option<String> {
    let (channel, rest) = part.split_once('=')?;
    let (result, from) = rest.rsplit_once('@').unwrap_or((rest, ""));
    Some(format!("{}: {} ({}).", capital(name(channel)), result_in_words(result), origin(from)))
}

/// What came of looking at a way.
pub fn result_in_words(result: &str) -> String {
    match result {
        "chosen" => "it goes this way".to_owned(),
        "fallback" => "the next way if those before fail".to_owned(),
        "no_address" => "no address is known".to_owned(),
        "channel_off" => "the shop has no provider for it".to_owned(),
        "no_consent" => "the customer has not agreed to it".to_owned(),
        "ttl" => "it would come too late".to_owned(),
        "frequency" => "this address got enough offers lately".to_owned(),
        other => match other.strip_prefix("suppressed:") {
            Some(why) => format!("the address is blocked, {}", words::reason(why)),
            None => other.to_owned(),
        },
    }
}

fn origin(from: &str) -> &str {
    match from {
        "choice" => "chosen at the sale",
        "preference" => "the customer's preference",
        "shop" => "the shop's order",
        "rule" => "the rule's channels",
        other => other,
    }
}

/// The way after this one, where the message has one.
fn next_way(d: &Delivery) -> Option<ChainStep> {
    let chain: Vec<ChainStep> = serde_json::from_str(&d.chain).unwrap_or_default();
    chain.into_iter().nth((d.step as usize).saturating_sub(1))
}

fn lane_word(word: &str) -> &str {
    match word {
        "paused" => "refuses the shop's account and is paused",
        "down" => "is not taking messages",
        "throttled" => "asked to wait",
        other => other,
    }
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Resend => "copy",
        Kind::PasswordReset => "link for a new password",
        Kind::Receipt => "receipt",
        Kind::Refund => "refund receipt",
        Kind::OrderStatus => "news of an order",
        Kind::Alert => "alert",
        Kind::StaffEvent => "word to the staff",
        Kind::CrmSync => "data for another system",
        Kind::Digest => "day in figures",
        Kind::Campaign => "offer",
        Kind::ReviewRequest => "request for a review",
    }
}

fn channel(channel: Channel) -> &'static str {
    match channel {
        Channel::Email => "e-mail",
        Channel::Sms => "text message",
        Channel::Whatsapp => "WhatsApp",
        Channel::Chat => "chat",
        Channel::Push => "push",
        Channel::Crm => "customer system",
        Channel::Ticket => "helpdesk",
        Channel::Webhook => "webhook",
        Channel::Print => "printer",
        Channel::Publish => "upload of its page",
    }
}

fn name(word: &str) -> &str {
    match Channel::from_word(word) {
        Some(known) => channel(known),
        None => word,
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|c| c.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
