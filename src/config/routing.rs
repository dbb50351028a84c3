//! `[routing]` and `[routes.NAME]`: their keys, what they mean, and how they become settings.

use crate::config::build::{duration, given, length, list, number, texts};
use crate::config::checked::{Rate, Setting, Settings};
use crate::config::key::{Form, Key, Shape, default, optional, required};
use crate::config::units;
use crate::domain::area_code;
use crate::domain::channel::Channel;
use crate::domain::consent;
use crate::domain::ids::hash16;
use crate::domain::message::{Audience, Kind};
use crate::domain::money::{Currency, parse_decimal};
use crate::domain::quiet::{self, Window};
use crate::domain::rule::Rule;
use crate::domain::shop::Shop;
use crate::domain::time::UnixMs;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::time::Duration;

/// Hours of the day, by days of the week.
const HOURS: Form = Form {
    what: "hours of the day, for all days or by days of the week",
    example: "Mon-Sat 09:00-20:00, Sun 12:00-20:00",
    good: |t| Window::parse(t).is_some(),
};

/// A time of day.
const CLOCK: Form = Form { what: "a time of day", example: "22:15", good: |t| clock(t).is_some() };

/// Money in the shop's currency.
const AMOUNT: Form = Form {
    what: "an amount in the shop's currency, as decimal text",
    example: "100.00",
    good: |t| {
        !t.is_empty() && t.len() < 16 && t.bytes().all(|b| b.is_ascii_digit() || b == b'.') && t.bytes().filter(|b| *b == b'.').count() <= 1
    },
};

/// So many per time.
const FREQUENCY: Form = Form { what: "a number per length of time", example: "1 per 24 h", good: |t| frequency(t).is_some() };

/// An expression.
const EXPRESSION: Form =
    Form { what: "an expression that can be read", example: "data.totals.grand_amount > 10000", good: |t| Rule::parse(t).is_ok() };

const HOLD: &[Key] = &[
    required("when", Shape::Form(&EXPRESSION), "What is held, as an expression."),
    required("reason", Shape::Text, "Why, for the person who releases it."),
];

const CHANNEL_WORDS: &[&str] = &["preferred", "email", "sms", "whatsapp", "push"];

/// `[routes.NAME]`: for a built-in rule only what differs.
pub const ROUTE: &[Key] = &[
    optional("on", Shape::List(&Shape::Text), "Types of events that it acts on."),
    optional(
        "when",
        Shape::Form(&EXPRESSION),
        "Only where this is true: an expression over type, subject, source, till and data of the event.",
    ),
    optional("audience", Shape::Word(&["customer", "staff", "system"]), "For whom: the customer, the staff, or a system."),
    optional(
        "kind",
        Shape::Word(&[
            "receipt",
            "refund",
            "order_status",
            "password_reset",
            "review_request",
            "alert",
            "staff_event",
            "crm_sync",
            "digest",
        ]),
        "What the message is; its priority, patience and consent follow.",
    ),
    optional(
        "channels",
        Shape::List(&Shape::Word(CHANNEL_WORDS)),
        "Channels in order; \"preferred\" stands for the choice at the sale and the customer's own order.",
    ),
    optional("to", Shape::Text, "The provider that it goes to, as providers.NAME, for staff and systems."),
    optional("template", Shape::Text, "The shop's own template in place of the built-in one."),
    optional("delay", Shape::Duration, "How long after the event."),
    optional("enabled", Shape::Bool, "Whether it acts at all."),
    optional("providers", Shape::List(&Shape::Provider), "Providers in place of the channel's."),
    optional("strategy", Shape::Word(&["failover"]), "How a provider is chosen."),
    optional("from", Shape::Text, "The sender in place of the channel's."),
    optional("data", Shape::List(&Shape::Text), "Fields of the event that may leave, for systems; all where it is not given."),
];

