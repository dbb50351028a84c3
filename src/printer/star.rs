//! How long each command of Star Line Mode, StarPRNT and Star Graphic is, by its first bytes. Nothing here
//! knows what a command does.
//!
//! Sources: Star's Line Mode command specification and StarPRNT specification (revision 4), and streams of
//! published encoders.

use super::lex::{Block, Mode, Next};

const ESC: u8 = 0x1b;
const GS: u8 = 0x1d;

/// Whether a command begins with this byte. In raster mode rows of dots do too.
pub(super) fn begins(byte: u8, mode: Mode) -> bool {
    matches!(byte, ESC | 0x10) || (mode.raster && matches!(byte, b'b' | b'k'))
}

/// Control bytes that mean something by themselves: status requests, drawers, HT, LF, FF, CR, sizes, CAN.
pub(super) fn means(byte: u8) -> bool {
    matches!(byte, 0x04 | 0x05 | 0x07 | 0x09..=0x0f | 0x12 | 0x14 | 0x17..=0x1a | 0x1c)
}

/// What the first bytes say. `head` has at least one, which [`begins`] a command.
pub(super) fn measure(head: &[u8], _: Mode) -> Next {
    match *head {
        [_] => Next::More,
        [b'b' | b'k', low, high, ..] => Next::Total(3 + word(low, high)),
        [b'b' | b'k', ..] => Next::More,
        [ESC, code, ..] => esc(code, head),
        _ => Next::Undefined(2),
    }
}

fn word(low: u8, high: u8) -> u64 {
    u64::from(u16::from_le_bytes([low, high]))
}

fn esc(code: u8, head: &[u8]) -> Next {
    match code {
        b'0' | b'1' | b'2' | b'4' | b'5' | b':' | b'@' | b'E' | b'F' | b'M' | b'O' | b'P' | b'g' | b'p' | b'q' | 0x0e | 0x14 => {
            Next::Total(2)
        }
        b' ' | b'!' | b'#' | b'$' | b'%' | b'-' | b'/' | b'3' | b'A' | b'I' | b'J' | b'N' | b'Q' | b'R' | b'S' | b'W' | b'_' | b'a'
        | b'c' | b'd' | b'h' | b'l' | b'y' | b'z' | 0x06 | 0x0c => Next::Total(3),
        0x07 | 0x1e | b'i' | b's' | b't' => Next::Total(4),
        0x1c => match *head {
            [_, _] => Next::More,
            [_, _, b'p', ..] => Next::Total(5),
            [_, _, b'q', n, ..] if n > 0 => Next::Blocks(Block::Picture, u16::from(n)),
            [_, _, b'q', _, ..] => Next::Total(4),
            [_, _, b'q'] => Next::More,
            _ => Next::Undefined(2),
        },
        GS => gs(head),
        b'*' => raster(head),
        b'C' => match *head {
            [_, _] => Next::More,
            [_, _, 0, ..] => Next::Total(4),
            _ => Next::Total(3),
        },
        b'B' | b'D' => Next::Through(0),
        b'K' | b'L' => counted(head, 1),
        b'X' => counted(head, 3),
        b'k' => counted(head, 24),
        b'b' => match head.len() {
            0..=5 => Next::More,
            _ if head.last() == Some(&0x1e) => Next::Total(head.len() as u64),
            _ => Next::Through(0x1e),
        },
        _ => Next::Undefined(2),
    }
}

/// Two bytes of a count, then `each` bytes for every one.
fn counted(head: &[u8], each: u64) -> Next {
    match *head {
        [_, _, low, high, ..] => Next::Total(4 + each * word(low, high)),
        _ => Next::More,
    }
}

/// `ESC * r …`: some end by their letter, the others with a 00.
fn raster(head: &[u8]) -> Next {
    match *head {
        [_, _] | [_, _, b'r'] => Next::More,
        [_, _, b'r', b'A' | b'B' | b'C' | b'R', ..] => Next::Total(4),
        [_, _, b'r', 0, ..] => Next::Total(4),
        [_, _, b'r', _, ..] => Next::Through(0),
        _ => Next::Undefined(2),
    }
}

/// `ESC GS …`
fn gs(head: &[u8]) -> Next {
    match *head {
        [_, _] => Next::More,
        [_, _, 0x03 | 0x07, ..] => Next::Total(6),
        [_, _, 0x19, ..] => Next::Total(7),
        [_, _, b'A' | b'R' | b'c', ..] => Next::Total(5),
        [_, _, b'P', b'2', ..] => Next::Total(5),
        [_, _, b'P', b'3', ..] => Next::Total(12),
        [_, _, b'P', b'4' | b'5', ..] => Next::Total(6),
        [_, _, b'P', _, ..] => Next::Total(4),
        [_, _, b'S', _, xl, xh, yl, yh, ..] => Next::Total(9 + word(xl, xh) * word(yl, yh)),
        [_, _, b'x', b'D', low, high, ..] => Next::Total(6 + word(low, high)),
        [_, _, b'x', b'S', b'0', ..] => Next::Total(8),
        [_, _, b'x', b'S', _, ..] => Next::Total(6),
        [_, _, b'x', b'P' | b'I', ..] => Next::Total(4),
        [_, _, b'y', b'S', ..] => Next::Total(6),
        [_, _, b'y', b'D', b'1', _, low, high, ..] => Next::Total(8 + word(low, high)),
        [_, _, b'y', b'D', b'2', a, ..] if a > 0 => Next::Blocks(Block::Part, u16::from(a)),
        [_, _, b'y', b'D', b'2', _, ..] => Next::Total(6),
        [_, _, b'y', b'D', b'1' | b'2', ..] | [_, _, b'y', b'D'] => Next::More,
        [_, _, b'y', b'P' | b'I', ..] => Next::Total(4),
        [_, _, b')', b'B', low, high, ..] => Next::Total(6 + word(low, high)),
        [_, _, b')', b'B', ..] | [_, _, b'P' | b'x' | b'y' | b')'] => Next::More,
        [_, _, b'S', ..] | [_, _, b'x', b'D', ..] | [_, _, b'x', b'S'] => Next::More,
        _ => Next::Total(4),
    }
}
