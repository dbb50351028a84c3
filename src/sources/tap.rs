//! What both taps share: settings, the copy to the side, and what a print means.
//!
//! Printing comes first. A tap passes every byte on, both ways, unchanged and in order, and only then hands a
//! copy to the [side]; where the side has no room the copy is dropped and the print marked, never the
//! print delayed. Nothing here answers a till or speaks to a printer by itself.

pub mod live;
pub mod port;
pub mod side;

use crate::config::checked::{IpNet, Setting, Settings as Given, Source};
use crate::config::key::{Shape, default, optional};
use crate::config::{Key, build};
use crate::domain::shop::Shop;
use crate::domain::time::UnixMs;
use crate::printer::fields::{self, Reading};
use crate::printer::kind::Kind;
use crate::printer::profile::Profile;
use crate::printer::{self, Decoder, Dialect, Job, Multibyte, Rule, Settings, Table, paint, report, sale};
use crate::sources::Setup;
use crate::sources::mask::mask;
use crate::sys::supervisor::Stop;
use regex_lite::Regex;
use serde_json::Value;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// How long an open print may hold up a planned stop.
pub const FINISH: Duration = Duration::from_secs(60);
/// Silence from the till after which nothing is under way, where no print is open.
const QUIET: Duration = Duration::from_millis(1500);

/// What a stream cannot say about itself, in the words of the printer.
pub const LANGUAGE: Key =
    default("language", Shape::Word(&["auto", "escpos", "star"]), "\"auto\"", "The printer's language; found out where it says auto.");
/// See [`LANGUAGE`].
pub const PROFILES: Key = optional("profiles", Shape::List(&Shape::Path), "Files with rules that find total, number and time on a print.");
/// See [`LANGUAGE`].
pub const CODEPAGE_TABLE: Key = default(
    "codepage_table",
    Shape::Word(&[
        "epson", "citizen", "fujitsu", "bixolon", "xprinter", "pos-5890", "zijang", "pos-8360", "youku", "mpt", "hp", "sunmi", "star",
    ]),
    "\"epson\"",
    "Whose numbers of code pages the printer knows.",
);
/// See [`LANGUAGE`].
pub const MULTIBYTE: Key = optional(
    "multibyte",
    Shape::Word(&["shift_jis", "gb18030", "big5", "euc-kr"]),
    "The code of two-byte text, which a stream cannot name.",
);
/// See [`LANGUAGE`].
pub const DEFAULT_ENCODING: Key = default(
    "default_encoding",
    Shape::Word(&["auto", "utf-8", "codepage"]),
    "\"auto\"",
    "Text that names no code page: UTF-8 where it can be nothing else (auto), always, or never.",
);
/// See [`LANGUAGE`].
pub const CR_IS_NEWLINE: Key = default("cr_is_newline", Shape::Bool, "false", "A carriage return alone ends a line on this printer.");
/// What ends a print.
pub const BOUNDARY: Key = default(
    "boundary",
    Shape::Word(&["auto", "cut", "idle"]),
    "\"auto\"",
    "What ends a receipt: the cut, silence, or silence until the first cut was seen (auto).",
);
/// See [`BOUNDARY`].
pub const IDLE: Key = default("idle", Shape::Duration, "\"3 s\"", "Silence that ends a receipt of a till that never cuts.");
/// See [`BOUNDARY`].
pub const IDLE_HARD: Key = default("idle_hard", Shape::Duration, "\"120 s\"", "Silence that ends a receipt whatever stands open.");
/// What is no card.
pub const NEVER_MASK: Key =
    optional("never_mask", Shape::List(&Shape::Text), "Patterns of numbers that look like card numbers and are none.");

/// One tap as used.
pub struct Tap {
    /// Its name in the config.
    pub name: String,
    /// How its stream is read.
    pub settings: Settings,
    /// The store's own rules.
    pub profiles: Vec<Profile>,
    /// The built-in ones.
    pub built_in: Vec<Profile>,
    never_mask: Vec<Regex>,
    shop: Shop,
}

impl Tap {
    /// The settings of `[sources.NAME]` with its rules, see [`profiles`].
    ///
    /// # Errors
    /// A sentence for the config check.
    pub fn new(name: &str, source: &Source, shop: &Shop, profiles: Vec<Profile>) -> Result<Tap, String> {
        let own = &source.settings;
        let pattern = |re: &String| Regex::new(re).map_err(|why| format!("never_mask {re:?}: {why}"));
        let never_mask = texts(own, "never_mask").iter().map(pattern).collect::<Result<_, _>>()?;
        let given = Settings::default();
        let settings = Settings {
            language: match own.text("language") {
                "escpos" => Some(Dialect::EscPos),
                "star" => Some(Dialect::Star),
                _ => None,
            },
            multibyte: Multibyte::from_word(own.text("multibyte")),
            codepages: Table::from_word(own.text("codepage_table")).unwrap_or_default(),
            utf8: match own.text("default_encoding") {
                "utf-8" => Some(true),
                "codepage" => Some(false),
                _ => None,
            },
            cr_is_newline: own.flag("cr_is_newline"),
            boundary: match own.text("boundary") {
                "cut" => Rule::Cut,
                "idle" => Rule::Idle,
                _ => Rule::Auto,
            },
            idle: build::duration(own, "idle").unwrap_or(given.idle),
            idle_hard: build::duration(own, "idle_hard").unwrap_or(given.idle_hard),
        };
        Ok(Tap { name: name.to_owned(), settings, profiles, built_in: Profile::built_in(), never_mask, shop: shop.clone() })
    }

