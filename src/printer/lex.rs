//! Cuts the byte stream of a printer into text, control bytes and whole commands.
//!
//! A command takes exactly the bytes that its language gives it, whatever they look like, so that no data is
//! ever read as text. State is kept between calls: however the stream is split, the tokens are the same,
//! except that a run of text may come in several pieces. Never fails, never keeps more than [`KEEP`] bytes
//! of one command, and looks at each byte a bounded number of times.

use super::{escpos, star};

/// Bytes of one command that are kept; beyond, they are only counted.
pub const KEEP: usize = 4 * 1024 * 1024;

/// Bytes that a command without a length may run without meeting its end.
const UNENDING: u64 = 4096;

/// The language of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Epson's ESC/POS and its followers.
    EscPos,
    /// Star Line Mode, StarPRNT and Star Graphic.
    Star,
}

impl Dialect {
    /// `escpos`, `star`.
    pub const fn word(self) -> &'static str {
        match self {
            Dialect::EscPos => "escpos",
            Dialect::Star => "star",
        }
    }
}

/// A piece of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// Bytes 20 to FF: text, or part of it.
    Text(&'a [u8]),
    /// A byte below 20 that means something by itself.
    Control(u8),
    /// A whole command.
    Command(Command<'a>),
    /// Bytes that mean nothing and were dropped.
    Undefined(&'a [u8]),
}

impl Token<'_> {
    /// Bytes of the stream that it stands for.
    pub fn len(&self) -> u64 {
        match self {
            Token::Text(bytes) | Token::Undefined(bytes) => bytes.len() as u64,
            Token::Control(_) => 1,
            Token::Command(command) => command.total,
        }
    }

    /// Never: each token takes at least one byte.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A command with its parameters and data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// All of it, or its first [`KEEP`] bytes.
    pub bytes: &'a [u8],
    /// Its true length.
    pub total: u64,
}

impl<'a> Command<'a> {
    /// The byte at this place; 0 beyond the end.
    pub fn at(&self, i: usize) -> u8 {
        self.bytes.get(i).copied().unwrap_or(0)
    }

    /// The two bytes from this place, low byte first.
    pub fn word(&self, i: usize) -> u16 {
        u16::from_le_bytes([self.at(i), self.at(i + 1)])
    }

    /// What follows from this place.
    pub fn rest(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..).unwrap_or_default()
    }

    /// Whether all of it was kept.
    pub fn whole(&self) -> bool {
        self.bytes.len() as u64 == self.total
    }
}

/// Takes the tokens.
pub trait Sink {
    /// The next one; tokens cover the stream without gap or overlap.
    fn token(&mut self, token: Token<'_>);
}

/// What the first bytes of a command say about the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// One more byte is needed to tell.
    More,
    /// The command has this length. Bytes that were looked at beyond it are read again.
    Total(u64),
    /// It ends with the next byte of this value.
    Through(u8),
    /// It ends with the n-th `;`.
    Fields(u8),
    /// Tab stops: through a 00, or up to the first stop that is not beyond the one before.
    Tabs,
    /// Blocks follow, each with its own length.
    Blocks(Block, u16),
    /// This many bytes mean nothing; the rest is read again.
    Undefined(usize),
}

/// A block that tells its own length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// A character of the user's own: its width, then width × this many bytes.
    Glyph(u8),
    /// A stored picture: width and height in 8 dots, two bytes each, then 8 × both.
    Picture,
    /// A part of a QR code: mode and length, then the data.
    Part,
}

impl Block {
    fn head(self) -> u8 {
        match self {
            Block::Glyph(_) => 1,
            Block::Picture => 4,
            Block::Part => 3,
        }
    }

