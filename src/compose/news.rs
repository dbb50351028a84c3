//! What templates see of a notice: an order, a return, a day in figures, an alert, as ready texts.
//!
//! Pure. Text from outside is made harmless here. A link that sets a password leaves it only as the link
//! of its own message.

use crate::compose::i18n::Speaker;
use crate::compose::locale::{self, Locale};
use crate::compose::notice::Notice;
use crate::compose::view::{BrandView, Format, More, Pair, Store, none, pairs, view};
use crate::compose::{facts, report};
use crate::domain::message::{Audience, Kind};
use crate::domain::money::{Currency, Money};
use crate::domain::notice::{About, Item, Made, OrderStage, Parcel, Progress, Staff};
use crate::domain::text::{many_lines, one_line};
use crate::domain::time::UnixMs;
use minijinja::value::{Enumerator, Object, Value};
use std::sync::Arc;

view! {
    /// The whole of what a notice's template sees.
    NewsView {
        lang, dir, t, _format, store, brand, kind, number, subject, preview, title, lead, text, notices, facts, button, goods, goods_label,
        shown, more, parcels, days, incidents, instructions, closing, why, unsubscribe, unsubscribe_email, links, is_test,
    }
}
view! {
    /// What the text message of a notice is made of.
    SmsNews { t, kind, number, store, short, total, items, link, marketing, is_test }
}
view! {
    /// A line of an order or a return.
    Good { text, qty, details }
}
view! {
    /// A parcel.
    ParcelView { label, facts, lines, url }
}

/// A name and a value of a list of facts.
pub type Fact = (String, String);

/// Builds views of one notice.
pub struct News<'a> {
    /// What is to be said.
    pub notice: &'a Notice<'a>,
    /// What it is about.
    pub about: &'a About,
    /// In these words.
    pub speaker: &'a Speaker,
    /// Written in this way.
    pub locale: &'static Locale,
    /// Of amounts that name none.
    pub currency: Option<Currency>,
}

impl<'a> News<'a> {
    /// For a notice whose language was chosen.
    pub fn new(notice: &'a Notice<'a>, about: &'a About, speaker: &'a Speaker) -> Self {
        let locale = locale::of(notice.language, speaker.tag(), notice.shop);
        News { notice, about, speaker, locale, currency: Currency::parse(&notice.shop.currency) }
    }

    /// A text of the language.
    pub fn say(&self, key: &str, fill: &[(&str, &str)]) -> String {
        self.speaker.say(key, fill)
    }

    /// A text of this kind of notice, filled with its number and the shop's name.
    fn own(&self, key: &str) -> String {
        let (store, number) = (self.store_name(), self.number());
        self.say(&format!("{}.{key}", self.about.name()), &[("number", &number), ("store", &store)])
    }

    /// The day and time, said in the language.
    pub fn moment(&self, at: UnixMs) -> String {
        let at = locale::in_zone(at, &self.notice.shop.timezone);
        self.say("datetime", &[("date", &self.locale.date(at.date())), ("time", &self.locale.time(at.time()))])
    }

    /// A day or a moment as people read it; other words as they are.
    pub fn day(&self, text: &str) -> String {
        match (text.parse::<jiff::civil::Date>(), UnixMs::parse_rfc3339(text)) {
            (_, Some(at)) => self.moment(at),
            (Ok(date), None) => self.locale.date(date),
            _ => one_line(text, 60),
        }
    }

    /// An amount of the shop's currency.
    pub fn amount(&self, minor: i64) -> String {
        match self.currency {
            Some(currency) => self.locale.money(Money { minor, currency }),
            None => minor.to_string(),
        }
    }

    fn money(&self, money: Option<Money>) -> String {
        money.map_or_else(String::new, |m| self.locale.money(m))
    }

