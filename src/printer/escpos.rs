//! How long each ESC/POS command is, by its first bytes. Nothing here knows what a command does.
//!
//! Sources: Epson's TM-T88, TM-T20, TM-U590, RP-U420 manuals, the tables of Star, Bematech, Citizen and
//! Bixolon for their ESC/POS modes, and streams of published encoders.

use super::lex::{Block, Mode, Next};

const DLE: u8 = 0x10;
const ESC: u8 = 0x1b;
const FS: u8 = 0x1c;
const GS: u8 = 0x1d;
const DC2: u8 = 0x12;

/// Whether a command begins with this byte.
pub(super) fn begins(byte: u8) -> bool {
    matches!(byte, DLE | DC2 | ESC | FS | GS)
}

/// Control bytes that mean something by themselves: HT, LF, FF, CR, CAN.
pub(super) fn means(byte: u8) -> bool {
    matches!(byte, 0x09 | 0x0a | 0x0c | 0x0d | 0x18)
}

/// What the first bytes say. `head` has at least one, which [`begins`] a command.
pub(super) fn measure(head: &[u8], mode: Mode) -> Next {
    match *head {
        [_] => Next::More,
        // SII: size of a QR code, and a reset.
        [DC2, b';' | b'q'] => Next::More,
        [DC2, b';' | b'q', ..] => Next::Total(3),
        [DC2, ..] => Next::Undefined(1),
        [DLE, ..] => real_time(head),
        [ESC, code, ..] => esc(code, head),
        [GS, code, ..] => gs(code, head),
        [FS, code, ..] => fs(code, head, mode),
        _ => Next::Undefined(1),
    }
}

fn word(low: u8, high: u8) -> u64 {
    u64::from(u16::from_le_bytes([low, high]))
}

/// DLE EOT, ENQ and DC4. Any other byte after DLE is read by itself.
fn real_time(head: &[u8]) -> Next {
    match *head {
        [_, 0x04 | 0x05 | 0x14] => Next::More,
        [_, 0x04, 1..=6, ..] | [_, 0x05, _, ..] => Next::Total(3),
        [_, 0x04, 0 | 7 | 8 | 18, ..] => Next::Total(4),
        [_, 0x14, 1 | 2, ..] => Next::Total(5),
        [_, 0x14, 3, ..] => Next::Total(8),
        [_, 0x14, 7, ..] => Next::Total(4),
        [_, 0x14, 8, ..] => Next::Total(10),
        _ => Next::Undefined(1),
    }
}

fn esc(code: u8, head: &[u8]) -> Next {
    match code {
        0x0c | b'2' | b'4' | b'5' | b'<' | b'@' | b'L' | b'S' | b'i' | b'm' | b'q' | b'v' => Next::Total(2),
        b' ' | b'!' | b'%' | b'+' | b'-' | b'3' | b'=' | b'?' | b'A' | b'C' | b'E' | b'F' | b'G' | b'J' | b'K' | b'M' | b'R' | b'T'
        | b'U' | b'V' | b'a' | b'd' | b'e' | b'r' | b't' | b'u' | b'{' => Next::Total(3),
        b'$' | b'\\' | b'f' => Next::Total(4),
        b'p' => Next::Total(5),
        b'W' => Next::Total(10),
        b'c' => match *head {
            [_, _] => Next::More,
            [_, _, b'0' | b'1' | b'3' | b'4' | b'5', ..] => Next::Total(4),
            _ => Next::Undefined(2),
        },
        // Clones: a beeper with two parameters; one encoder sends the bare command.
        b'B' => match *head {
            [_, _] | [_, _, 1..=9] => Next::More,
            [_, _, 1..=9, 1..=9, ..] => Next::Total(4),
            _ => Next::Total(2),
        },
        b'D' => Next::Tabs,
        b'&' => match *head {
            [_, _, y, from, to, ..] if from <= to => Next::Blocks(Block::Glyph(y), u16::from(to - from) + 1),
            [_, _, _, _, _, ..] => Next::Total(5),
            _ => Next::More,
        },
        b'(' => extended(head),
        b'*' => match *head {
            [_, _, 32 | 33 | 38..=40, low, high, ..] => Next::Total(5 + 3 * word(low, high)),
            [_, _, _, low, high, ..] => Next::Total(5 + word(low, high)),
            _ => Next::More,
        },
        _ => Next::Undefined(2),
    }
}

/// `( X pL pH` and p bytes.
fn extended(head: &[u8]) -> Next {
    match *head {
        [_, _, _, low, high, ..] => Next::Total(5 + word(low, high)),
        _ => Next::More,
    }
}

