//! Messages beyond receipts: orders, returns, a new password, reviews, news for the staff, digests,
//! alerts, offers; each by mail, text message, chat, notification, WhatsApp or as data.
//!
//! Pure. Advertising never leaves without a way out of it, and a link that sets a password goes to its
//! person only: never into a chat room or another system.

use crate::compose::news::{News, WayOut};
use crate::compose::{AUTO_SUBMITTED, ComposeError, Composer, brief, data, facts, layout, reply_address, report};
use crate::domain::content;
use crate::domain::message::Kind;
use crate::domain::money::Currency;
use crate::domain::notice::{About, Parcel};
use crate::domain::shop::{Brand, Shop};
use crate::domain::text::one_line;
use crate::domain::time::UnixMs;
use minijinja::value::Value;
use serde_json::Map;
use std::fmt;

/// One notice to be composed: an event, whose it is, and what is special about this sending.
#[derive(Clone, Copy)]
pub struct Notice<'a> {
    /// What the message is.
    pub kind: Kind,
    /// Type of the event.
    pub event: &'a str,
    /// The sale or order that the event names; may be empty.
    pub subject: &'a str,
    /// The event's data: see [`crate::domain::notice`].
    pub data: &'a Map<String, serde_json::Value>,
    /// When it happened.
    pub at: UnixMs,
    /// Who sells.
    pub shop: &'a Shop,
    /// The shop's look and standing texts.
    pub brand: &'a Brand,
    /// The reader's language.
    pub language: Option<&'a str>,
    /// The shop's language.
    pub default_language: Option<&'a str>,
    /// Sent at that time because the shop was offline.
    pub late: Option<UnixMs>,
    /// Nothing real.
    pub test: bool,
    /// Where to read on, for what has no link of its own.
    pub link: Option<&'a str>,
    /// Of marketing: the reader's own page (`https`) or address (`mailto:`) to get rid of it.
    pub unsubscribe: Option<&'a str>,
    /// A template of the shop's own by its name, e.g. `spring` for `spring.html.j2`.
    pub template: Option<&'a str>,
}

/// Its data may hold a secret: it is not shown.
impl fmt::Debug for Notice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice").field("kind", &self.kind).field("event", &self.event).finish_non_exhaustive()
    }
}

impl<'a> Notice<'a> {
    /// A plain one.
    pub fn new(kind: Kind, event: &'a str, data: &'a Map<String, serde_json::Value>, at: UnixMs, shop: &'a Shop, brand: &'a Brand) -> Self {
        Notice {
            kind,
            event,
            subject: "",
            data,
            at,
            shop,
            brand,
            language: None,
            default_language: None,
            late: None,
            test: false,
            link: None,
            unsubscribe: None,
            template: None,
        }
    }

    /// What it is about.
    ///
    /// # Errors
    /// What its data lacks.
    pub fn about(&self) -> Result<About, ComposeError> {
        let currency = Currency::parse(&self.shop.currency);
        Ok(About::read(self.kind, self.event, self.subject, self.data, currency)?)
    }
}

/// A text of one line fit for a headline: without the full stop at its end.
fn headline(text: &str, max: usize) -> String {
    one_line(text.trim_end_matches(['.', ':', '\u{a0}', ' ']), max)
}

impl Composer {
    /// A notice by mail. Without a `reply_to` answers go to the shop's own address.
    pub fn notice_email(&self, notice: &Notice<'_>, from: &str, reply_to: &str) -> Result<content::Email, ComposeError> {
        let (about, speaker) = (notice.about()?, self.notice_speaker(notice));
        let news = News::new(notice, &about, &speaker);
        let own = own_template(notice, &about);
        let reply_to = reply_address(reply_to, notice.shop);
        let out = way_out(&news, &reply_to)?;
        let view = Value::from(news.view(0, "", &out));
        let file = self.template(own, about.name(), "notice", "", ".subject.txt.j2")?;
        let subject = one_line(&self.render(&file, &view, 4_096)?, 200);
        let view = |lines: usize| Value::from(news.view(lines, &subject, &out));
        let (html, text) = self.mail_parts(own, about.name(), "notice", &view)?;
        let mut headers: Vec<(String, String)> = vec![AUTO_SUBMITTED.map(str::to_owned).into()];
        if news.marketing() {
            headers.extend(unsubscribe_headers(&out));
        }
        Ok(content::Email { from: one_line(from, 320), reply_to, subject, text, html, headers })
    }

