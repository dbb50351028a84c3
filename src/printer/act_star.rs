//! What the commands of Star Line Mode, StarPRNT and Star Graphic do. How long they are is for
//! [`super::star`] to know.

use super::act_escpos::level;
use super::lex::{Command, Token};
use super::page::{Align, Bitmap};
use super::press::{LINE, Mark, Press};
use super::symbol::{Look, SymbolKind};

const ESC: u8 = 0x1b;
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
            (kind @ (b'b' | b'k'), _) => {
                if press.raster.is_some() {
                    press.raster_row(command.rest(3));
                }
                let _ = kind; // with and without a line feed it is one row of the picture
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
        0x07 | 0x1c => return Some(Mark::Drawer(1)),
        0x1a | 0x19 => return Some(Mark::Drawer(2)),
        0x0e => press.style(|s| s.width = 2),
        0x14 => press.style(|s| s.width = 1),
        0x18 => press.cancel_page(),
        0x0c => {
            press.end_line_if_any();
            return Some(Mark::FormFeed);
        }
        0x04 | 0x05 | 0x17 => press.requested(&[byte]),
        _ => {}
    }
    None
}

fn esc(press: &mut Press, code: u8, c: &Command<'_>) -> Option<Mark> {
    let n = c.at(2);
    match code {
        b'@' => press.reset(),
        b'E' => press.strike[0] = true,
        b'F' => press.strike[0] = false,
        b'-' => press.style(|s| s.underline = n & 1),
        b'4' => press.style(|s| s.invert = true),
        b'5' => press.style(|s| s.invert = false),
        0x0e => press.style(|s| s.height = 2),
        0x14 => press.style(|s| s.height = 1),
        b'W' => press.style(|s| s.width = size(n)),
        b'h' => press.style(|s| s.height = size(n)),
        b'i' => press.style(|s| (s.height, s.width) = (size(n), size(c.at(3)))),
        b'M' | b'P' | b':' => press.style(|s| s.font = 0),
        b' ' => press.style(|s| s.spacing = n),
        b'R' => press.charset.choose_country(n),
        b'$' => press.charset.shift_jis(n & 1 == 1),
        b'p' => press.charset.kanji_mode(true, true),
        b'q' => press.charset.kanji_mode(false, true),
        b'a' => press.feed(u32::from(n) * u32::from(press.spacing)),
        b'J' => press.feed(u32::from(n) * 2),
        b'I' => press.feed(u32::from(n)),
        b'z' => press.spacing = if n & 1 == 1 { LINE } else { 24 },
        b'0' => press.spacing = 24,
        b'l' => press.left = u16::from(n) * 12,
        b'D' => press.tabs = Some(c.rest(2).iter().copied().filter(|stop| *stop > 0).collect()),
        b'b' => bar_code(press, c),
        b'd' => {
            press.end_raster();
            press.end_line_if_any();
            return Some(Mark::Cut);
        }
        0x0c => {
            press.end_raster();
            return (n == 0).then_some(Mark::Cut);
        }
        0x1c if n == b'p' => press.print_stored(&format!("fs {}", c.at(3)), 1 + (c.at(4) & 1), 1 + (c.at(4) >> 1 & 1)),
        0x1e => more(press, n, c.at(3)),
        0x06 => press.requested(c.bytes),
        b'K' | b'L' => {
            let bitmap = Bitmap::from_columns(c.rest(4), 1);
            press.image(Bitmap { wide: if code == b'K' { 2 } else { 1 }, high: 3, ..bitmap });
        }
        b'X' => press.image(Bitmap::from_columns(c.rest(4), 3)),
        b'k' => press.image(Bitmap::from_rows(u32::from(c.word(2)) * 8, 24, c.rest(4))),
        b'*' => raster(press, c),
        GS => gs(press, n, c),
        _ => {}
    }
    None
}

/// Times the normal size, from 0 or from the digit 0.
fn size(n: u8) -> u8 {
    1 + (n & 7)
}