    fn data(self, head: [u8; 4]) -> u64 {
        let [a, b, c, d] = head;
        let word = |low, high| u64::from(u16::from_le_bytes([low, high]));
        match self {
            Block::Glyph(y) => u64::from(a) * u64::from(y),
            Block::Picture => 8 * word(a, b) * word(c, d),
            Block::Part => word(b, c),
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Between commands.
    Ground,
    /// In the first bytes of a command, while the language still asks for more.
    Head,
    /// So many bytes of data to come.
    Data(u64),
    /// To the next byte of this value, so many bytes at most.
    Through(u8, u64),
    Fields(u8, u64),
    Tabs {
        last: u8,
        count: u8,
    },
    Block {
        block: Block,
        left: u16,
        head: [u8; 4],
        have: u8,
    },
    BlockData {
        block: Block,
        left: u16,
        bytes: u64,
    },
}

/// What the measure of a command depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mode {
    /// Star: rows of dots are commands of their own.
    pub raster: bool,
    /// Bytes of one user-defined kanji.
    pub kanji: Option<u8>,
}

/// The lexer. Holds at most [`KEEP`] bytes and a little.
#[derive(Debug)]
pub struct Lexer {
    dialect: Dialect,
    state: State,
    held: Vec<u8>,
    total: u64,
    mode: Mode,
}

impl Lexer {
    /// At the start of a stream.
    pub fn new(dialect: Dialect) -> Lexer {
        Lexer { dialect, state: State::Ground, held: Vec::new(), total: 0, mode: Mode::default() }
    }