    /// A notice as a text message of one segment where it can be, two at most: first the shop's name is
    /// cut, then items go, then the number is cut; total and link always stay.
    pub fn notice_sms(&self, notice: &Notice<'_>, from: &str, transliterate: bool) -> Result<content::Sms, ComposeError> {
        let (about, speaker) = (notice.about()?, self.notice_speaker(notice));
        let news = News::new(notice, &about, &speaker);
        let file = self.template(own_template(notice, &about), about.name(), "notice", "sms/", ".txt.j2")?;
        self.shortened(&file, &|step| Value::from(news.sms_view(step)), from, transliterate)
    }

    /// A notice for a chat room. It never holds an address of a customer.
    ///
    /// # Errors
    /// Also for a password: its link goes to its person only.
    pub fn notice_chat(&self, notice: &Notice<'_>) -> Result<content::Chat, ComposeError> {
        let (about, speaker) = (not_secret(notice)?, self.notice_speaker(notice));
        let news = News::new(notice, &about, &speaker);
        let title = match &about {
            About::Staff(_) | About::Digest(_) | About::Alert(_) | About::Feedback(_) | About::Offer(_) => news.title(),
            _ => headline(&news.short(), 150),
        };
        let title = if notice.test { format!("TEST: {title}") } else { title };
        let mut lines = self.chat_lines(notice, &news)?;
        let mut facts = news.facts();
        if let About::Digest(digest) = &about
            && let [day] = digest.days.as_slice()
        {
            facts = report::day_facts(&news, day);
        }
        if let [parcel] = news.parcels() {
            facts.extend(news.parcel_facts(parcel));
        }
        lines.retain(|line| !line.is_empty());
        Ok(brief::chat(&speaker, title, lines, facts, news.button()))
    }

    /// The lines of a chat message: of the shop's own template where there is one.
    fn chat_lines(&self, notice: &Notice<'_>, news: &News<'_>) -> Result<Vec<String>, ComposeError> {
        let own = own_template(notice, news.about);
        let file = self.template(own, news.about.name(), "notice", "chat/", ".txt.j2")?;
        if self.env.get_template(&file).is_ok() {
            let view = Value::from(news.view(content::Chat::LINES, "", &WayOut::default()));
            let text = layout::finish(&self.render(&file, &view, 64 * 1024)?);
            return Ok(text.lines().map(str::to_owned).collect());
        }
        let mut lines: Vec<String> = news.remarks().into_iter().filter(|(kind, _)| kind == "late").map(|(_, text)| text).collect();
        lines.extend(news.text().lines().map(str::to_owned));
        for item in news.items() {
            let progress = news.progress(item).join(", ");
            let said = [news.quantity(item), item.text.clone()].into_iter().filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" × ");
            lines.push(if progress.is_empty() { said } else { format!("{said} ({progress})") });
        }
        if news.parcels().len() > 1 {
            let said = |(parcel, n): (&Parcel, usize)| {
                let facts = news.parcel_facts(parcel).into_iter().map(|(_, value)| value).collect::<Vec<_>>().join(", ");
                format!("{}: {facts}", news.say("order.parcel", &[("n", &n.to_string())]))
            };
            lines.extend(news.parcels().iter().zip(1..).map(said));
        }
        match news.about {
            About::Digest(digest) => match digest.days.as_slice() {
                [day] => lines.extend(report::day_lists(news, day).into_iter().flat_map(|(name, lines)| [vec![name], lines].concat())),
                days => lines.extend(days.iter().map(|day| report::day_line(news, day))),
            },
            About::Alert(alert) => match alert.incidents.as_slice() {
                [one] => lines.extend(report::incident_details(news, one)),
                many => lines.extend(many.iter().map(|i| {
                    let since = report::incident_details(news, i).into_iter().next().unwrap_or_default();
                    format!("{}, {since}", report::incident_text(news, i))
                })),
            },
            _ => {}
        }
        Ok(lines)
    }

    /// A notice as a notification: the shop, one sentence, a link.
    pub fn notice_push(&self, notice: &Notice<'_>) -> Result<content::Push, ComposeError> {
        let (about, speaker) = (not_secret(notice)?, self.notice_speaker(notice));
        let news = News::new(notice, &about, &speaker);
        let title = if about.name() == "offer" { news.title() } else { news.store_name() };
        Ok(brief::push(&title, &news.short(), news.button().map(|(_, url)| url), notice.test))
    }

    /// A notice by WhatsApp. The template is the route's own, else named like the built-in one.
    pub fn notice_whatsapp(&self, notice: &Notice<'_>) -> Result<content::Whatsapp, ComposeError> {
        let (about, speaker) = (not_secret(notice)?, self.notice_speaker(notice));
        let news = News::new(notice, &about, &speaker);
        let total = match &about {
            About::Order(order) => order.total,
            About::Return(back) => back.refund,
            _ => None,
        };
        let total = total.map_or_else(String::new, |m| news.locale.money(m));
        let link = news.button().map(|(_, url)| url).unwrap_or_default();
        let template = notice.template.unwrap_or(about.name());
        Ok(brief::whatsapp(template, &speaker, &[&news.store_name(), &news.short(), &total], &link, notice.test))
    }

    /// A notice as data for another system. `allow` names what may leave of the customer: see [`data`].
    pub fn notice_data(&self, notice: &Notice<'_>, id: &str, allow: &[String]) -> Result<content::Data, ComposeError> {
        not_secret(notice)?;
        let link = notice.link.and_then(facts::safe);
        let given = data::Given {
            event: notice.event,
            at: notice.at,
            id,
            subject: notice.subject,
            data: notice.data,
            link: link.as_deref(),
            allow,
        };
        Ok(data::compose(&given))
    }

    fn notice_speaker(&self, notice: &Notice<'_>) -> crate::compose::i18n::Speaker {
        self.speaker(notice.language, notice.default_language, notice.shop)
    }
}

