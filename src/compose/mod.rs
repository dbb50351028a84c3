//! From a sale to what a customer reads: the mail, the page, the text message.
//!
//! Pure: the sale, the shop and the templates are handed in; this room reads no file, no clock and no
//! config, and draws no randomness, so the same document always becomes the same bytes. Templates and
//! languages are read once. A faulty or hostile template is an error value: it ends by fuel or by the
//! cap on its output. No price leaves it for a gift, no fiscal text is invented or dropped.

pub mod colour;
mod engine;
mod facts;
pub mod i18n;
pub mod layout;
pub mod locale;
pub mod sms;
#[cfg(test)]
mod tests;
mod view;

use crate::domain::content;
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
    /// The customer agreed to advertising.
    pub promo: bool,
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
            default_language: None,
        }
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
        let speaker = self.speaker(doc);
        let builder = Builder::new(doc, &speaker);
        let subject = self.subject_line(&builder)?;
        let mut root = Value::from(builder.view(MAIL_LINES, &subject));
        let text = layout::finish(&self.render("receipt.txt.j2", &root, engine::TEXT_MAX)?);
        let mut html = self.render("receipt.html.j2", &root, engine::HTML_MAX)?;
        for lines in [25, 5] {
            if engine::encoded_len(&html) <= MAIL_HTML_MAX {
                break;
            }
            root = Value::from(builder.view(lines, &subject));
            html = self.render("receipt.html.j2", &root, engine::HTML_MAX)?;
        }
        let reply_to = [reply_to, &doc.shop.email].into_iter().find(|a| !a.trim().is_empty()).unwrap_or("");
        Ok(content::Email {
            from: one_line(from, 320),
            reply_to: one_line(reply_to, 320),
            subject,
            text,
            html,
            headers: vec![("Auto-Submitted".to_owned(), "auto-generated".to_owned())],
        })
    }

    /// The receipt as a page: the look of the mail, with every line.
    pub fn page_html(&self, doc: &Document<'_>) -> Result<String, ComposeError> {
        let speaker = self.speaker(doc);
        let builder = Builder::new(doc, &speaker);
        let view = builder.view(PAGE_LINES, &self.subject_line(&builder)?);
        self.render("receipt.html.j2", &Value::from(view), engine::PAGE_MAX)
    }

    /// The receipt as plain text of at most 78 columns, complete.
    pub fn text(&self, doc: &Document<'_>) -> Result<String, ComposeError> {
        let speaker = self.speaker(doc);
        let view = Builder::new(doc, &speaker).view(0, "");
        Ok(layout::finish(&self.render("receipt.txt.j2", &Value::from(view), engine::TEXT_MAX)?))
    }

    /// The subject of the mail: one line.
    pub fn subject(&self, doc: &Document<'_>) -> Result<String, ComposeError> {
        let speaker = self.speaker(doc);
        self.subject_line(&Builder::new(doc, &speaker))
    }

    fn subject_line(&self, builder: &Builder<'_>) -> Result<String, ComposeError> {
        let view = builder.subject_view();
        Ok(one_line(&self.render("receipt.subject.txt.j2", &Value::from(view), 4_096)?, 200))
    }

    /// A receipt as a text message: one segment where it can be, two at most. What is shortened, in
    /// order: the address goes, the shop's name is cut, the items go; total and link always stay.
    pub fn sms(&self, doc: &Document<'_>, from: &str, transliterate: bool) -> Result<content::Sms, ComposeError> {
        let speaker = self.speaker(doc);
        let builder = Builder::new(doc, &speaker);
        let mut least = usize::MAX;
        let mut best = None;
        for step in 0..=4u8 {
            let raw = self.render("sms/receipt.txt.j2", &Value::from(builder.sms_view(step)), 8_192)?;
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

    /// The customer's language, then the shop's, then English.
    fn speaker(&self, doc: &Document<'_>) -> Speaker {
        let find = |tag: &str| {
            let tag = tag.trim().to_ascii_lowercase().replace('_', "-");
            self.languages.get(&tag).or_else(|| self.languages.get(locale::language_of(&tag))).cloned()
        };
        let shop = doc.default_language.and_then(find).or_else(|| find(&doc.shop.locale));
        Speaker::new([doc.language.and_then(find), shop, find("en")])
    }

    fn render(&self, name: &str, root: &Value, cap: usize) -> Result<String, ComposeError> {
        engine::render(&self.env, name, root, cap).map_err(ComposeError::Template)
    }
}
