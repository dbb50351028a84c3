//! What ESC/POS commands do. How long they are is for [`super::escpos`] to know.
//!
//! Only what shows on paper, ends a receipt or opens a drawer; the rest passes.

use super::lex::{Command, Token};
use super::page::{Align, Bitmap};
use super::press::{LINE, Mark, Press};
use super::symbol::{SymbolKind, bar_kind};

const ESC: u8 = 0x1b;
const FS: u8 = 0x1c;
const GS: u8 = 0x1d;

/// Does what a token says.
pub(super) fn act(press: &mut Press, token: &Token<'_>) -> Option<Mark> {
    match token {
        Token::Text(bytes) => {
            press.text(bytes);
            None
        }
        Token::Control(byte) => control(press, *byte),
        Token::Undefined(bytes) => {
            press.unknown(bytes);
            None
        }
        Token::Command(command) => match (command.at(0), command.at(1)) {
            (ESC, code) => esc(press, code, command),
            (GS, code) => gs(press, code, command),
            (FS, code) => {
                fs(press, code, command);
                None
            }
            (0x10, 0x14) if command.at(2) == 1 => Some(Mark::Drawer(connector(command.at(3)))),
            (0x10, 0x04 | 0x05) => {
                press.requested(command.bytes);
                None
            }
            _ => None,
        },
    }
}

fn control(press: &mut Press, byte: u8) -> Option<Mark> {
    match byte {
        b'\t' => press.tab(),
        b'\n' => press.line_feed(),
        b'\r' => press.carriage_return(),
        0x18 => press.cancel_page(),
        0x0c if press.in_page_mode() => press.print_page(false),
        0x0c => {
            press.end_line_if_any();
            return Some(Mark::FormFeed);
        }
        _ => {}
    }
    None
}

fn connector(m: u8) -> u8 {
    1 + (m & 1)
}

fn on(n: u8) -> bool {
    n & 1 == 1
}

fn esc(press: &mut Press, code: u8, c: &Command<'_>) -> Option<Mark> {
    let n = c.at(2);
    match code {
        b'@' => press.reset(),
        b'!' => {
            press.strike[0] = n & 0x08 != 0;
            press.style(|s| {
                s.font = n & 1;
                s.height = 1 + u8::from(n & 0x10 != 0);
                s.width = 1 + u8::from(n & 0x20 != 0);
                s.underline = u8::from(n & 0x80 != 0);
            });
        }
        b'E' => press.strike[0] = on(n),
        b'G' => press.strike[1] = on(n),
        b'-' => {
            if let 0..=2 | 48..=50 = n {
                press.style(|s| s.underline = n & 0x0f);
            }
        }
        b'M' => press.style(|s| s.font = u8::from(!matches!(n, 0 | 48))),
        b' ' => press.style(|s| s.spacing = n),
        b'a' => press.set_align(Align::from_byte(n)),
        b't' => press.charset.choose_page(n),
        b'R' => press.charset.choose_country(n),
        b'=' => press.display = n & 3 == 2,
        b'2' => press.spacing = LINE,
        b'3' | b'A' | b'+' => press.spacing = u16::from(n),
        b'd' => press.feed(u32::from(n) * u32::from(press.spacing)),
        b'J' => press.feed(u32::from(n)),
        b'$' => press.move_to(c.word(2)),
        b'\\' => press.move_by(i16::from_le_bytes(c.word(2).to_le_bytes())),
        b'D' => press.tabs = Some(c.rest(2).iter().copied().filter(|stop| *stop > 0).collect()),
        b'L' => press.enter_page_mode(),
        b'S' => press.leave_page_mode(),
        0x0c => press.print_page(true),
        b'W' => press.page_row(),
        b'*' => column_image(press, c),
        b'p' => return Some(Mark::Drawer(connector(n))),
        b'i' | b'm' => {
            press.end_line_if_any();
            return Some(Mark::Cut);
        }
        b'v' | b'u' => press.requested(c.bytes),
        _ => {}
    }
    None
}