    /// The shop's name as customers know it.
    pub fn store_name(&self) -> String {
        let shop = self.notice.shop;
        let name = [&shop.name, &shop.legal_name, &shop.id].into_iter().find(|name| !name.trim().is_empty());
        one_line(name.map_or("", String::as_str), 100)
    }

    /// Goes only to those who agreed to advertising.
    pub fn marketing(&self) -> bool {
        matches!(self.notice.kind, Kind::Campaign | Kind::ReviewRequest)
    }

    /// The number that people know it by.
    pub fn number(&self) -> String {
        let number = match self.about {
            About::Order(order) => &order.number,
            About::Return(back) => &back.number,
            About::Review(review) => &review.number,
            About::Feedback(feedback) => &feedback.number,
            About::Staff(staff) => &staff.number,
            _ => "",
        };
        one_line(number, 60)
    }

    /// The heading: what a person reads first.
    pub fn title(&self) -> String {
        let given = match self.about {
            About::Staff(staff) => staff.made.map_or_else(|| one_line(&staff.title, 120), |made| self.made(made, staff)),
            About::Digest(digest) => report::digest_title(self, digest),
            About::Alert(alert) => report::alert_title(self, alert),
            About::Offer(offer) if !offer.title.is_empty() => one_line(&offer.title, 120),
            _ => String::new(),
        };
        if given.is_empty() { self.own("title") } else { given }
    }

    fn made(&self, made: Made, staff: &Staff) -> String {
        let amount = self.money(staff.amount);
        self.speaker.say_counted(
            &format!("made.{made}"),
            staff.n.unwrap_or(0),
            &[("amount", &amount), ("object", &one_line(&staff.object, 60))],
        )
    }

    /// The whole of it in one sentence.
    pub fn short(&self) -> String {
        match self.about {
            About::Staff(_) | About::Digest(_) | About::Alert(_) => self.title(),
            About::Offer(offer) if !offer.text.is_empty() => one_line(&offer.text, 400),
            About::Offer(offer) if !offer.title.is_empty() => one_line(&offer.title, 120),
            _ => self.own("short"),
        }
    }

    fn lead(&self) -> String {
        match self.about {
            About::Staff(_) | About::Alert(_) | About::Offer(_) => String::new(),
            About::Digest(digest) => facts::counted(self.speaker, "digest.lead", digest.days.len()),
            _ => self.own("lead"),
        }
    }

    /// Free text of the sender.
    pub fn text(&self) -> String {
        let text = match self.about {
            About::Feedback(feedback) => &feedback.text,
            About::Staff(staff) => &staff.text,
            About::Offer(offer) => &offer.text,
            _ => "",
        };
        many_lines(text)
    }

    /// Where the reader goes from here: label and link.
    pub fn button(&self) -> Option<(String, String)> {
        let (key, url) = match self.about {
            About::Order(order) => match order.parcels.iter().find(|p| !p.tracking_url.is_empty()) {
                Some(parcel) => ("order.track", parcel.tracking_url.as_str()),
                None => ("order.view", order.url.as_str()),
            },
            About::Return(back) => ("return.label", back.label_url.as_str()),
            About::PasswordReset(reset) => ("reset.button", reset.url.as_str()),
            About::Review(review) => ("review.button", review.url.as_str()),
            About::Feedback(feedback) => ("open.link", feedback.url.as_str()),
            About::Staff(staff) => ("open.link", staff.link.as_str()),
            About::Offer(offer) => ("open.link", offer.link.as_str()),
            About::Digest(_) | About::Alert(_) => ("open.link", ""),
        };
        let (key, url) = if url.is_empty() { ("open.link", self.notice.link.unwrap_or("")) } else { (key, url) };
        Some((self.say(key, &[]), facts::safe(url)?))
    }