    /// What a print means. Card numbers go first, out of the page and out of the bytes.
    pub fn read(&self, captured: Captured) -> Print {
        let Captured { mut job, mut bytes, whole, began } = captured;
        let hide = |text: &str| self.mask(text);
        let mut masked = printer::mask::page(&mut job.page, &hide);
        masked |= printer::mask::stream(&mut bytes, job.dialect, &hide);
        let reading = fields::read(&job, &self.profiles, &self.built_in, &self.fields_shop());
        let report = report::json(&job, &reading);
        let sale = self.sale(&job, &reading);
        Print { kind: reading.kind, began, bytes, whole, masked, report, sale }
    }

    /// The paper of kept bytes as a PNG. `None` where nothing was printed.
    pub fn picture(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let jobs = printer::decode(bytes, self.settings.clone());
        jobs.first().map(|job| paint::png(&job.page, paint::WIDE))
    }

    fn sale(&self, job: &Job, reading: &Reading) -> Result<Value, String> {
        let place = sale::Place {
            unit_id: self.shop.id.clone(),
            unit_name: self.shop.name.clone(),
            till: self.name.clone(),
            country: self.shop.country.clone(),
            purchase: String::new(),
        };
        sale::sale(job, reading, &place).map_err(|why| why.to_string())
    }

    fn fields_shop(&self) -> fields::Shop {
        let Shop { country, currency, timezone, .. } = &self.shop;
        fields::Shop { country: country.clone(), currency: currency.clone(), timezone: timezone.clone() }
    }

    /// Text without card numbers, of the same length; what `never_mask` names stays as it is.
    fn mask(&self, text: &str) -> String {
        let (masked, hits) = mask(text.as_bytes(), false);
        if hits.is_empty() {
            return text.to_owned();
        }
        let mut masked = masked.into_owned();
        if masked.len() == text.len() {
            for found in self.never_mask.iter().flat_map(|re| re.find_iter(text)) {
                if let Some(place) = masked.get_mut(found.range()) {
                    place.copy_from_slice(found.as_str().as_bytes());
                }
            }
        }
        String::from_utf8_lossy(&masked).into_owned()
    }
}

/// A print as it was taken off the stream.
pub struct Captured {
    /// What came out of the printer.
    pub job: Job,
    /// Its bytes; not all of them where `whole` is false.
    pub bytes: Vec<u8>,
    /// No byte of it is missing.
    pub whole: bool,
    /// When its first byte came.
    pub began: UnixMs,
}

/// A print as it is kept.
pub struct Print {
    /// What it is.
    pub kind: Kind,
    /// When its first byte came.
    pub began: UnixMs,
    /// Masked: sent again they print it again.
    pub bytes: Vec<u8>,
    /// No byte of it is missing.
    pub whole: bool,
    /// A card number was taken out.
    pub masked: bool,
    /// Everything that was read, as `tap decode --json` says it.
    pub report: Value,
    /// The canonical sale, or why it is none.
    pub sale: Result<Value, String>,
}

/// Who keeps prints: given by whoever wires, so that a tap knows no store.
pub trait Keep: Send + Sync {
    /// Keeps one; ends when it is kept, or when it cannot be.
    fn keep<'k>(&'k self, tap: &'k Arc<Tap>, captured: Captured) -> Pin<Box<dyn Future<Output = ()> + Send + 'k>>;
}

/// Tells when a wire may stop: what is under way is finished first, in bounded time.
pub struct Finish {
    stop: Stop,
}

impl Finish {
    /// From the supervisor's signal.
    pub fn new(stop: Stop) -> Finish {
        Finish { stop }
    }

    /// Ends as soon as a stop was asked for and no print is under way, a minute after it at the latest.
    pub async fn due(&mut self, side: &side::Watch) {
        self.stop.asked().await;
        let done = async {
            while side.is_open() || side.silence() < QUIET {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let _ = tokio::time::timeout(FINISH, done).await; // a till that never ends is not waited for
    }

    /// Ends as soon as a stop was asked for.
    pub async fn asked(&mut self) {
        self.stop.asked().await;
    }

    /// Whether a stop was asked for.
    pub fn is_asked(&self) -> bool {
        self.stop.is_asked()
    }
}

/// The rule files of a tap, each as text by its path, and what is wrong with those that cannot be used.
pub fn profiles(source: &Source, file: impl Fn(&str) -> Result<String, String>) -> (Vec<Profile>, Vec<String>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for path in texts(&source.settings, "profiles") {
        match file(&path).and_then(|text| Profile::parse(&text)) {
            Ok(profile) => good.push(profile),
            Err(why) => bad.push(format!("profile {path}: {why}")),
        }
    }
    (good, bad)
}

/// What the settings of a tap alone can tell to be wrong.
pub fn check(setup: &Setup<'_>) -> Result<(), String> {
    Tap::new(setup.name, setup.source, setup.shop, Vec::new()).map(drop)
}

/// Addresses by the name of a key.
pub fn nets(source: &Source, key: &str) -> Vec<IpNet> {
    texts(&source.settings, key).iter().filter_map(|text| IpNet::parse(text)).collect()
}

fn texts(from: &Given, key: &str) -> Vec<String> {
    let Some(Setting::List(all)) = from.0.get(key) else { return Vec::new() };
    all.iter().filter_map(|s| if let Setting::Text(text) = s { Some(text.clone()) } else { None }).collect()
}

/// A decoder for the stream of this tap.
pub fn decoder(tap: &Tap) -> Decoder {
    Decoder::new(tap.settings.clone())
}
