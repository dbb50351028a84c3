//! From a sale or another event to what people read: the mail, the page, the text message, the card in a
//! chat room, the notification; and to what other systems get.
//!
//! Pure: the sale, the shop and the templates are handed in; this room reads no file, no clock and no
//! config, and draws no randomness, so the same document always becomes the same bytes. Templates and
//! languages are read once. A faulty or hostile template is an error value: it ends by fuel or by the
//! cap on its output. No price leaves it for a gift, no fiscal text is invented or dropped.

mod brief;
pub mod colour;
pub mod data;
mod engine;
mod facts;
pub mod i18n;
pub mod layout;
pub mod locale;
mod news;
mod notice;
#[cfg(test)]
mod notice_tests;
mod report;
pub mod sms;
#[cfg(test)]
mod tests;
mod view;
pub mod viewer;
mod way;

pub use notice::Notice;
pub use way::Way;

use crate::domain::content;
use crate::domain::notice::Unreadable;
use crate::domain::sale::Sale;
use crate::domain::shop::{Brand, Shop};
use crate::domain::text::one_line;
use crate::domain::time::UnixMs;
use i18n::{Language, Speaker};
use minijinja::Environment;
use minijinja::value::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use view::Builder;

/// A mail's HTML as it travels stays below this, as mail programs cut longer ones.
pub const MAIL_HTML_MAX: usize = 80 * 1024;
/// Lines that a mail's HTML lists; the text part lists all.
const MAIL_LINES: usize = 60;
/// Lines that a page lists.
const PAGE_LINES: usize = 2_000;
/// Segments that a text message may take.
const SMS_SEGMENTS: usize = 2;

/// One document to be composed: a sale, who sold it, and what is special about this sending.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    /// What was sold.
    pub sale: &'a Sale,
    /// Who sold it.
    pub shop: &'a Shop,
    /// The shop's look and standing texts.
    pub brand: &'a Brand,
    /// The customer's language.
    pub language: Option<&'a str>,
    /// This is a copy, made then.
    pub copy: Option<UnixMs>,
    /// Sent at that time because the shop was offline.
    pub late: Option<UnixMs>,
    /// Where the receipt can be seen.
    pub link: Option<&'a str>,
    /// No real purchase.
    pub test: bool,
    /// The customer agreed to advertising on this channel: the brand's promotions may show.
    pub promo: bool,
    /// It takes the place of the receipt of this number.
    pub corrects: Option<&'a str>,
    /// A template of the shop's own by its name, e.g. `thanks` for `thanks.html.j2`.
    pub template: Option<&'a str>,
    /// The shop's language.
    pub default_language: Option<&'a str>,
}

impl<'a> Document<'a> {
    /// A plain first sending.
    pub fn new(sale: &'a Sale, shop: &'a Shop, brand: &'a Brand) -> Self {
        Document {
            sale,
            shop,
            brand,
            language: None,
            copy: None,
            late: None,
            link: None,
            test: false,
            promo: false,
            corrects: None,
            template: None,
            default_language: None,
        }
    }
}

impl Document<'_> {
    /// Whether mail and page carry the offers: only with consent, never on a gift, in a test or on a
    /// correction. A text message never does.
    pub fn shows_promo(&self) -> bool {
        self.promo && !self.sale.gift && !self.test && self.corrects.is_none()
    }

    /// Whether mail and page tell the points of this sale.
    pub fn shows_points(&self) -> bool {
        self.sale.loyalty.is_some() && !self.sale.gift
    }
}

/// What is wrong with a template or a language file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}{}: {message}", .line.map(|l| format!(", line {l}")).unwrap_or_default())]
pub struct TemplateFault {
    /// The file.
    pub name: String,
    /// Where in it, where that is known.
    pub line: Option<usize>,
    /// What, in words.
    pub message: String,
}