/// What it is about, where that may be seen by others than its person.
fn not_secret(notice: &Notice<'_>) -> Result<About, ComposeError> {
    match notice.about()? {
        About::PasswordReset(_) => Err(ComposeError::Unfit("a link that sets a password goes by mail or text message only")),
        about => Ok(about),
    }
}

/// The route's template; else the offer's own.
fn own_template<'a>(notice: &Notice<'a>, about: &'a About) -> Option<&'a str> {
    match about {
        About::Offer(offer) => notice.template.or(Some(offer.template.as_str()).filter(|name| !name.is_empty())),
        _ => notice.template,
    }
}

/// How the reader gets rid of it: the page, and a mail to where answers go.
fn way_out(news: &News<'_>, reply_to: &str) -> Result<WayOut, ComposeError> {
    if !news.marketing() {
        return Ok(WayOut::default());
    }
    let of_offer = if let About::Offer(offer) = news.about { offer.unsubscribe.as_str() } else { "" };
    let given = news.notice.unsubscribe.and_then(facts::safe).or_else(|| facts::safe(of_offer)).unwrap_or_default();
    if given.starts_with("mailto:") {
        return Ok(WayOut { url: String::new(), mailto: given });
    }
    let address = reply_to.rsplit_once('<').map_or(reply_to, |(_, address)| address.trim_end_matches('>')).trim();
    let subject = facts::percent(&news.say("footer.unsubscribe_subject", &[]));
    let mailto = facts::safe(&format!("mailto:{address}?subject={subject}")).filter(|_| address.contains('@')).unwrap_or_default();
    let out = WayOut { url: given, mailto };
    if out.link().is_empty() {
        Err(ComposeError::Unfit("advertising needs a way to unsubscribe: a page or an address for answers"))
    } else {
        Ok(out)
    }
}

/// `List-Unsubscribe`, and that one click does it where there is a page (RFC 8058).
fn unsubscribe_headers(out: &WayOut) -> Vec<(String, String)> {
    let ways = [&out.url, &out.mailto].into_iter().filter(|way| !way.is_empty()).map(|way| format!("<{way}>"));
    let mut headers = vec![("List-Unsubscribe".to_owned(), ways.collect::<Vec<_>>().join(", "))];
    if out.url.starts_with("https://") {
        headers.push(("List-Unsubscribe-Post".to_owned(), "List-Unsubscribe=One-Click".to_owned()));
    }
    headers
}
