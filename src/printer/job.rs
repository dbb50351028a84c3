//! Where a receipt begins and ends in a stream that never stops: cuts, form feeds, silence, the end.
//!
//! [`Decoder`] takes bytes as they come, with the time at which they came, and gives [`Job`]s. Times are
//! read on any one clock that only runs forward. It keeps the page that grows, the one before until its
//! drawer pulse may have come, and a head that waits for its receipt: never more, however long the stream.

use super::charset::{Charset, Multibyte, Table};
use super::lex::{Dialect, Lexer, Sink, Token};
use super::page::{ITEMS_MAX, Page};
use super::press::{Mark, Notes, Press};
use super::{act_escpos, act_star, kind};
use std::ops::Range;
use std::time::Duration;

/// Bytes that are held until the language is known.
const HOLD: usize = 64 * 1024;
/// How far ahead a language must be before it is believed.
const LEAD: i32 = 6;
/// How long a pulse may come behind the cut of its receipt.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a head waits for its receipt.
const CARRY: Duration = Duration::from_secs(12 * 3600);

/// What the stream cannot say about itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The language; `None` = found out.
    pub language: Option<Dialect>,
    /// The two-byte code.
    pub multibyte: Option<Multibyte>,
    /// Which numbers mean which code pages.
    pub codepages: Table,
    /// UTF-8 without being told: yes, no, or where a receipt cannot be anything else.
    pub utf8: Option<bool>,
    /// A carriage return alone ends the line.
    pub cr_is_newline: bool,
    /// What ends a receipt.
    pub boundary: Rule,
    /// Silence that ends a receipt of a till that never cuts.
    pub idle: Duration,
    /// Silence that ends a receipt in any state.
    pub idle_hard: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            language: None,
            multibyte: None,
            codepages: Table::Epson,
            utf8: None,
            cr_is_newline: false,
            boundary: Rule::Auto,
            idle: Duration::from_secs(3),
            idle_hard: Duration::from_secs(120),
        }
    }
}

/// What ends a receipt, besides the long silence and the end of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Cuts, and silence until the first cut was seen.
    Auto,
    /// Cuts alone.
    Cut,
    /// Cuts and silence.
    Idle,
}

/// What ended a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The paper was cut.
    Cut,
    /// The form was fed out.
    FormFeed,
    /// Silence.
    Idle,
    /// The connection or the file ended.
    End,
}

impl Boundary {
    /// `cut`, `formfeed`, `idle`, `end`.
    pub const fn word(self) -> &'static str {
        match self {
            Boundary::Cut => "cut",
            Boundary::FormFeed => "formfeed",
            Boundary::Idle => "idle",
            Boundary::End => "end",
        }
    }
}

/// One print: a receipt, a ticket, a report, or only a pulse for the drawer.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Its bytes in the stream: sent again they print it again.
    pub range: Range<u64>,
    /// What came out.
    pub page: Page,
    /// What was seen on the way.
    pub notes: Notes,
    /// The language.
    pub dialect: Dialect,
    /// What ended it.
    pub boundary: Boundary,
    /// It ended inside a command.
    pub truncated: bool,
    /// Bytes of it never reached the decoder.
    pub lost_bytes: bool,
    /// When its first byte came.
    pub started: Duration,
    /// When its last byte came.
    pub ended: Duration,
}

impl Job {
    /// The text form: the page, then a marker for each pulse and for what ended it.
    pub fn text(&self) -> Vec<String> {
        let mut text = self.page.text();
        for connector in &self.page.drawer {
            text.push(if *connector == 1 { "{drawer}".into() } else { format!("{{drawer {connector}}}") });
        }
        match self.boundary {
            Boundary::Cut => text.push("{cut}".into()),
            Boundary::FormFeed => text.push("{formfeed}".into()),
            Boundary::Idle | Boundary::End => {}
        }
        text
    }

    /// Whether this is no printing at all: hundreds of codes that mean nothing, and hardly a line.
    pub fn is_garbage(&self) -> bool {
        let bytes = self.range.end.saturating_sub(self.range.start);
        self.notes.undefined > 200 * (bytes / 10_240).max(1) && self.notes.line_ends < (bytes / 1_000).max(1)
    }
}