/// Why a document could not be composed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComposeError {
    /// A template failed on this document.
    #[error("template {0}")]
    Template(TemplateFault),
    /// Even the shortest text message takes more than two segments.
    #[error("the text message takes {segments} segments at its shortest; two are the most")]
    TooLong {
        /// What it takes.
        segments: usize,
    },
    /// The data of the event lacks what the message is about.
    #[error(transparent)]
    Data(#[from] Unreadable),
    /// The route names a template that there is no file of.
    #[error("there is no template `{0}`")]
    NoTemplate(String),
    /// Such a message does not go that way.
    #[error("{0}")]
    Unfit(&'static str),
}

/// Composes documents. Holds every template and language ready; made once and shared.
#[derive(Debug)]
pub struct Composer {
    env: Environment<'static>,
    languages: BTreeMap<String, Arc<Language>>,
    version: String,
}

impl Composer {
    /// Reads the built-in templates and languages and the shop's own files over them, by name:
    /// `receipt.html.j2`, `blocks/items.html.j2`, `lang/de.toml`. Every fault is named.
    pub fn new(overrides: &BTreeMap<String, String>) -> Result<Composer, Vec<TemplateFault>> {
        let mut faults = Vec::new();
        let languages = engine::languages(overrides, &mut faults);
        let env = engine::environment(overrides, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Composer { env, languages, version: engine::version(overrides) })
    }

    /// A short hash over all texts of templates and languages: the same for the same look.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The tags of the languages that there are words for.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.values().map(|l| l.tag.as_str())
    }

    /// A receipt by mail. Without a `reply_to` answers go to the shop's own address.
    pub fn email(&self, doc: &Document<'_>, from: &str, reply_to: &str) -> Result<content::Email, ComposeError> {
        let speaker = self.receipt_speaker(doc);
        let builder = Builder::new(doc, &speaker);
        let subject = self.subject_line(&builder)?;
        let view = |lines: usize| Value::from(builder.view(lines, &subject));
        let (html, text) = self.mail_parts(doc.template, "receipt", "receipt", &view)?;
        Ok(content::Email {
            from: one_line(from, 320),
            reply_to: reply_address(reply_to, doc.shop),
            subject,
            text,
            html,
            headers: vec![AUTO_SUBMITTED.map(str::to_owned).into()],
        })
    }

    /// HTML and text of a mail; the HTML lists fewer lines until it is small enough.
    fn mail_parts(
        &self,
        own: Option<&str>,
        name: &str,
        base: &str,
        view: &dyn Fn(usize) -> Value,
    ) -> Result<(String, String), ComposeError> {
        let template = self.template(own, name, base, "", ".html.j2")?;
        let mut root = view(MAIL_LINES);
        let text = self.render(&self.template(own, name, base, "", ".txt.j2")?, &root, engine::TEXT_MAX)?;
        let mut html = self.render(&template, &root, engine::HTML_MAX)?;
        for lines in [25, 5] {
            if engine::encoded_len(&html) <= MAIL_HTML_MAX {
                break;
            }
            root = view(lines);
            html = self.render(&template, &root, engine::HTML_MAX)?;
        }
        Ok((html, layout::finish(&text)))
    }

    /// The receipt as a page: the look of the mail, with every line.
    pub fn page_html(&self, doc: &Document<'_>) -> Result<String, ComposeError> {
        let speaker = self.receipt_speaker(doc);
        let builder = Builder::new(doc, &speaker);
        let view = builder.view(PAGE_LINES, &self.subject_line(&builder)?);
        self.render(&self.template(doc.template, "receipt", "receipt", "", ".html.j2")?, &Value::from(view), engine::PAGE_MAX)
    }

    /// The receipt as plain text of at most 78 columns, complete.
    pub fn text(&self, doc: &Document<'_>) -> Result<String, ComposeError> {
        let speaker = self.receipt_speaker(doc);
        let view = Builder::new(doc, &speaker).view(0, "");
        let template = self.template(doc.template, "receipt", "receipt", "", ".txt.j2")?;
        Ok(layout::finish(&self.render(&template, &Value::from(view), engine::TEXT_MAX)?))
    }

    /// The subject of the mail: one line.
    pub fn subject(&self, doc: &Document<'_>) -> Result<String, ComposeError> {
        let speaker = self.receipt_speaker(doc);
        self.subject_line(&Builder::new(doc, &speaker))
    }

    fn subject_line(&self, builder: &Builder<'_>) -> Result<String, ComposeError> {
        let template = self.template(builder.doc.template, "receipt", "receipt", "", ".subject.txt.j2")?;
        Ok(one_line(&self.render(&template, &Value::from(builder.subject_view()), 4_096)?, 200))
    }

    /// A receipt as a text message: one segment where it can be, two at most. What is shortened, in
    /// order: the address goes, the shop's name is cut, the items go; total and link always stay.
    pub fn sms(&self, doc: &Document<'_>, from: &str, transliterate: bool) -> Result<content::Sms, ComposeError> {
        let speaker = self.receipt_speaker(doc);
        let builder = Builder::new(doc, &speaker);
        let template = self.template(doc.template, "receipt", "receipt", "sms/", ".txt.j2")?;
        self.shortened(&template, &|step| Value::from(builder.sms_view(step)), from, transliterate)
    }

    /// The first of the ever shorter texts that takes one segment, else the longest that takes two.
    fn shortened(&self, template: &str, view: &dyn Fn(u8) -> Value, from: &str, transliterate: bool) -> Result<content::Sms, ComposeError> {
        let mut least = usize::MAX;
        let mut best = None;
        for step in 0..=4u8 {
            let raw = self.render(template, &view(step), 8_192)?;
            let mut text = sms::replace(&one_line(&raw, 4_000));
            if transliterate {
                text = sms::transliterate(&text);
            }
            let segments = sms::count(&text).segments;
            if segments < least {
                least = segments;
                best = Some(text);
            }
            // The last step gives up number and date: only what would not fit into two goes so far.
            if least <= 1 || (step >= 3 && least <= SMS_SEGMENTS) {
                break;
            }
        }
        match best {
            Some(text) if least <= SMS_SEGMENTS => Ok(content::Sms { from: one_line(from, 40), text }),
            _ => Err(ComposeError::TooLong { segments: least }),
        }
    }

    /// Texts of the language files in the shop's language, with its tag.
    pub fn words<const N: usize>(&self, shop: &Shop, default_language: Option<&str>, keys: [&str; N]) -> (String, [String; N]) {
        let speaker = self.speaker(None, default_language, shop);
        (speaker.tag().to_owned(), keys.map(|key| speaker.say(key, &[])))
    }

    fn receipt_speaker(&self, doc: &Document<'_>) -> Speaker {
        self.speaker(doc.language, doc.default_language, doc.shop)
    }

    /// The customer's language, then the shop's, then English.
    fn speaker(&self, language: Option<&str>, default: Option<&str>, shop: &Shop) -> Speaker {
        let find = |tag: &str| {
            let tag = tag.trim().to_ascii_lowercase().replace('_', "-");
            self.languages.get(&tag).or_else(|| self.languages.get(locale::language_of(&tag))).cloned()
        };
        let shop = default.and_then(find).or_else(|| find(&shop.locale));
        Speaker::new([language.and_then(find), shop, find("en")])
    }

    /// Whether there is a template of that name in any form: what a route may name.
    pub fn has_template(&self, name: &str) -> bool {
        let forms = [("", ".html.j2"), ("", ".txt.j2"), ("", ".subject.txt.j2"), ("sms/", ".txt.j2"), ("chat/", ".txt.j2")];
        forms.iter().any(|(folder, ending)| self.env.get_template(&format!("{folder}{name}{ending}")).is_ok())
    }

    /// The file to render: the route's own, the one of this kind of message, or the one of all.
    fn template(&self, own: Option<&str>, name: &str, base: &str, folder: &str, ending: &str) -> Result<String, ComposeError> {
        let is = |file: &String| self.env.get_template(file).is_ok();
        if let Some(own) = own.filter(|own| !self.has_template(own)) {
            return Err(ComposeError::NoTemplate(one_line(own, 100)));
        }
        let files = [own.unwrap_or(name), name, base].map(|stem| format!("{folder}{stem}{ending}"));
        let found = files.iter().find(|file| is(file)).cloned();
        Ok(found.unwrap_or_else(|| format!("{folder}{base}{ending}")))
    }

    fn render(&self, name: &str, root: &Value, cap: usize) -> Result<String, ComposeError> {
        engine::render(&self.env, name, root, cap).map_err(ComposeError::Template)
    }
}

const AUTO_SUBMITTED: [&str; 2] = ["Auto-Submitted", "auto-generated"];

/// Where answers go: as configured, else to the shop.
fn reply_address(given: &str, shop: &Shop) -> String {
    let either = [given, &shop.email].into_iter().find(|a| !a.trim().is_empty());
    one_line(either.unwrap_or(""), 320)
}
