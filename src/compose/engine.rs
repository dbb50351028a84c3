//! The template engine in its fence: strict, fuelled, capped, escaping by name.
//!
//! Pure: texts are handed in or compiled in. No template reads a file, and none can run on for ever.

use crate::compose::TemplateFault;
use crate::compose::i18n::Language;
use crate::compose::layout;
use crate::compose::locale;
use crate::compose::view::Format;
use crate::domain::money::Money;
use crate::domain::time::UnixMs;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, escape_formatter};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

/// Bounds time and memory of one rendering; a receipt of 20,000 lines takes a quarter.
const FUEL: u64 = 2_000_000;
/// Includes, macros and loops inside each other.
const RECURSION: usize = 100;
/// The most that a mail's HTML may be before it is shortened.
pub const HTML_MAX: usize = 512 * 1024;
/// The most that a page may be.
pub const PAGE_MAX: usize = 4 * 1024 * 1024;
/// The most that a text may be.
pub const TEXT_MAX: usize = 6 * 1024 * 1024;

macro_rules! built_in {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../../config/templates/", $name)))),+] };
}

/// Every built-in template by its name.
pub const TEMPLATES: &[(&str, &str)] = built_in![
    "base.html.j2",
    "base.txt.j2",
    "receipt.html.j2",
    "receipt.txt.j2",
    "receipt.subject.txt.j2",
    "notice.html.j2",
    "notice.txt.j2",
    "notice.subject.txt.j2",
    "order_confirmed.html.j2",
    "order_confirmed.txt.j2",
    "order_updated.html.j2",
    "order_updated.txt.j2",
    "order_partial.html.j2",
    "order_partial.txt.j2",
    "order_shipped.html.j2",
    "order_shipped.txt.j2",
    "order_fulfilled.html.j2",
    "order_fulfilled.txt.j2",
    "order_cancelled.html.j2",
    "order_cancelled.txt.j2",
    "return_initiated.html.j2",
    "return_initiated.txt.j2",
    "return_approved.html.j2",
    "return_approved.txt.j2",
    "return_rejected.html.j2",
    "return_rejected.txt.j2",
    "password_reset.html.j2",
    "password_reset.txt.j2",
    "review_request.html.j2",
    "review_request.txt.j2",
    "feedback.html.j2",
    "feedback.txt.j2",
    "staff_event.html.j2",
    "staff_event.txt.j2",
    "digest.html.j2",
    "digest.txt.j2",
    "alert.html.j2",
    "alert.txt.j2",
    "offer.html.j2",
    "offer.txt.j2",
    "sms/receipt.txt.j2",
    "sms/notice.txt.j2",
    "blocks/style.html.j2",
    "blocks/media.html.j2",
    "blocks/header.html.j2",
    "blocks/header.txt.j2",
    "blocks/items.html.j2",
    "blocks/items.txt.j2",
    "blocks/taxes.html.j2",
    "blocks/taxes.txt.j2",
    "blocks/tenders.html.j2",
    "blocks/tenders.txt.j2",
    "blocks/loyalty.html.j2",
    "blocks/loyalty.txt.j2",
    "blocks/promo.html.j2",
    "blocks/promo.txt.j2",
    "blocks/returns.html.j2",
    "blocks/returns.txt.j2",
    "blocks/fiscal.html.j2",
    "blocks/fiscal.txt.j2",
    "blocks/footer.html.j2",
    "blocks/footer.txt.j2",
    "blocks/notice.html.j2",
    "blocks/notice.txt.j2",
    "blocks/incidents.html.j2",
    "blocks/incidents.txt.j2",
    "blocks/days.html.j2",
    "blocks/days.txt.j2",
    "blocks/parcels.html.j2",
    "blocks/parcels.txt.j2",
    "blocks/goods.html.j2",
    "blocks/goods.txt.j2",
    "blocks/notice_more.html.j2",
    "blocks/notice_more.txt.j2",
    "blocks/notice_footer.html.j2",
    "blocks/notice_footer.txt.j2",
];