/// `ESC * m nL nH d…`: columns of 8 or 24 dots; m 0 and 32 are printed twice as wide, and the dots of the
/// modes with 8 three times as high.
fn column_image(press: &mut Press, c: &Command<'_>) {
    let bytes = if c.at(2) >= 32 { 3 } else { 1 };
    let mut bitmap = Bitmap::from_columns(c.rest(5), bytes);
    bitmap.wide = if matches!(c.at(2), 0 | 32) { 2 } else { 1 };
    bitmap.high = if bytes == 1 { 3 } else { 1 };
    press.image(bitmap);
}

fn gs(press: &mut Press, code: u8, c: &Command<'_>) -> Option<Mark> {
    let n = c.at(2);
    match code {
        b'!' => press.style(|s| (s.width, s.height) = (1 + (n >> 4 & 7), 1 + (n & 7))),
        b'B' => press.style(|s| s.invert = on(n)),
        b'L' => press.left = c.word(2),
        b'W' => press.area = c.word(2),
        b'P' => {
            // Units in an inch of 203 dots; on printers of 180 dots the usual 180 is one dot.
            press.unit = match n {
                0 | 180 | 203 => 1000,
                x => 203_000 / u32::from(x),
            };
        }
        b'$' | b'\\' if press.in_page_mode() => press.page_row(),
        b'H' => press.bar.text = n & 3,
        b'h' => press.bar.height = n.max(1),
        b'w' => press.bar.module = n.clamp(1, 6),
        b'k' => bar_code(press, c),
        b'V' | 0xf8 => {
            press.end_line_if_any();
            return Some(Mark::Cut);
        }
        b'v' => {
            let (width, height) = (u32::from(c.word(4)) * 8, u32::from(c.word(6)));
            press.image(scaled(Bitmap::from_rows(width, height, c.rest(8)), c.at(3)));
        }
        b'*' => {
            let bitmap = Bitmap::from_columns(c.rest(4), usize::from(c.at(3)));
            press.store("download".into(), bitmap);
        }
        b'/' => press.print_stored("download", 1 + (n & 1), 1 + (n >> 1 & 1)),
        b'Q' => {
            let (width, height) = (u32::from(c.word(4)) * 8, u32::from(c.word(6)));
            press.image(scaled(Bitmap::from_rows(width, height, c.rest(8)), c.at(3)));
        }
        b'a' | b'r' | b'I' => press.requested(c.bytes),
        b'p' => press.symbol(SymbolKind::Qr, c.rest(9), true, press.square),
        b'8' => graphics(press, c.rest(7)),
        b'(' if n == b'L' => graphics(press, c.rest(5)),
        b'(' if n == b'k' => two_dimensional(press, c.rest(5)),
        _ => {}
    }
    None
}

fn scaled(bitmap: Bitmap, m: u8) -> Bitmap {
    Bitmap { wide: 1 + (m & 1), high: 1 + (m >> 1 & 1), ..bitmap }
}

fn bar_code(press: &mut Press, c: &Command<'_>) {
    let m = c.at(2);
    let Some(kind) = bar_kind(m) else { return };
    let data = match m {
        65..=79 => c.rest(4),
        _ => c.rest(3).strip_suffix(&[0]).unwrap_or(c.rest(3)),
    };
    press.symbol(kind, data, m == 79, press.bar);
}