/// `[routing]`: every default of who gets what, when and how.
pub const ROUTING: &[Key] = &[
    default(
        "fresh",
        Shape::Duration,
        "\"30 min\"",
        "A receipt younger than this goes to a customer who is still there; an older one waits out the night.",
    ),
    default(
        "retry",
        Shape::List(&Shape::Duration),
        "[\"5 s\", \"30 s\", \"2 min\", \"10 min\", \"30 min\", \"1 h\", \"2 h\", \"4 h\", \"6 h\"]",
        "Pauses between attempts at one provider; the last one repeats.",
    ),
    default(
        "max_attempts",
        Shape::Int(1, 1000),
        "20",
        "Attempts after which a delivery needs a person. Time without a line does not count.",
    ),
    default("failover_attempts", Shape::Int(1, 1000), "3", "Attempts at one provider after which the next one is tried."),
    default(
        "failover_after",
        Shape::Duration,
        "\"10 min\"",
        "Time at one provider after which the next one is tried; time without a line does not count.",
    ),
    default(
        "fallback_after",
        Shape::Duration,
        "\"2 h\"",
        "Time without success on one channel after which the next one is tried; time without a line does not count.",
    ),
    default(
        "uncertain_wait",
        Shape::Duration,
        "\"15 min\"",
        "How long a message that may have been sent waits for a report before it is shown to a person.",
    ),
    default(
        "lookup_delay",
        Shape::Duration,
        "\"5 min\"",
        "The longest wait before a provider is asked whether it has a message that may have been sent; one that is known to be quicker is asked sooner.",
    ),
    default(
        "reconnect_wait",
        Shape::Duration,
        "\"30 s\"",
        "The longest random wait after the line came back, so that a whole region does not start at once.",
    ),
    default("reconnect_ramp", Shape::Duration, "\"60 s\"", "How long after that until the full rate is reached."),
    default("drain", Shape::Word(&["oldest", "newest"]), "\"oldest\"", "What goes out first after the line was down."),
    default(
        "channels",
        Shape::List(&Shape::Word(&["email", "sms", "whatsapp", "push"])),
        "[\"email\", \"sms\", \"whatsapp\", \"push\"]",
        "The order of channels for a customer who has neither chosen one nor prefers one.",
    ),
    default(
        "quiet",
        Shape::Form(&HOURS),
        "\"08:00-21:00\"",
        "When texts and notifications about what is no longer fresh may go out, by the clock of the customer.",
    ),
    default(
        "marketing",
        Shape::Form(&HOURS),
        "\"Mon-Sat 09:00-20:00, Sun 12:00-20:00\"",
        "When offers may go out, by the clock of the customer.",
    ),
    default("marketing_email", Shape::Form(&HOURS), "\"07:00-21:00\"", "The same for offers by e-mail."),
    optional(
        "marketing_states",
        Shape::Map(&Shape::Form(&HOURS)),
        "Stricter hours for offers by text in a state or country, by its code (ISO 3166): they hold besides the hours above. Some are built in.",
    ),
    default("jitter", Shape::Duration, "\"15 min\"", "Offers that waited for an opening hour spread over so long after it."),
    default(
        "prefer_email_when_quiet",
        Shape::Bool,
        "false",
        "A receipt that would have to wait for the morning as a text goes out as an e-mail at once, where that is possible.",
    ),
    optional(
        "ttl",
        Shape::Map(&Shape::Duration),
        "How long messages are of use, by their kind, for example receipt = \"72 h\", receipt_email = \"7 d\". What is not named keeps its built-in time.",
    ),
    default(
        "weights",
        Shape::List(&Shape::Int(1, 1000)),
        "[8, 4, 3, 1, 4]",
        "Shares of the sending rate for what is not urgent: older receipts, order news, staff and systems, digests, offers.",
    ),
    default("ageing", Shape::Duration, "\"15 min\"", "What waited so long is served as the next more urgent kind."),
    default("campaign_share", Shape::Int(1, 100), "70", "The most of an account's rate that offers may use, in percent."),
    default("domain_concurrency", Shape::Int(1, 256), "8", "E-mails to one recipient's domain at the same time, for each provider."),
    optional(
        "domain_rate",
        Shape::Rate,
        "E-mails to one recipient's domain, for each provider. Without it only the provider's own rate counts.",
    ),
    default(
        "status",
        Shape::Word(&["latest", "all"]),
        "\"latest\"",
        "News of one order that could not go out for a while: only the latest, or all in their order.",
    ),
    optional(
        "hold",
        Shape::List(&Shape::Table(HOLD)),
        "What a person must release before it goes out: expressions over event, amount (decimal text), domain, channel, kind and provider.",
    ),
    default("resend_collapse", Shape::Duration, "\"60 s\"", "Presses for the same receipt and address within this are one."),
    default("resend_limit", Shape::Int(1, 100), "5", "How often one receipt may be sent again."),
    default(
        "report_fallback",
        Shape::Duration,
        "\"48 h\"",
        "A message that bounces within this after the sale is sent by the next channel.",
    ),
    default("soft_bounces", Shape::Int(1, 100), "5", "Soft bounces after which an address gets receipts only."),
    default("soft_bounce_span", Shape::Duration, "\"72 h\"", "The time over which these must be spread at the least."),
    default("soft_bounce_lapse", Shape::Duration, "\"30 d\"", "After so long such an address is tried again."),
    default(
        "publish_wait",
        Shape::Duration,
        "\"10 min\"",
        "How long a text waits until its link leads somewhere; then it goes without. Time without a line does not count.",
    ),
    default(
        "merge_window",
        Shape::Duration,
        "\"3 min\"",
        "Sales of one till from two sources with the same total and lines within this are one sale.",
    ),
    default(
        "till_offset",
        Shape::Duration,
        "\"15 min\"",
        "A till whose clock is wrong by this or more, always by the same, is read with that offset. Till clocks off by less are believed.",
    ),
    optional("refund_alert_over", Shape::Form(&AMOUNT), "A refund or void above this is told to the staff at once."),
    default("per_sale", Shape::Bool, "false", "Tell the staff of each sale, not only of each day."),
    default("per_sale_over", Shape::Form(&AMOUNT), "\"0\"", "Only of sales above this."),
    default(
        "digest_at",
        Shape::Form(&CLOCK),
        "\"22:15\"",
        "When the staff hear of the day in figures: a quarter of an hour after closing.",
    ),
    default("offline_alert", Shape::Duration, "\"10 min\"", "The line is down for so long before the staff hear of it."),
    default("breaker_failures", Shape::Int(1, 100), "5", "Failures in a row after which a provider is left alone for a while."),
    default("breaker_share", Shape::Int(1, 100), "50", "The same for so many of its last 20 attempts, in percent."),
    default("breaker_wait", Shape::Duration, "\"30 s\"", "How long it is left alone at first; the time doubles up to 10 min."),
    default(
        "account_wait",
        Shape::Duration,
        "\"15 min\"",
        "How long an account that refused us is left alone at first; the time doubles up to 2 h.",
    ),
    optional(
        "frequency",
        Shape::Map(&Shape::List(&Shape::Form(&FREQUENCY))),
        "How many offers one person gets on a channel. Without it: sms 1 per 24 h and 4 per 30 d, email 1 per 24 h and 3 per 7 d, push 1 per 24 h.",
    ),
];