    /// Names and values, the most important first.
    pub fn facts(&self) -> Vec<Fact> {
        let mut all: Vec<(&str, String)> = Vec::new();
        match self.about {
            About::Order(order) => {
                all.push(("fact.order", self.number()));
                all.push(("total", self.money(order.total)));
                all.push(("fact.reason", order.reason.clone()));
            }
            About::Return(back) => {
                all.push(("fact.return", self.number()));
                all.push(("fact.order", back.order_number.clone()));
                all.push(("fact.refund", self.money(back.refund)));
                all.push(("fact.reason", back.reason.clone()));
            }
            About::Review(review) => all.push(("fact.number", review.number.clone())),
            About::Feedback(feedback) => {
                all.push(("fact.rating", feedback.rating.clone()));
                all.push(("fact.number", feedback.number.clone()));
            }
            About::Staff(staff) => {
                let till = matches!(staff.made, Some(Made::RefundOver | Made::VoidOver));
                all.push(("fact.number", self.number()));
                all.push(("fact.till", if till { staff.object.clone() } else { String::new() }));
                all.push(("fact.cashier", staff.cashier.clone()));
                all.push(("fact.since", staff.since.map_or_else(String::new, |at| self.moment(at))));
            }
            About::PasswordReset(_) | About::Digest(_) | About::Alert(_) | About::Offer(_) => {}
        }
        let given = match self.about {
            About::Staff(staff) => staff.fields.as_slice(),
            _ => &[],
        };
        let known = all.into_iter().map(|(key, value)| (self.say(key, &[]), one_line(&value, 200)));
        let given = given.iter().map(|(name, value)| (one_line(name, 60), one_line(value, 200)));
        known.chain(given).filter(|(_, value)| !value.is_empty()).collect()
    }