fn gs(code: u8, head: &[u8]) -> Next {
    match code {
        0x0c | b':' | b'c' => Next::Total(2),
        b'!' | b'/' | b'B' | b'E' | b'H' | b'I' | b'T' | b'a' | b'b' | b'f' | b'h' | b'j' | b'r' | b'w' => Next::Total(3),
        b'$' | b'L' | b'P' | b'W' | b'\\' => Next::Total(4),
        b'^' => Next::Total(5),
        b'(' => extended(head),
        b'V' => match *head {
            [_, _] => Next::More,
            [_, _, 65 | 66 | 97 | 98 | 103 | 104, ..] => Next::Total(4),
            _ => Next::Total(3),
        },
        b'*' => match *head {
            [_, _, x, y, ..] => Next::Total(4 + 8 * u64::from(x) * u64::from(y)),
            _ => Next::More,
        },
        b'k' => match *head {
            [_, _] | [_, _, 65..=79] => Next::More,
            [_, _, 0..=6 | 21..=23, ..] => Next::Through(0),
            [_, _, 65..=79, n, ..] => Next::Total(4 + u64::from(n)),
            _ => Next::Undefined(3),
        },
        b'C' => match *head {
            [_, _] => Next::More,
            [_, _, b'0' | b'2', ..] => Next::Total(5),
            [_, _, b'1', ..] => Next::Total(9),
            [_, _, b';', ..] => Next::Fields(5),
            _ => Next::Undefined(2),
        },
        0xf8 => match *head {
            [_, _] => Next::More,
            [_, _, b'1' | b'F', ..] => Next::Total(3),
            _ => Next::Undefined(2),
        },
        0xf9 => Next::Total(4),
        0xfa => Next::Total(3),
        b'8' | b'D' | b'Q' | b'g' | b'p' | b'v' | b'z' => gs_with_picture(code, head),
        _ => Next::Undefined(2),
    }
}

/// Those whose third byte must be right before a length is believed.
fn gs_with_picture(code: u8, head: &[u8]) -> Next {
    match (code, head) {
        (_, [_, _]) => Next::More,
        (b'8', [_, _, b'L', a, b, c, d, ..]) => Next::Total(7 + u64::from(u32::from_le_bytes([*a, *b, *c, *d]))),
        (b'8', [_, _, b'L', ..]) => Next::More,
        (b'v' | b'Q', [_, _, b'0', _, xl, xh, yl, yh, ..]) => Next::Total(8 + word(*xl, *xh) * word(*yl, *yh)),
        (b'v' | b'Q', [_, _, b'0', ..]) => Next::More,
        (b'g', [_, _, b'0' | b'2', ..]) => Next::Total(6),
        (b'z', [_, _, b'0', ..]) => Next::Total(5),
        // A QR code of SII and Fujitsu.
        (b'p', [_, _, 1, _, _, _, _, low, high, ..]) => Next::Total(9 + word(*low, *high)),
        (b'p', [_, _, 1, ..]) => Next::More,
        // A bitmap file tells its size in its bytes 2 to 5.
        (b'D', [_, _, b'0', _, _, _, _, _, _, _, _, a, b, c, d, ..]) => {
            Next::Total(9 + u64::from(u32::from_le_bytes([*a, *b, *c, *d])).max(6))
        }
        (b'D', [_, _, b'0', ..]) => Next::More,
        _ => Next::Undefined(2),
    }
}

fn fs(code: u8, head: &[u8], mode: Mode) -> Next {
    match code {
        b'&' | b'.' | b'L' | b'b' | b'c' => Next::Total(2),
        b'!' | b'-' | b'C' | b'W' => Next::Total(3),
        b'?' | b'S' | b'p' => Next::Total(4),
        b'2' => Next::Total(4 + u64::from(mode.kanji.unwrap_or(72))),
        b'(' => extended(head),
        b'a' => match *head {
            [_, _] => Next::More,
            [_, _, b'0', ..] => Next::Total(4),
            [_, _, b'1' | b'2', ..] => Next::Total(3),
            _ => Next::Undefined(2),
        },
        b'g' => match *head {
            [_, _] => Next::More,
            [_, _, b'2', ..] => Next::Total(10),
            [_, _, b'1', _, _, _, _, _, low, high, ..] => Next::Total(10 + word(low, high)),
            [_, _, b'1', ..] => Next::More,
            _ => Next::Undefined(2),
        },
        b'q' => match *head {
            [_, _, n, ..] if n > 0 => Next::Blocks(Block::Picture, u16::from(n)),
            [_, _, _, ..] => Next::Total(3),
            _ => Next::More,
        },
        _ => Next::Undefined(2),
    }
}