/// `[routing]`: the defaults of who gets what and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// A receipt younger than this goes to a customer who is still there.
    pub fresh: Duration,
    /// Pauses between attempts at one provider; the last one repeats.
    pub retry: Vec<Duration>,
    /// Counted attempts after which a delivery is dead.
    pub max_attempts: u32,
    /// Counted attempts at one provider after which the next one is tried.
    pub failover_attempts: u32,
    /// Online time at one provider after which the next one is tried.
    pub failover_after: Duration,
    /// Online time without success on a channel after which the next one is tried.
    pub fallback_after: Duration,
    /// How long an uncertain attempt waits for a report before it is shown to a person.
    pub uncertain_wait: Duration,
    /// The longest wait before a provider is asked whether it has a message.
    pub lookup_delay: Duration,
    /// Upper bound of the random wait after the line came back.
    pub reconnect_wait: Duration,
    /// How long after that until the full rate is reached.
    pub reconnect_ramp: Duration,
    /// Serve what waited longest first; else the newest.
    pub drain_oldest: bool,
    /// The order of channels without a choice or preference.
    pub channels: Vec<Channel>,
    /// When what is no longer fresh may interrupt.
    pub quiet: Window,
    /// When offers may go out, and those by e-mail.
    pub marketing: Window,
    /// See `marketing`.
    pub marketing_email: Window,
    /// Stricter windows for offers by text, by state or country.
    pub states: BTreeMap<String, Window>,
    /// Spreads what waited for an opening.
    pub jitter: Duration,
    /// A stale receipt by text in quiet hours goes by e-mail.
    pub prefer_email_when_quiet: bool,
    /// Times to live that differ, by kind or `kind_channel`.
    pub ttl: BTreeMap<String, Duration>,
    /// Shares of priorities 2 to 6.
    pub weights: Vec<u32>,
    /// After so long a delivery is served one priority earlier.
    pub ageing: Duration,
    /// Per cent of an account's rate for campaigns.
    pub campaign_share: u32,
    /// Attempts to one recipient's domain at once.
    pub domain_concurrency: u32,
    /// The same per time.
    pub domain_rate: Option<Rate>,
    /// Of what waits about one order only the latest goes.
    pub status_latest: bool,
    /// What a person must release.
    pub hold: Vec<Hold>,
    /// Presses within this are one.
    pub resend_collapse: Duration,
    /// Resends of one receipt.
    pub resend_limit: u32,
    /// A bounce within this after the sale falls back.
    pub report_fallback: Duration,
    /// See the keys.
    pub soft_bounces: u32,
    /// See the keys.
    pub soft_bounce_span: Duration,
    /// See the keys.
    pub soft_bounce_lapse: Duration,
    /// Online time that a text waits for its link.
    pub publish_wait: Duration,
    /// See the keys.
    pub merge_window: Duration,
    /// See the keys.
    pub till_offset: Duration,
    /// Minor units of the shop's currency.
    pub refund_alert_over: Option<i64>,
    /// Tell the staff of each sale above so many minor units.
    pub per_sale: Option<i64>,
    /// Minutes after midnight.
    pub digest_at: u16,
    /// See the keys.
    pub offline_alert: Duration,
    /// See the keys.
    pub breaker_failures: u32,
    /// Per cent.
    pub breaker_share: u32,
    /// See the keys.
    pub breaker_wait: Duration,
    /// See the keys.
    pub account_wait: Duration,
    /// Offers to one address: so many within a time.
    pub frequency: Vec<(Channel, u32, Duration)>,
}