    /// The language.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the stream stands inside a command.
    pub fn inside(&self) -> bool {
        !matches!(self.state, State::Ground)
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut impl Sink) {
        while let Some(&first) = bytes.first() {
            let taken = match self.state {
                State::Ground if first >= 0x20 && !self.mode.raster => {
                    let end = bytes.iter().position(|b| *b < 0x20).unwrap_or(bytes.len());
                    sink.token(Token::Text(bytes.get(..end).unwrap_or_default()));
                    end
                }
                State::Data(left) => {
                    let n = take(left, bytes);
                    self.keep(bytes.get(..n).unwrap_or_default());
                    self.counted(left, n, sink);
                    n
                }
                State::BlockData { block, left, bytes: more } => {
                    let n = take(more, bytes);
                    self.keep(bytes.get(..n).unwrap_or_default());
                    self.state = State::BlockData { block, left, bytes: more.saturating_sub(n as u64) };
                    self.next_block(sink);
                    n
                }
                _ => {
                    self.byte(first, sink);
                    1
                }
            };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// The stream ended: what is left of a command is given up. True where it was cut.
    pub fn end(&mut self, sink: &mut impl Sink) -> bool {
        let inside = self.inside();
        if inside {
            let held = std::mem::take(&mut self.held);
            let dropped = self.total;
            self.ground();
            // Only its length matters: nothing may take half a command for a whole one.
            if held.len() as u64 == dropped {
                sink.token(Token::Undefined(&held));
            }
        }
        inside
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = KEEP.saturating_sub(self.held.len());
        self.held.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    fn ground(&mut self) {
        self.state = State::Ground;
        self.total = 0;
        self.held.clear();
        // A picture must not hold its room for the rest of the day.
        if self.held.capacity() > KEEP / 16 {
            self.held = Vec::new();
        }
    }

    fn byte(&mut self, byte: u8, sink: &mut impl Sink) {
        match self.state {
            State::Ground if !self.begins(byte) => match byte {
                0x20.. if !self.mode.raster => sink.token(Token::Text(&[byte])),
                _ if self.means(byte) => sink.token(Token::Control(byte)),
                _ => sink.token(Token::Undefined(&[byte])),
            },
            State::Ground | State::Head => {
                self.keep(&[byte]);
                self.state = State::Head;
                self.measured(sink);
            }
            State::Through(end, left) => {
                self.keep(&[byte]);
                self.state = State::Through(end, left.saturating_sub(1));
                if byte == end || left <= 1 {
                    self.done(sink);
                }
            }
            State::Fields(n, left) => {
                self.keep(&[byte]);
                let n = if byte == b';' { n.saturating_sub(1) } else { n };
                self.state = State::Fields(n, left.saturating_sub(1));
                if n == 0 || left <= 1 {
                    self.done(sink);
                }
            }
            State::Tabs { last, count } => self.tab(byte, last, count, sink),
            State::Block { block, left, mut head, have } => {
                self.keep(&[byte]);
                if let Some(place) = head.get_mut(usize::from(have)) {
                    *place = byte;
                }
                if have + 1 < block.head() {
                    self.state = State::Block { block, left, head, have: have + 1 };
                } else {
                    self.state = State::BlockData { block, left: left.saturating_sub(1), bytes: block.data(head) };
                    self.next_block(sink);
                }
            }
            State::Data(_) | State::BlockData { .. } => {}
        }
    }

    fn begins(&self, byte: u8) -> bool {
        match self.dialect {
            Dialect::EscPos => escpos::begins(byte),
            Dialect::Star => star::begins(byte, self.mode),
        }
    }

    fn means(&self, byte: u8) -> bool {
        match self.dialect {
            Dialect::EscPos => escpos::means(byte),
            Dialect::Star => star::means(byte),
        }
    }

    fn measured(&mut self, sink: &mut impl Sink) {
        let next = match self.dialect {
            Dialect::EscPos => escpos::measure(&self.held, self.mode),
            Dialect::Star => star::measure(&self.held, self.mode),
        };
        let have = self.held.len();
        match next {
            Next::More => {}
            Next::Total(total) if total <= have as u64 => self.again(total as usize, false, sink),
            Next::Total(total) => self.state = State::Data(total - have as u64),
            Next::Through(end) => self.state = State::Through(end, UNENDING),
            Next::Fields(n) => self.state = State::Fields(n, UNENDING),
            Next::Tabs => self.state = State::Tabs { last: 0, count: 0 },
            Next::Blocks(_, 0) => self.done(sink),
            Next::Blocks(block, left) => self.state = State::Block { block, left, head: [0; 4], have: 0 },
            Next::Undefined(n) => self.again(n.clamp(1, have), true, sink),
        }
    }

    /// The first `n` bytes held are a command or nothing; those after them are read again.
    fn again(&mut self, n: usize, undefined: bool, sink: &mut impl Sink) {
        let held = std::mem::take(&mut self.held);
        let (front, rest) = held.split_at_checked(n).unwrap_or((&held, &[]));
        if undefined {
            sink.token(Token::Undefined(front));
        } else {
            self.complete(front, front.len() as u64, sink);
        }
        self.ground();
        self.feed(rest, sink);
    }

    fn counted(&mut self, left: u64, n: usize, sink: &mut impl Sink) {
        let left = left.saturating_sub(n as u64);
        self.state = State::Data(left);
        if left == 0 {
            self.done(sink);
        }
    }

    fn next_block(&mut self, sink: &mut impl Sink) {
        if let State::BlockData { block, left, bytes: 0 } = self.state {
            if left == 0 {
                self.done(sink);
            } else {
                self.state = State::Block { block, left, head: [0; 4], have: 0 };
            }
        }
    }

    fn tab(&mut self, byte: u8, last: u8, count: u8, sink: &mut impl Sink) {
        let more = byte > last && count < 32;
        if more || byte == 0 {
            self.keep(&[byte]);
            self.state = State::Tabs { last: byte, count: count + 1 };
        }
        if !more {
            self.done(sink);
            if byte != 0 {
                self.feed(&[byte], sink);
            }
        }
    }

    fn done(&mut self, sink: &mut impl Sink) {
        let held = std::mem::take(&mut self.held);
        self.complete(&held, self.total, sink);
        self.held = held;
        self.ground();
    }

    fn complete(&mut self, bytes: &[u8], total: u64, sink: &mut impl Sink) {
        match (self.dialect, bytes) {
            (Dialect::Star, [0x1b, b'*', b'r', b'A']) => self.mode.raster = true,
            (Dialect::Star, [0x1b, b'*', b'r', b'B'] | [0x1b, b'@']) => self.mode.raster = false,
            (Dialect::EscPos, [0x1c, b'(', b'A', 2, 0, 48, font]) => {
                // Kanji of 24 × 24, 16 × 16 and 20 × 24 dots.
                self.mode.kanji = Some(match font & 0x0f {
                    1 => 32,
                    2 => 60,
                    _ => 72,
                });
            }
            _ => {}
        }
        sink.token(Token::Command(Command { bytes, total }));
    }
}

fn take(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))
}