/// Turns a stream into jobs.
#[derive(Debug)]
pub struct Decoder {
    lexer: Option<Lexer>,
    held: Vec<u8>,
    scanned: usize,
    lead: i32,
    splitter: Splitter,
}

impl Decoder {
    /// At the start of a stream.
    pub fn new(settings: Settings) -> Decoder {
        Decoder { lexer: settings.language.map(Lexer::new), held: Vec::new(), scanned: 0, lead: 0, splitter: Splitter::new(settings) }
    }

    /// Takes the next bytes, which came at `at`, and appends the jobs that they end.
    pub fn feed(&mut self, bytes: &[u8], at: Duration, out: &mut Vec<Job>) {
        if bytes.is_empty() {
            return;
        }
        self.splitter.came(at);
        let room = HOLD.saturating_sub(self.held.len()).min(bytes.len());
        let (hold, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        match &mut self.lexer {
            Some(lexer) => lexer.feed(bytes, &mut self.splitter),
            None => {
                self.held.extend_from_slice(hold);
                self.scan();
                if self.held.len() >= HOLD || self.lead.abs() >= LEAD {
                    self.decide();
                }
                if let Some(lexer) = &mut self.lexer {
                    lexer.feed(rest, &mut self.splitter);
                }
            }
        }
        out.append(&mut self.splitter.out);
    }

    /// Looks at the clock: silence may have ended a receipt.
    pub fn tick(&mut self, at: Duration, out: &mut Vec<Job>) {
        let silence = at.saturating_sub(self.splitter.last);
        if !self.held.is_empty() && silence >= SETTLE {
            self.decide();
        }
        let inside = self.lexer.as_ref().is_some_and(Lexer::inside);
        if silence >= self.splitter.settings.idle_hard && inside {
            self.give_up();
            self.splitter.silence(silence, false, true);
        } else {
            self.splitter.silence(silence, inside, false);
        }
        out.append(&mut self.splitter.out);
    }

    /// When the clock must be looked at next, if no byte comes.
    pub fn deadline(&self) -> Option<Duration> {
        let wait = if self.held.is_empty() { self.splitter.wait(self.lexer.as_ref().is_some_and(Lexer::inside))? } else { SETTLE };
        Some(self.splitter.last + wait)
    }

    /// Some bytes did not get here: the copy was dropped, not the print.
    pub fn lost(&mut self) {
        self.decide();
        self.give_up();
        self.splitter.lost = true;
    }

    /// The connection or the file ended. The printer's state stays for the next one.
    pub fn close(&mut self, at: Duration, out: &mut Vec<Job>) {
        if !self.held.is_empty() {
            self.decide();
        }
        let truncated = self.give_up();
        self.splitter.close(at, truncated);
        out.append(&mut self.splitter.out);
    }

    /// Ends what stands open in the lexer.
    fn give_up(&mut self) -> bool {
        self.lexer.as_mut().is_some_and(|lexer| lexer.end(&mut self.splitter))
    }

    /// Counts the marks of both languages in what is new; stops where one leads, so that it does not
    /// matter how the stream was split.
    fn scan(&mut self) {
        let from = self.scanned.saturating_sub(3);
        for (i, window) in self.held.get(from..).unwrap_or_default().windows(4).enumerate() {
            if from + i + 4 <= self.scanned {
                continue;
            }
            self.lead += mark(window);
            if self.lead.abs() >= LEAD {
                break;
            }
        }
        self.scanned = self.held.len();
    }

    fn decide(&mut self) {
        if self.lexer.is_some() {
            return;
        }
        // The shortest cut has no fourth byte after it.
        if let [.., 0x1d, 0x56, 0 | 1 | 48 | 49] = self.held.as_slice() {
            self.lead -= 3;
        }
        let dialect = if self.lead > 0 { Dialect::Star } else { Dialect::EscPos };
        let mut lexer = Lexer::new(dialect);
        self.splitter.dialect = dialect;
        self.splitter.speak(dialect);
        let held = std::mem::take(&mut self.held);
        lexer.feed(&held, &mut self.splitter);
        self.lexer = Some(lexer);
    }
}

/// What four bytes say: above zero for Star, below for ESC/POS.
fn mark(window: &[u8]) -> i32 {
    match window {
        [0x1b, 0x1e, ..] | [0x1b, 0x1d, 0x74 | 0x61 | 0x79, _] | [0x1b, 0x2a, 0x72, 0x41] => 3,
        [0x1d, 0x56, 0 | 1 | 48 | 49 | 65 | 66, _] | [0x1d, 0x28, ..] | [0x1d, 0x76, 0x30, _] => -3,
        [0x1b, 0x61, 0..=2 | 48..=50, _] => -1,
        _ => 0,
    }
}

/// Takes tokens, prints them, and cuts the print into jobs.
#[derive(Debug)]
struct Splitter {
    settings: Settings,
    press: Press,
    dialect: Dialect,
    /// Bytes of the stream so far, and where the print that grows began.
    offset: u64,
    start: u64,
    started: Option<Duration>,
    last: Duration,
    has_cut: bool,
    lost: bool,
    /// The print that was cut last: its pulse may still come.
    pending: Option<Job>,
    /// A head that was printed right after a cut.
    carried: Option<Job>,
    out: Vec<Job>,
}

impl Sink for Splitter {
    fn token(&mut self, token: Token<'_>) {
        self.offset += token.len();
        let mark = match self.dialect {
            Dialect::EscPos => act_escpos::act(&mut self.press, &token),
            Dialect::Star => act_star::act(&mut self.press, &token),
        };
        match mark {
            None if self.pending.is_some() && self.press.printed() => self.settle(),
            None => {}
            Some(Mark::Drawer(connector)) => self.pulse(connector),
            Some(Mark::Cut) => self.cut(Boundary::Cut),
            Some(Mark::FormFeed) => self.cut(Boundary::FormFeed),
        }
    }
}

impl Splitter {
    fn new(settings: Settings) -> Splitter {
        let dialect = settings.language.unwrap_or(Dialect::EscPos);
        let press = press(&settings, dialect);
        Splitter {
            settings,
            press,
            dialect,
            offset: 0,
            start: 0,
            started: None,
            last: Duration::ZERO,
            has_cut: false,
            lost: false,
            pending: None,
            carried: None,
            out: Vec::new(),
        }
    }