impl Routing {
    /// How long after the event a message of this kind is of use on the channel.
    pub fn time_to_live(&self, kind: Kind, channel: Channel) -> Duration {
        let special = || self.ttl.get(&format!("{kind}_{channel}"));
        // A receipt by e-mail has a time of its own.
        let general = || self.ttl.get(kind.word()).filter(|_| !(matches!(kind, Kind::Receipt | Kind::Refund) && channel == Channel::Email));
        if self.ttl.is_empty() {
            kind.time_to_live(channel)
        } else {
            special().or_else(general).copied().unwrap_or(kind.time_to_live(channel))
        }
    }
}

/// What decides when a message may go out by the clock.
#[derive(Clone, Copy, Debug)]
pub struct Gated<'a> {
    /// What it is.
    pub kind: Kind,
    /// The way it takes.
    pub channel: Channel,
    /// When the event was.
    pub at: UnixMs,
    /// IANA zone of the recipient; empty where it is not known.
    pub zone: &'a str,
    /// ISO 3166 of the recipient; empty where it is not known.
    pub region: &'a str,
    /// Normalised: a telephone number may tell another zone.
    pub address: &'a str,
}

impl Routing {
    /// From when on a person may get an offer again; `None`: now. `before` gives when the n-th last one left.
    pub fn offers_free<E>(&self, channel: Channel, before: impl Fn(u32) -> Result<Option<UnixMs>, E>) -> Result<Option<UnixMs>, E> {
        let mut free = None;
        for (_, most, span) in self.frequency.iter().filter(|(c, _, _)| *c == channel) {
            free = free.max(before(*most)?.map(|at| at + *span));
        }
        Ok(free)
    }

    /// Whether an entry on the suppression list counts no more: only soft bounces lapse by time.
    pub fn has_lapsed(&self, reason: &str, at: UnixMs, now: UnixMs) -> bool {
        reason == "soft_bounce" && now.since(at) > self.soft_bounce_lapse
    }