/// `ESC RS x n`
fn more(press: &mut Press, x: u8, n: u8) {
    match x {
        b'F' => press.style(|s| s.font = u8::from(!matches!(n, 0 | 48))),
        b'a' => press.set_align(Align::from_byte(n)),
        _ => {}
    }
}

/// `ESC * r …`: on, off, and a move down in dots.
fn raster(press: &mut Press, c: &Command<'_>) {
    match c.at(3) {
        b'A' => press.raster = Some(Vec::new()),
        b'B' => press.end_raster(),
        b'C' => press.raster = Some(Vec::new()),
        b'Y' => {
            let digits = c.rest(4).iter().take_while(|b| b.is_ascii_digit()).take(4);
            let dots = digits.fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
            (0..dots.min(2000)).for_each(|_| press.raster_row(&[]));
        }
        _ => {}
    }
}

/// `ESC GS x …`
fn gs(press: &mut Press, x: u8, c: &Command<'_>) {
    let n = c.at(3);
    match x {
        b'a' => press.set_align(Align::from_byte(n)),
        b't' => press.charset.choose_page(n),
        b'A' => press.move_to(c.word(3)),
        b'R' => press.move_by(i16::from_le_bytes(c.word(3).to_le_bytes())),
        b'S' => {
            let (width, height) = (u32::from(c.word(4)) * 8, u32::from(c.word(6)));
            press.image(Bitmap::from_rows(width, height, c.rest(9)));
        }
        b'P' => match n {
            0x30 => press.enter_page_mode(),
            0x31 => press.leave_page_mode(),
            0x34 | 0x35 => press.page_row(),
            0x36 => press.print_page(false),
            0x37 => press.print_page(true),
            0x38 => press.cancel_page(),
            _ => {}
        },
        b'y' => qr(press, c),
        b'x' => match n {
            b'D' => press.codes[0] = c.rest(6).to_vec(),
            b'P' => {
                let data = press.codes[0].clone();
                press.symbol(SymbolKind::Pdf417, &data, true, press.square);
            }
            _ => {}
        },
        _ => {}
    }
}

fn qr(press: &mut Press, c: &Command<'_>) {
    match (c.at(3), c.at(4)) {
        (b'S', b'1') => press.square.level = level(c.at(5)),
        (b'S', b'2') => press.square.module = c.at(5).clamp(1, 8),
        (b'D', b'1') => press.codes[1] = c.rest(8).to_vec(),
        (b'D', b'2') => {
            let mut rest = c.rest(6);
            let mut data = Vec::new();
            while let [_, low, high, more @ ..] = rest {
                let n = usize::from(u16::from_le_bytes([*low, *high]));
                data.extend_from_slice(more.get(..n).unwrap_or(more));
                rest = more.get(n..).unwrap_or_default();
            }
            press.codes[1] = data;
        }
        (b'P', _) => {
            let data = press.codes[1].clone();
            press.symbol(SymbolKind::Qr, &data, true, press.square);
        }
        _ => {}
    }
}

/// `ESC b n1 n2 n3 n4 d… RS`: kind, text below, width, height.
fn bar_code(press: &mut Press, c: &Command<'_>) {
    let kind = match c.at(2) & 0x0f {
        0 => SymbolKind::UpcE,
        1 => SymbolKind::UpcA,
        2 => SymbolKind::Ean8,
        3 => SymbolKind::Ean13,
        4 => SymbolKind::Code39,
        5 => SymbolKind::Itf,
        6 => SymbolKind::Code128,
        7 => SymbolKind::Code93,
        8 => SymbolKind::Codabar,
        _ => return,
    };
    let data = c.rest(6).strip_suffix(&[0x1e]).unwrap_or(c.rest(6));
    let text = if matches!(c.at(3) & 0x0f, 2 | 4) { 2 } else { 0 };
    let look = Look { module: 1 + (c.at(4) & 0x0f).clamp(1, 3), height: c.at(5).max(8), text, ..Look::default() };
    press.symbol(kind, data, true, look);
}