    fn speak(&mut self, dialect: Dialect) {
        self.press = press(&self.settings, dialect);
    }

    fn came(&mut self, at: Duration) {
        self.last = self.last.max(at);
        self.started.get_or_insert(self.last);
    }

    fn pulse(&mut self, connector: u8) {
        match &mut self.pending {
            // Directly behind a cut it belongs to the receipt before.
            Some(job) if !self.press.printed() => {
                job.page.drawer.push(connector);
                job.range.end = self.offset;
                self.start = self.offset;
            }
            _ => self.press.drawer(connector),
        }
    }

    fn cut(&mut self, boundary: Boundary) {
        if !self.press.printed() {
            return;
        }
        self.has_cut |= boundary == Boundary::Cut;
        self.settle();
        let job = self.take(boundary, false);
        self.pending = Some(job);
    }

    fn take(&mut self, boundary: Boundary, truncated: bool) -> Job {
        let (page, notes) = self.press.take_page();
        let range = self.start..self.offset;
        self.start = self.offset;
        // What is still to come of the same chunk begins the next one.
        let started = self.started.replace(self.last).unwrap_or(self.last);
        let lost_bytes = std::mem::take(&mut self.lost);
        let mut job = Job { range, page, notes, dialect: self.dialect, boundary, truncated, lost_bytes, started, ended: self.last };
        if let Some(head) = self.carried.take() {
            let fits = head.page.items.len() + job.page.items.len() <= ITEMS_MAX;
            if fits && job.started.saturating_sub(head.ended) <= CARRY {
                job = join(head, job);
            } else {
                self.out.push(head);
            }
        }
        job
    }