    /// Whether a receipt of that moment may still find the customer in the shop.
    pub fn is_fresh(&self, at: UnixMs, now: UnixMs) -> bool {
        now.since(at) <= self.fresh
    }

    /// The first moment from `now` on at which a message may go out, by the clock on the recipient's wall and,
    /// where a telephone number tells another zone, by that one too.
    pub fn not_before(&self, m: &Gated<'_>, shop: &Shop, now: UnixMs) -> UnixMs {
        let interrupts = matches!(m.channel, Channel::Sms | Channel::Whatsapp | Channel::Push);
        let region = if !m.region.is_empty() { m.region } else { shop.whereabouts() };
        let window = match m.kind {
            Kind::Campaign | Kind::ReviewRequest if m.channel == Channel::Email => &self.marketing_email,
            Kind::Campaign | Kind::ReviewRequest => &self.marketing_in(region),
            Kind::Receipt | Kind::Refund if interrupts && !self.is_fresh(m.at, now) => &self.quiet,
            Kind::OrderStatus if interrupts => &self.quiet,
            _ => return now,
        };
        let zone = if m.zone.is_empty() { shop.timezone.as_str() } else { m.zone };
        let zones: Vec<TimeZone> =
            [Some(zone), area_code::zone(m.address)].into_iter().flatten().filter_map(|z| TimeZone::get(z).ok()).collect();
        let opens = window.opens(&zones, now);
        // Offers spread after an opening; the same one always by the same.
        let spread = u64::try_from(self.jitter.as_millis()).unwrap_or(0);
        if opens > now && m.kind.is_marketing() && spread > 0 {
            let chance = hash16(m.address.as_bytes()).iter().take(6).fold(0u64, |sum, b| sum << 8 | u64::from(*b));
            return opens + Duration::from_millis(chance % spread);
        }
        opens
    }

    fn marketing_in(&self, region: &str) -> Window {
        let country = region.split('-').next().unwrap_or_default();
        let stricter = [self.states.get(region), self.states.get(country).filter(|_| country != region)];
        stricter.into_iter().flatten().fold(self.marketing.clone(), |window, state| window.and(state))
    }
}

/// What a person must release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Of what this is true.
    pub when: Rule,
    /// Why.
    pub reason: String,
}

/// A rule: which events become which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// Types of events.
    pub on: Vec<String>,
    /// Only where it is true.
    pub when: Option<Rule>,
    /// For whom.
    pub audience: Option<Audience>,
    /// What it is.
    pub kind: Option<Kind>,
    /// Channels in order; `None` stands for the customer's own. Empty: as the shop's order has it.
    pub channels: Vec<Option<Channel>>,
    /// The provider of a message to staff or a system; without it the first of the chat.
    pub to: Option<String>,
    /// The shop's own template.
    pub template: Option<String>,
    /// After the event.
    pub delay: Duration,
    /// Does not act.
    pub disabled: bool,
    /// In place of the channel's.
    pub providers: Vec<String>,
    /// In place of the channel's.
    pub from: String,
    /// Fields that may leave; empty: all.
    pub data: Vec<String>,
}

impl Route {
    /// What its messages are.
    pub fn kind(&self) -> Kind {
        self.kind.unwrap_or(match self.audience {
            Some(Audience::Staff) => Kind::StaffEvent,
            Some(Audience::System) => Kind::CrmSync,
            _ => Kind::OrderStatus,
        })
    }

    /// For whom its messages are.
    pub fn audience(&self) -> Audience {
        self.audience.unwrap_or_else(|| if self.to.is_some() && self.kind.is_none() { Audience::Staff } else { self.kind().audience() })
    }

    /// Whether it acts on this type of event.
    pub fn acts_on(&self, event: &str) -> bool {
        !self.disabled && self.on.iter().any(|on| on == event || on.strip_suffix('*').is_some_and(|start| event.starts_with(start)))
    }
}