/// Every built-in language by its tag.
pub const LANGUAGES: &[(&str, &str)] = &[
    ("de", include_str!("../../config/languages/de.toml")),
    ("en", include_str!("../../config/languages/en.toml")),
    ("es", include_str!("../../config/languages/es.toml")),
    ("fr", include_str!("../../config/languages/fr.toml")),
];

/// The built-in languages with the shop's own over them.
pub fn languages(overrides: &BTreeMap<String, String>, faults: &mut Vec<TemplateFault>) -> BTreeMap<String, Arc<Language>> {
    let mut all: BTreeMap<String, Language> = BTreeMap::new();
    let own = overrides.iter().filter_map(|(name, text)| {
        let tag = name.strip_prefix("lang/")?.strip_suffix(".toml")?;
        Some((name.as_str(), tag, text.as_str()))
    });
    let built_in = LANGUAGES.iter().map(|(tag, text)| ("built-in language", *tag, *text));
    for (name, tag, text) in built_in.chain(own) {
        match Language::parse(tag, text) {
            Ok(language) => match all.get_mut(&tag.to_ascii_lowercase()) {
                Some(before) => before.extend(language),
                None => {
                    all.insert(tag.to_ascii_lowercase(), language);
                }
            },
            Err(message) => faults.push(TemplateFault { name: name.to_owned(), line: None, message }),
        }
    }
    all.into_iter().map(|(tag, language)| (tag, Arc::new(language))).collect()
}

/// The environment with every template, the shop's own over the built-in ones.
pub fn environment(overrides: &BTreeMap<String, String>, faults: &mut Vec<TemplateFault>) -> Environment<'static> {
    let mut env = Environment::new();
    env.set_undefined_behavior(UndefinedBehavior::Strict);
    env.set_fuel(Some(FUEL));
    env.set_recursion_limit(RECURSION);
    env.set_auto_escape_callback(escape_by_name);
    env.set_formatter(write_value);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        env.set_syntax(syntax);
    }
    add_words(&mut env);
    for (name, text) in TEMPLATES.iter().filter(|(name, _)| !overrides.contains_key(*name)) {
        if let Err(error) = env.add_template(name, text) {
            faults.push(fault(name, &error));
        }
    }
    for (name, text) in overrides {
        if name.ends_with(".j2") {
            if let Err(error) = env.add_template_owned(name.clone(), text.clone()) {
                faults.push(fault(name, &error));
            }
        } else if !(name.starts_with("lang/") && name.ends_with(".toml")) {
            let message = "is neither a template (`.j2`) nor a language (`lang/xx.toml`)".to_owned();
            faults.push(TemplateFault { name: name.clone(), line: None, message });
        }
    }
    env
}

fn escape_by_name(name: &str) -> AutoEscape {
    if name.ends_with(".html.j2") {
        AutoEscape::Html
    } else if name.ends_with(".json.j2") {
        AutoEscape::Json
    } else {
        AutoEscape::None
    }
}

/// Writes a value as its template escapes it. In HTML a slash stays as it is, so that links can be read
/// and followed by plain tools.
fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let text = match (state.auto_escape(), value.as_str()) {
        (AutoEscape::Html, Some(text)) if !value.is_safe() => text,
        _ => return escape_formatter(out, state, value),
    };
    let mut rest = text;
    while let Some((plain, after)) = rest.find(['&', '<', '>', '"', '\'']).and_then(|at| rest.split_at_checked(at)) {
        let mut chars = after.chars();
        let entity = match chars.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            _ => "&#39;",
        };
        out.write_str(plain)?;
        out.write_str(entity)?;
        rest = chars.as_str();
    }
    out.write_str(rest)?;
    Ok(())
}