    /// Nothing more can belong to the print that was cut.
    fn settle(&mut self) {
        self.out.extend(self.pending.take());
    }

    fn silence(&mut self, silence: Duration, inside: bool, truncated: bool) {
        if silence >= SETTLE {
            self.settle();
        }
        let hard = silence >= self.settings.idle_hard;
        if self.press.printed() {
            if hard {
                let job = self.take(Boundary::Idle, truncated);
                let cuts = self.has_cut || self.settings.boundary == Rule::Cut;
                if cuts && !job.page.lines().any(|line| kind::has_amount(&line.text())) {
                    self.carried = Some(job);
                } else {
                    self.out.push(job);
                }
            } else if silence >= self.settings.idle && self.idle_ends() && !inside && !self.press.line_open() {
                let job = self.take(Boundary::Idle, false);
                self.out.push(job);
            }
        } else if silence >= self.settings.idle && !inside && !self.press.pulses().is_empty() {
            let job = self.take(Boundary::Idle, false);
            self.out.push(job);
        }
        if silence >= SETTLE && !self.press.printed() && !inside {
            self.started = None;
        }
    }

    /// How long silence must last until something happens.
    fn wait(&self, inside: bool) -> Option<Duration> {
        if self.pending.is_some() {
            return Some(SETTLE);
        }
        let soon = !inside && !self.press.line_open();
        match self.press.printed() {
            true if soon && self.idle_ends() => Some(self.settings.idle),
            true => Some(self.settings.idle_hard),
            false if inside => Some(self.settings.idle_hard),
            false => (!self.press.pulses().is_empty()).then_some(self.settings.idle),
        }
    }

    /// Whether silence ends a receipt of this till. One that cuts prints its lines as they are scanned.
    fn idle_ends(&self) -> bool {
        match self.settings.boundary {
            Rule::Auto => !self.has_cut,
            Rule::Cut => false,
            Rule::Idle => true,
        }
    }

    fn close(&mut self, at: Duration, truncated: bool) {
        self.last = self.last.max(at);
        if self.press.printed() || !self.press.pulses().is_empty() {
            self.settle();
            let job = self.take(Boundary::End, truncated);
            self.out.push(job);
        } else if let Some(job) = &mut self.pending {
            let (_, notes) = self.press.take_page();
            add(&mut job.notes, notes);
            job.range.end = self.offset;
            self.start = self.offset;
            self.settle();
        }
        self.out.extend(self.carried.take());
        self.started = None;
    }
}

fn press(settings: &Settings, dialect: Dialect) -> Press {
    let numbers = if dialect == Dialect::Star { Table::Star } else { settings.codepages };
    let charset = Charset::new(numbers, settings.multibyte, settings.utf8 == Some(true));
    Press::new(charset, settings.cr_is_newline, settings.utf8.is_none())
}

fn add(notes: &mut Notes, more: Notes) {
    notes.host_requests.extend(more.host_requests);
    notes.unknown.extend(more.unknown);
    notes.undefined += more.undefined;
    notes.line_ends += more.line_ends;
    notes.unknown_codepage |= more.unknown_codepage;
}

/// A head and its receipt.
fn join(head: Job, job: Job) -> Job {
    let mut page = head.page;
    page.items.extend(job.page.items);
    page.drawer.extend(job.page.drawer);
    page.cut_short |= job.page.cut_short;
    let mut notes = head.notes;
    add(&mut notes, job.notes);
    Job { range: head.range.start..job.range.end, page, notes, started: head.started, lost_bytes: head.lost_bytes | job.lost_bytes, ..job }
}

/// Every job of a stream that is there as a whole, such as a file.
pub fn decode(bytes: &[u8], settings: Settings) -> Vec<Job> {
    let mut decoder = Decoder::new(settings);
    let mut jobs = Vec::new();
    decoder.feed(bytes, Duration::ZERO, &mut jobs);
    decoder.close(Duration::ZERO, &mut jobs);
    jobs
}