/// The rules that act without a config, by name.
pub fn built_in() -> BTreeMap<String, Route> {
    let rule = |on: &[&str], kind| Route { on: on.iter().map(|t| (*t).to_owned()).collect(), kind: Some(kind), ..Route::default() };
    let staff = |on: &[&str], kind| Route { audience: Some(Audience::Staff), ..rule(on, kind) };
    [
        ("receipts", rule(&["sale.completed"], Kind::Receipt)),
        ("refunds", rule(&["refund.processed", "sale.voided"], Kind::Refund)),
        (
            "order_status",
            rule(
                &[
                    "order.confirmed",
                    "order.updated",
                    "order.partially_shipped",
                    "order.shipped",
                    "order.fulfilled",
                    "order.cancelled",
                    "return.initiated",
                    "return.approved",
                    "return.rejected",
                ],
                Kind::OrderStatus,
            ),
        ),
        ("password_reset", rule(&["account.password_reset"], Kind::PasswordReset)),
        ("staff_events", staff(&["device.alarm"], Kind::StaffEvent)),
        ("digests", staff(&[], Kind::Digest)),
        ("alerts", staff(&[], Kind::Alert)),
    ]
    .into_iter()
    .map(|(name, route)| (name.to_owned(), route))
    .collect()
}

/// Makes `[routing]`. Everything was found right before.
pub(super) fn routing(s: &Settings, currency: &str) -> Routing {
    let window = |name| Window::parse(s.text(name)).unwrap_or_else(Window::always);
    let money = |name| Currency::parse(currency).and_then(|c| parse_decimal(s.text(name), c).ok());
    let given_states = s.table("marketing_states").into_iter().flat_map(|t| &t.0);
    let states = quiet::STATES.iter().map(|(state, hours)| ((*state).to_owned(), (*hours).to_owned()));
    let states =
        states.chain(given_states.filter_map(|(state, v)| if let Setting::Text(t) = v { Some((state.clone(), t.clone())) } else { None }));
    Routing {
        fresh: length(s, "fresh"),
        retry: list(s, "retry").iter().filter_map(|v| if let Setting::Duration(d) = v { Some(*d) } else { None }).collect(),
        max_attempts: number(s, "max_attempts"),
        failover_attempts: number(s, "failover_attempts"),
        failover_after: length(s, "failover_after"),
        fallback_after: length(s, "fallback_after"),
        uncertain_wait: length(s, "uncertain_wait"),
        lookup_delay: length(s, "lookup_delay"),
        reconnect_wait: length(s, "reconnect_wait"),
        reconnect_ramp: length(s, "reconnect_ramp"),
        drain_oldest: s.text("drain") != "newest",
        channels: texts(s, "channels").iter().filter_map(|word| Channel::from_word(word)).collect(),
        quiet: window("quiet"),
        marketing: window("marketing"),
        marketing_email: window("marketing_email"),
        states: states.filter_map(|(state, hours)| Some((state, Window::parse(&hours)?))).collect(),
        jitter: length(s, "jitter"),
        prefer_email_when_quiet: s.flag("prefer_email_when_quiet"),
        ttl: durations(s, "ttl"),
        weights: list(s, "weights").iter().filter_map(|v| if let Setting::Int(n) = v { u32::try_from(*n).ok() } else { None }).collect(),
        ageing: length(s, "ageing"),
        campaign_share: number(s, "campaign_share"),
        domain_concurrency: number(s, "domain_concurrency"),
        domain_rate: units::parse_rate(s.text("domain_rate")),
        status_latest: s.text("status") != "all",
        hold: list(s, "hold").iter().filter_map(hold).collect(),
        resend_collapse: length(s, "resend_collapse"),
        resend_limit: number(s, "resend_limit"),
        report_fallback: length(s, "report_fallback"),
        soft_bounces: number(s, "soft_bounces"),
        soft_bounce_span: length(s, "soft_bounce_span"),
        soft_bounce_lapse: length(s, "soft_bounce_lapse"),
        publish_wait: length(s, "publish_wait"),
        merge_window: length(s, "merge_window"),
        till_offset: length(s, "till_offset"),
        refund_alert_over: money("refund_alert_over"),
        per_sale: money("per_sale_over").filter(|_| s.flag("per_sale")),
        digest_at: clock(s.text("digest_at")).unwrap_or(0),
        offline_alert: length(s, "offline_alert"),
        breaker_failures: number(s, "breaker_failures"),
        breaker_share: number(s, "breaker_share"),
        breaker_wait: length(s, "breaker_wait"),
        account_wait: length(s, "account_wait"),
        frequency: frequencies(s),
    }
}