/// `GS ( L` and `GS 8 L` behind their length: m, fn and the rest.
fn graphics(press: &mut Press, body: &[u8]) {
    let word = |low: u8, high: u8| u32::from(u16::from_le_bytes([low, high]));
    match *body {
        [48, 112, _, bx, by, _, xl, xh, yl, yh, ref data @ ..] => {
            let bitmap = Bitmap::from_rows(word(xl, xh), word(yl, yh), data);
            press.held = Some(Bitmap { wide: bx.clamp(1, 2), high: by.clamp(1, 2), ..bitmap });
        }
        [48, 113, _, bx, by, _, _, _, yl, yh, ref data @ ..] => {
            let bitmap = Bitmap::from_columns(data, word(yl, yh).div_ceil(8) as usize);
            press.held = Some(Bitmap { wide: bx.clamp(1, 2), high: by.clamp(1, 2), ..bitmap });
        }
        [48, 50 | 2, ..] => {
            if let Some(bitmap) = press.held.take() {
                press.image(bitmap);
            }
        }
        [48, 67 | 83, _, k1, k2, _, xl, xh, yl, yh, _, ref data @ ..] => {
            let bitmap = Bitmap::from_rows(word(xl, xh), word(yl, yh), data);
            press.store(key(body.get(1) == Some(&67), k1, k2), bitmap);
        }
        [48, 69 | 85, k1, k2, x, y, ..] => {
            press.print_stored(&key(body.get(1) == Some(&69), k1, k2), x.clamp(1, 2), y.clamp(1, 2));
        }
        _ => {}
    }
}

/// Pictures in the printer's memory for good, and those until it is switched off, have keys of their own.
fn key(for_good: bool, k1: u8, k2: u8) -> String {
    let kind = if for_good { "nv" } else { "dl" };
    format!("{kind} {}", super::press::hex(&[k1, k2]))
}

/// `GS ( k` behind its length: cn, fn and the rest.
fn two_dimensional(press: &mut Press, body: &[u8]) {
    let [cn, function, rest @ ..] = body else { return };
    let (kind, place) = match cn {
        48 => (SymbolKind::Pdf417, 0),
        49 => (SymbolKind::Qr, 1),
        50 => (SymbolKind::MaxiCode, 2),
        51 => (SymbolKind::DataBar, 3),
        52 => (SymbolKind::Composite, 4),
        53 => (SymbolKind::Aztec, 5),
        54 => (SymbolKind::DataMatrix, 6),
        _ => return,
    };
    let Some(store) = press.codes.get_mut(place) else { return };
    match (function, rest) {
        (80, [_, data @ ..]) => *store = data.to_vec(),
        (81, _) => {
            let data = store.clone();
            if !data.is_empty() {
                press.symbol(kind, &data, true, press.square);
            }
        }
        (67, [n, ..]) if *cn == 49 => press.square.module = (*n).clamp(1, 16),
        (69, [n, ..]) if *cn == 49 => press.square.level = level(*n),
        _ => {}
    }
}

/// Error correction by its parameter, from 0 or from the digit 0.
pub(super) fn level(n: u8) -> u8 {
    match n & 0x0f {
        1 => b'M',
        2 => b'Q',
        3 => b'H',
        _ => b'L',
    }
}

fn fs(press: &mut Press, code: u8, c: &Command<'_>) {
    match code {
        b'&' => press.charset.kanji_mode(true, false),
        b'.' => press.charset.kanji_mode(false, false),
        b'C' => press.charset.choose_kanji(c.at(2)),
        b'(' if c.at(2) == b'C' && c.at(5) == 48 => press.charset.choose_utf8(matches!(c.at(6), 2 | 50)),
        b'p' => press.print_stored(&format!("fs {}", c.at(2)), 1 + (c.at(3) & 1), 1 + (c.at(3) >> 1 & 1)),
        b'q' => define_logos(press, c.rest(3)),
        _ => {}
    }
}

/// `FS q`: pictures 1, 2, … for good, each with its width and height in 8 dots.
fn define_logos(press: &mut Press, mut rest: &[u8]) {
    let mut n = 1;
    while let [xl, xh, yl, yh, data @ ..] = rest {
        let high = usize::from(u16::from_le_bytes([*yl, *yh]));
        let size = 8 * usize::from(u16::from_le_bytes([*xl, *xh])) * high;
        let Some((columns, more)) = data.split_at_checked(size) else { return };
        press.store(format!("fs {n}"), Bitmap::from_columns(columns, high));
        (rest, n) = (more, n + 1);
    }
}