    /// The lines of the order or the return.
    pub fn items(&self) -> &'a [Item] {
        match self.about {
            About::Order(order) => &order.items,
            About::Return(back) => &back.items,
            _ => &[],
        }
    }

    /// The parcels that are on their way.
    pub fn parcels(&self) -> &'a [Parcel] {
        match self.about {
            About::Order(order) => &order.parcels,
            _ => &[],
        }
    }

    /// A count as people read it; nothing where nobody said how many.
    pub fn quantity(&self, item: &Item) -> String {
        item.quantity.map_or_else(String::new, |q| self.locale.quantity(&q.to_string()))
    }

    /// What went of a line, where that says more than the order itself.
    pub fn progress(&self, item: &Item) -> Vec<String> {
        let telling =
            matches!(self.about, About::Order(o) if matches!(o.stage, OrderStage::Partial | OrderStage::Shipped | OrderStage::Updated));
        let Some(Progress { now, before, remaining }) = item.progress.filter(|_| telling) else {
            return Vec::new();
        };
        let all = [("order.now", now), ("order.before", before), ("order.remaining", remaining)];
        let some = all.into_iter().filter(|(_, n)| !n.is_zero());
        some.map(|(key, n)| self.say(key, &[("n", &self.locale.quantity(&n.to_string()))])).collect()
    }

    /// What is said of a parcel.
    pub fn parcel_facts(&self, parcel: &Parcel) -> Vec<Fact> {
        let all = [
            ("fact.carrier", parcel.carrier.clone()),
            ("fact.tracking", parcel.tracking_number.clone()),
            ("fact.expected", self.day(&parcel.expected)),
        ];
        all.into_iter().filter(|(_, v)| !v.is_empty()).map(|(key, value)| (self.say(key, &[]), one_line(&value, 120))).collect()
    }

    fn good(&self, item: &Item) -> Value {
        let mut details = self.progress(item);
        details.extend((!item.note.is_empty()).then(|| one_line(&item.note, 200)));
        let qty = self.quantity(item);
        Good { text: Value::from(one_line(&item.text, 300)), qty: Value::from(qty), details: Value::from(details) }.into()
    }

    fn parcel(&self, n: usize, parcel: &Parcel, alone: bool) -> Value {
        // One parcel and the order's lines: they say what is in it.
        let lines = if alone && !self.items().is_empty() { &[] } else { parcel.items.as_slice() };
        ParcelView {
            label: Value::from(one_line(&self.say("order.parcel", &[("n", &if alone { String::new() } else { n.to_string() })]), 60)),
            facts: pairs(self.parcel_facts(parcel)),
            lines: Value::from(lines.iter().map(|item| self.good(item)).collect::<Vec<_>>()),
            // The button leads there.
            url: Value::from(if alone { String::new() } else { facts::safe(&parcel.tracking_url).unwrap_or_default() }),
        }
        .into()
    }

    /// What has to be said before anything else.
    pub fn remarks(&self) -> Vec<Fact> {
        let mut all = Vec::new();
        if self.notice.test {
            all.push(("test".to_owned(), self.say("notice.news_test", &[])));
        }
        if self.notice.late.is_some() && self.notice.kind.audience() != Audience::System {
            all.push(("late".to_owned(), self.say("notice.news_late", &[("at", &self.moment(self.notice.at))])));
        }
        all
    }

    fn closing(&self) -> Vec<String> {
        let About::PasswordReset(reset) = self.about else { return Vec::new() };
        let until = reset.expires.map(|at| self.say("reset.expires", &[("at", &self.moment(at))]));
        until.into_iter().chain([self.say("reset.ignore", &[("store", &self.store_name())])]).collect()
    }

    fn why(&self) -> String {
        let key = match self.about {
            _ if self.marketing() => "footer.marketing",
            About::PasswordReset(_) => "footer.account",
            _ if self.notice.kind.audience() != Audience::Customer => "footer.staff",
            _ => "footer.order",
        };
        self.say(key, &[("store", &self.store_name())])
    }

    fn store(&self) -> Value {
        let shop = self.notice.shop;
        let legal = one_line(&shop.legal_name, 200);
        let name = self.store_name();
        Store {
            legal_name: Value::from(if legal == name { String::new() } else { legal }),
            address: Value::from(many_lines(&shop.address).lines().map(str::to_owned).filter(|l| !l.is_empty()).collect::<Vec<_>>()),
            phone: Value::from(one_line(&shop.phone, 60)),
            email: Value::from(one_line(&shop.email, 254)),
            tax_id: Value::from(one_line(&shop.tax_id, 60)),
            hours: Value::from(one_line(&shop.opening_hours, 200)),
            name: Value::from(name),
            ..Store::default()
        }
        .into()
    }

    /// Everything that a template sees, with at most `cap` lines in `shown`.
    pub fn view(&self, cap: usize, subject: &str, way_out: &WayOut) -> NewsView {
        let (title, lead) = (self.title(), self.lead());
        let goods: Vec<Value> = self.items().iter().map(|item| self.good(item)).collect();
        let left = goods.len().saturating_sub(cap);
        let more = More { count: Value::from(left), text: Value::from(facts::counted(self.speaker, "and_more", left)), ..More::default() };
        let parcels = self.parcels();
        let goods_label = if matches!(self.about, About::Return(_)) { "section.return" } else { "section.order" };
        let customer = self.why() != self.say("footer.staff", &[("store", &self.store_name())]);
        let button = self.button().map_or_else(none, |(name, url)| Pair { name: Value::from(name), value: Value::from(url) }.into());
        let money = Money { minor: 0, currency: self.currency.unwrap_or(Currency::FOUR_DIGITS) };
        let instructions = if let About::Return(back) = self.about { many_lines(&back.instructions) } else { String::new() };
        NewsView {
            lang: Value::from(self.speaker.tag()),
            dir: Value::from(locale::direction(self.speaker.tag())),
            t: Value::from_object(self.speaker.clone()),
            _format: Value::from_object(Format { locale: self.locale, money, timezone: self.notice.shop.timezone.clone() }),
            store: self.store(),
            brand: BrandView::of(self.notice.brand).into(),
            kind: Value::from(self.about.name()),
            number: Value::from(self.number()),
            subject: Value::from(subject),
            preview: Value::from(if lead.is_empty() { one_line(&self.text(), 120) } else { lead.clone() }),
            title: Value::from(title),
            lead: Value::from(lead),
            text: Value::from(self.text()),
            notices: pairs(self.remarks()),
            facts: pairs(self.facts()),
            button,
            shown: Value::from(goods.iter().take(cap).cloned().collect::<Vec<_>>()),
            goods: Value::from(goods),
            goods_label: Value::from(self.say(goods_label, &[])),
            more: if left == 0 { none() } else { more.into() },
            parcels: Value::from(parcels.iter().zip(1..).map(|(p, n)| self.parcel(n, p, parcels.len() == 1)).collect::<Vec<_>>()),
            days: report::days(self),
            incidents: report::incidents(self),
            instructions: Value::from(instructions),
            closing: Value::from(self.closing()),
            why: Value::from(self.why()),
            unsubscribe: Value::from(way_out.link()),
            unsubscribe_email: Value::from(way_out.address()),
            links: if customer { facts::brand_links(self.notice.brand) } else { Value::from(Vec::<Value>::new()) },
            is_test: Value::from(self.notice.test),
        }
    }

    /// What the template of a text message sees, shortened by `step`: 2 with the shop's name cut to 20
    /// characters, 3 without items, 4 with the number cut too. Total and link always stay.
    pub fn sms_view(&self, step: u8) -> SmsNews {
        let name = self.store_name();
        let cut: String = name.chars().take(20).collect();
        let total = match self.about {
            About::Order(order) if order.stage != OrderStage::Cancelled => ("sms.total", self.money(order.total)),
            About::Return(back) => ("sms.refund", self.money(back.refund)),
            _ => ("", String::new()),
        };
        let mut short = self.short();
        let number = self.number();
        if step >= 4 && !number.is_empty() {
            short = short.replace(&number, &one_line(&number, 20));
        }
        let items = if step >= 3 { String::new() } else { self.items_in_short() };
        SmsNews {
            t: Value::from_object(self.speaker.clone()),
            kind: Value::from(self.about.name()),
            number: Value::from(self.number()),
            store: Value::from(if step >= 2 { cut.trim_end() } else { &name }),
            short: Value::from(short),
            total: Value::from(if total.1.is_empty() { String::new() } else { self.say(total.0, &[("total", &total.1)]) }),
            items: Value::from(items),
            link: Value::from(self.button().map_or_else(String::new, |(_, url)| url)),
            marketing: Value::from(self.marketing()),
            is_test: Value::from(self.notice.test),
        }
    }

    /// Carrier and number of the first parcel, else the first articles: only where no link says it.
    fn items_in_short(&self) -> String {
        if self.button().is_some() {
            return String::new();
        }
        if let Some(parcel) = self.parcels().first().filter(|p| !p.tracking_number.is_empty()) {
            return one_line(&format!("{} {}", parcel.carrier, parcel.tracking_number), 60);
        }
        let items = self.items().iter().map(|item| match self.quantity(item).as_str() {
            "" | "1" => one_line(&item.text, 30),
            many => format!("{many}x {}", one_line(&item.text, 30)),
        });
        facts::in_short(self.speaker, items)
    }
}

/// How a reader of marketing gets rid of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WayOut {
    /// A page, `https` only where one click is to do.
    pub url: String,
    /// A mail that writes itself.
    pub mailto: String,
}

impl WayOut {
    /// The link in the message: the page, else the mail.
    pub fn link(&self) -> &str {
        if self.url.is_empty() { &self.mailto } else { &self.url }
    }

    /// The address, where there is no page.
    fn address(&self) -> &str {
        let address = self.mailto.strip_prefix("mailto:").unwrap_or("");
        if self.url.is_empty() { address.split('?').next().unwrap_or("") } else { "" }
    }
}