/// Makes `[routes.NAME]`: the built-in rules with the shop's own over and beside them.
pub(super) fn routes(s: &Settings) -> BTreeMap<String, Route> {
    let mut routes = built_in();
    for (name, value) in &s.0 {
        if let Setting::Table(table) = value {
            let base = routes.remove(name).unwrap_or_default();
            routes.insert(name.clone(), route(table, base));
        }
    }
    routes
}

fn route(s: &Settings, base: Route) -> Route {
    let either = |name: &str, base: Vec<String>| if s.0.contains_key(name) { texts(s, name) } else { base };
    Route {
        on: either("on", base.on),
        when: given(s, "when").and_then(|t| Rule::parse(&t).ok()).or(base.when),
        audience: Audience::from_word(s.text("audience")).or(base.audience),
        kind: Kind::from_word(s.text("kind")).or(base.kind),
        channels: match s.0.contains_key("channels") {
            true => texts(s, "channels").iter().map(|word| Channel::from_word(word)).collect(),
            false => base.channels,
        },
        to: given(s, "to").map(|to| to.strip_prefix("providers.").unwrap_or(&to).to_owned()).or(base.to),
        template: given(s, "template").or(base.template),
        delay: duration(s, "delay").unwrap_or(base.delay),
        disabled: if s.0.contains_key("enabled") { !s.flag("enabled") } else { base.disabled },
        providers: either("providers", base.providers),
        from: given(s, "from").unwrap_or(base.from),
        data: either("data", base.data),
    }
}

fn durations(s: &Settings, name: &str) -> BTreeMap<String, Duration> {
    let all = s.table(name).into_iter().flat_map(|t| &t.0);
    all.filter_map(|(name, v)| if let Setting::Duration(d) = v { Some((name.clone(), *d)) } else { None }).collect()
}

fn hold(entry: &Setting) -> Option<Hold> {
    let Setting::Table(table) = entry else { return None };
    Some(Hold { when: Rule::parse(table.text("when")).ok()?, reason: table.text("reason").to_owned() })
}

fn frequencies(s: &Settings) -> Vec<(Channel, u32, Duration)> {
    let Some(table) = s.table("frequency") else { return consent::FREQUENCY.to_vec() };
    let named = |channel: &Channel| {
        texts(table, channel.word()).iter().filter_map(|t| frequency(t)).map(|(n, d)| (*channel, n, d)).collect::<Vec<_>>()
    };
    let kept = consent::FREQUENCY.iter().filter(|(channel, _, _)| !table.0.contains_key(channel.word())).copied();
    Channel::ALL.iter().flat_map(named).chain(kept).collect()
}

/// `1 per 24 h`.
fn frequency(text: &str) -> Option<(u32, Duration)> {
    let (count, span) = text.split_once("per")?;
    Some((count.trim().parse().ok()?, units::parse_duration(span.trim())?))
}

/// Minutes after midnight.
fn clock(text: &str) -> Option<u16> {
    let (h, m) = text.split_once(':')?;
    let (h, m): (u16, u16) = (h.parse().ok()?, m.parse().ok()?);
    (h < 24 && m < 60).then_some(h * 60 + m)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_forms_take() {
        assert_eq!(frequency("1 per 24 h"), Some((1, Duration::from_secs(86_400))));
        assert_eq!((frequency("per"), frequency("x per 1 h"), clock("24:00"), clock("22:15")), (None, None, None, Some(1335)));
        assert!((AMOUNT.good)("100.00") && !(AMOUNT.good)("1.0.0") && !(AMOUNT.good)("-1"));
        assert!((EXPRESSION.good)(EXPRESSION.example) && !(EXPRESSION.good)("a >"));
    }

    #[test]
    fn a_rule_acts_on_what_it_names() {
        let route = Route { on: vec!["order.*".into(), "x.mine".into()], ..Route::default() };
        assert!(route.acts_on("order.shipped") && route.acts_on("x.mine") && !route.acts_on("x.other") && !route.acts_on("sale.completed"));
        assert!(!Route { disabled: true, ..route }.acts_on("x.mine"));
    }
}