/// A hash over the names and texts in use, shortened.
pub fn version(overrides: &BTreeMap<String, String>) -> String {
    let built_in = TEMPLATES.iter().map(|(n, t)| ((*n).to_owned(), *t));
    let built_in = built_in.chain(LANGUAGES.iter().map(|(n, t)| (format!("built-in/{n}"), *t)));
    let mut all: BTreeMap<String, &str> = built_in.collect();
    all.extend(overrides.iter().map(|(n, t)| (n.clone(), t.as_str())));
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for (name, text) in &all {
        for part in [name.as_str(), text] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
    }
    let digest = context.finish();
    digest.as_ref().iter().take(6).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Renders one template; ends with a fault as soon as there is more than `cap` bytes.
pub fn render(env: &Environment<'static>, name: &str, root: &Value, cap: usize) -> Result<String, TemplateFault> {
    let template = env.get_template(name).map_err(|e| fault(name, &e))?;
    let mut out = Capped { bytes: Vec::with_capacity(16 * 1024.min(cap)), cap, over: false };
    let result = template.render_captured_to(root.clone(), &mut out).map(|_| ());
    if out.over {
        return Err(TemplateFault { name: name.to_owned(), line: None, message: format!("makes more than {cap} bytes") });
    }
    result.map_err(|e| fault(name, &e))?;
    String::from_utf8(out.bytes).map_err(|_| TemplateFault { name: name.to_owned(), line: None, message: "made no text".to_owned() })
}

/// Collects up to its cap, then refuses.
struct Capped {
    bytes: Vec<u8>,
    cap: usize,
    over: bool,
}

impl io::Write for Capped {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.bytes.len().saturating_add(part.len()) > self.cap {
            self.over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What went wrong, at the innermost template that says so.
fn fault(name: &str, error: &Error) -> TemplateFault {
    let mut error = error;
    while let Some(inner) = std::error::Error::source(error).and_then(|e| e.downcast_ref::<Error>()) {
        error = inner;
    }
    let message = match error.kind() {
        ErrorKind::OutOfFuel => "runs too long".to_owned(),
        kind => match error.detail() {
            Some(detail) => format!("{kind}: {detail}"),
            None => kind.to_string(),
        },
    };
    TemplateFault { name: error.name().unwrap_or(name).to_owned(), line: error.line(), message }
}

/// Bytes of a text in a mail, at the worst of the usual encodings.
pub fn encoded_len(text: &str) -> usize {
    // Quoted-printable: three bytes for one that is not plain, and a soft break in 75.
    let odd = text.bytes().filter(|b| !b.is_ascii() || *b == b'=').count();
    let quoted = text.len() + 2 * odd;
    quoted + quoted / 25
}

fn add_words(env: &mut Environment<'static>) {
    env.add_filter("money", money);
    env.add_filter("qty", |state: &State, text: &str| format(state, |f| f.locale.quantity(text)));
    env.add_filter("date", |state: &State, text: &str| moment(state, text, |f, at| f.locale.date(at.date())));
    env.add_filter("time", |state: &State, text: &str| moment(state, text, |f, at| f.locale.time(at.time())));
    env.add_function("row", |left: &str, right: Option<&str>, indent: Option<usize>| {
        layout::row(left, right.unwrap_or(""), indent.unwrap_or(0).min(20), layout::WIDTH)
    });
    env.add_function("wrap", |text: &str, indent: Option<usize>| {
        let lines: Vec<String> = text.lines().map(|line| layout::row(line, "", indent.unwrap_or(0).min(20), layout::WIDTH)).collect();
        lines.join("\n")
    });
    env.add_function("rule", || "-".repeat(layout::WIDTH));
    env.add_function("columns", |cells: Vec<String>, widths: Vec<usize>| {
        let widths: Vec<usize> = widths.into_iter().map(|w| w.min(layout::WIDEST)).collect();
        layout::columns(&cells, &widths)
    });
}

fn format<T>(state: &State, say: impl FnOnce(&Format) -> T) -> Result<T, Error> {
    let value = state.lookup("_format");
    match value.as_ref().and_then(|v| v.downcast_object_ref::<Format>()) {
        Some(format) => Ok(say(format)),
        None => Err(Error::new(ErrorKind::InvalidOperation, "this filter works only on receipts")),
    }
}

fn money(state: &State, minor: i64) -> Result<String, Error> {
    format(state, |f| f.locale.money(Money { minor, ..f.money }))
}

fn moment(state: &State, text: &str, say: impl FnOnce(&Format, jiff::civil::DateTime) -> String) -> Result<String, Error> {
    let at =
        UnixMs::parse_rfc3339(text).ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "is no time like 2026-10-03T18:07:44+02:00"))?;
    format(state, |f| say(f, locale::local(at, text, &f.timezone)))
}
