//! Bar codes and QR codes: what a command put into them, and their bars and squares for the picture.
//!
//! The data is reported as it is printed: with the check digit that the printer adds, and with the code sets
//! of Code 128 resolved. A code that cannot be drawn here, or whose data breaks its rules, has its data all
//! the same.

use super::charset::guess_text;
use crate::domain::channel::words;
use qrcodegen::{QrCode, QrCodeEcc};

words! {
    /// The kinds of code.
    SymbolKind {
        /// UPC-A.
        UpcA = "upca",
        /// UPC-E.
        UpcE = "upce",
        /// EAN-13.
        Ean13 = "ean13",
        /// EAN-8.
        Ean8 = "ean8",
        /// Code 39.
        Code39 = "code39",
        /// Interleaved 2 of 5.
        Itf = "itf",
        /// Codabar, also NW-7.
        Codabar = "codabar",
        /// Code 93.
        Code93 = "code93",
        /// Code 128.
        Code128 = "code128",
        /// GS1-128.
        Gs1128 = "gs1-128",
        /// GS1 DataBar in one of its forms.
        DataBar = "databar",
        /// ISBN, of Bematech.
        Isbn = "isbn",
        /// MSI, of Bematech.
        Msi = "msi",
        /// Plessey, of Bematech.
        Plessey = "plessey",
        /// QR code.
        Qr = "qr",
        /// PDF417.
        Pdf417 = "pdf417",
        /// MaxiCode.
        MaxiCode = "maxicode",
        /// GS1 Composite.
        Composite = "composite",
        /// Aztec.
        Aztec = "aztec",
        /// Data Matrix.
        DataMatrix = "datamatrix",
    }
}

/// A code on the paper.
#[derive(Clone, Debug, PartialEq)]
pub struct Symbol {
    /// What kind.
    pub kind: SymbolKind,
    /// What a reader reads.
    pub data: String,
    /// The data as the command gave it.
    pub raw: Vec<u8>,
    /// How it is printed.
    pub look: Look,
    /// Where it stands.
    pub align: super::page::Align,
}

/// How a code is printed, in dots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Width of the thinnest bar, or of a square.
    pub module: u8,
    /// Height of the bars.
    pub height: u8,
    /// Its data as text: 0 no, 1 above, 2 below, 3 both.
    pub text: u8,
    /// Error correction of a QR code: L, M, Q, H.
    pub level: u8,
}

impl Default for Look {
    fn default() -> Look {
        Look { module: 3, height: 162, text: 0, level: b'L' }
    }
}

/// Kind of a `GS k` command by its parameter.
pub fn bar_kind(m: u8) -> Option<SymbolKind> {
    Some(match m {
        0 | 65 => SymbolKind::UpcA,
        1 | 66 => SymbolKind::UpcE,
        2 | 67 => SymbolKind::Ean13,
        3 | 68 => SymbolKind::Ean8,
        4 | 69 => SymbolKind::Code39,
        5 | 70 => SymbolKind::Itf,
        6 | 71 => SymbolKind::Codabar,
        72 => SymbolKind::Code93,
        73 | 79 => SymbolKind::Code128,
        74 => SymbolKind::Gs1128,
        75..=78 => SymbolKind::DataBar,
        21 => SymbolKind::Isbn,
        22 => SymbolKind::Msi,
        23 => SymbolKind::Plessey,
        _ => return None,
    })
}

/// What a reader reads. `plain` = Code 128 without marks for its code sets.
pub fn data(kind: SymbolKind, raw: &[u8], plain: bool) -> String {
    let digits = raw.iter().all(u8::is_ascii_digit);
    match kind {
        SymbolKind::Ean13 if digits && raw.len() == 12 => with_check(raw),
        SymbolKind::Ean8 if digits && raw.len() == 7 => with_check(raw),
        SymbolKind::UpcA if digits && raw.len() == 11 => with_check(raw),
        SymbolKind::Code128 if !plain => text_128(raw),
        _ => guess_text(raw),
    }
}

fn with_check(digits: &[u8]) -> String {
    let mut text = guess_text(digits);
    text.push(char::from(b'0' + check_digit(digits)));
    text
}

/// The check digit of EAN and UPC: weights 3 and 1 from the right.
fn check_digit(digits: &[u8]) -> u8 {
    let sum: u32 = digits.iter().rev().enumerate().map(|(i, d)| u32::from(d.wrapping_sub(b'0')) * if i % 2 == 0 { 3 } else { 1 }).sum();
    ((10 - sum % 10) % 10) as u8
}

/// A step in the making of a Code 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// A set begins: A, B or C.
    Set(u8),
    /// A byte of sets A and B.
    Byte(u8),
    /// Two digits of set C.
    Pair(u8),
    /// Function 1.
    Fnc1,
}

/// Reads Epson's notation: `{A`, `{B`, `{C` choose a set, `{{` is a brace, `{1` is FNC1. Without a set at
/// its head it is set B.
fn parts_128(raw: &[u8]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut set = b'B';
    let mut rest = raw;
    if !matches!(rest, [b'{', b'A' | b'B' | b'C', ..]) {
        parts.push(Part::Set(set));
    }
    while let Some((&first, more)) = rest.split_first() {
        rest = more;
        match (first, more.split_first()) {
            (b'{', Some((&next @ (b'A' | b'B' | b'C'), more))) => {
                (set, rest) = (next, more);
                parts.push(Part::Set(set));
            }
            (b'{', Some((b'1', more))) => {
                parts.push(Part::Fnc1);
                rest = more;
            }
            (b'{', Some((b'{', more))) => {
                parts.push(Part::Byte(b'{'));
                rest = more;
            }
            (b'{', Some((b'2' | b'3' | b'4' | b'S', more))) => rest = more,
            _ if set == b'C' => parts.push(Part::Pair(first)),
            _ => parts.push(Part::Byte(first)),
        }
    }
    parts
}

fn text_128(raw: &[u8]) -> String {
    let mut text = String::new();
    for part in parts_128(raw) {
        match part {
            Part::Byte(byte) => text.push(char::from(byte)),
            // A reader gives the separator, but nothing for the one at the head.
            Part::Fnc1 if !text.is_empty() => text.push('\u{1d}'),
            Part::Pair(pair) => text.push_str(&format!("{pair:02}")),
            Part::Set(_) | Part::Fnc1 => {}
        }
    }
    text
}

/// The squares of a QR code, row by row, `true` = black; `None` where the data is too long for one.
pub fn squares(symbol: &Symbol) -> Option<Vec<Vec<bool>>> {
    let level = match symbol.look.level {
        b'H' => QrCodeEcc::High,
        b'Q' => QrCodeEcc::Quartile,
        b'M' => QrCodeEcc::Medium,
        _ => QrCodeEcc::Low,
    };
    let text = std::str::from_utf8(&symbol.raw).ok().and_then(|text| QrCode::encode_text(text, level).ok());
    let code = text.or_else(|| QrCode::encode_binary(&symbol.raw, level).ok())?;
    let size = code.size();
    Some((0..size).map(|y| (0..size).map(|x| code.get_module(x, y)).collect()).collect())
}

/// The bars of a linear code in modules, a black one first; `None` where it cannot be drawn.
pub fn bars(symbol: &Symbol) -> Option<Vec<u8>> {
    let data = symbol.data.as_bytes();
    match symbol.kind {
        SymbolKind::Ean13 => ean13(data),
        SymbolKind::UpcA => ean13(&[b"0", data].concat()),
        SymbolKind::Ean8 => ean8(data),
        SymbolKind::UpcE => upc_e(data),
        SymbolKind::Code39 => code39(data),
        SymbolKind::Itf => itf(data),
        SymbolKind::Codabar => codabar(data),
        SymbolKind::Code93 => code93(data),
        SymbolKind::Code128 => code128(&symbol.raw),
        SymbolKind::Gs1128 => code128(&gs1(&symbol.raw)),
        _ => None,
    }
}

/// Widths of space, bar, space, bar of a digit with odd parity (set A); reversed they are set B.
const EAN: [[u8; 4]; 10] = [
    [3, 2, 1, 1],
    [2, 2, 2, 1],
    [2, 1, 2, 2],
    [1, 4, 1, 1],
    [1, 1, 3, 2],
    [1, 2, 3, 1],
    [1, 1, 1, 4],
    [1, 3, 1, 2],
    [1, 2, 1, 3],
    [3, 1, 1, 2],
];

/// By the first digit of an EAN-13: which of the left digits have even parity.
const PARITY: [u8; 10] = [0b000000, 0b001011, 0b001101, 0b001110, 0b010011, 0b011001, 0b011100, 0b010101, 0b010110, 0b011010];

fn digits_of(data: &[u8], n: usize) -> Option<Vec<usize>> {
    (data.len() == n && data.iter().all(u8::is_ascii_digit)).then(|| data.iter().map(|d| usize::from(d - b'0')).collect())
}

fn digit(out: &mut Vec<u8>, digit: usize, even: bool) {
    let widths = EAN.get(digit).copied().unwrap_or_default();
    if even {
        out.extend(widths.iter().rev());
    } else {
        out.extend(widths);
    }
}

fn ean13(data: &[u8]) -> Option<Vec<u8>> {
    let digits = digits_of(data, 13)?;
    let (first, rest) = digits.split_first()?;
    let parity = PARITY.get(*first)?;
    let mut out = vec![1, 1, 1];
    for (i, d) in rest.iter().take(6).enumerate() {
        digit(&mut out, *d, parity & (0b100000 >> i) != 0);
    }
    out.extend([1, 1, 1, 1, 1]);
    rest.iter().skip(6).for_each(|d| digit(&mut out, *d, false));
    out.extend([1, 1, 1]);
    Some(out)
}

fn ean8(data: &[u8]) -> Option<Vec<u8>> {
    let digits = digits_of(data, 8)?;
    let mut out = vec![1, 1, 1];
    digits.iter().take(4).for_each(|d| digit(&mut out, *d, false));
    out.extend([1, 1, 1, 1, 1]);
    digits.iter().skip(4).for_each(|d| digit(&mut out, *d, false));
    out.extend([1, 1, 1]);
    Some(out)
}

/// Of the forms that a command may give only the one with 6 digits, and 7 or 8 with the system before
/// and the check digit behind, are the code itself.
fn upc_e(data: &[u8]) -> Option<Vec<u8>> {
    let all = digits_of(data, data.len())?;
    let (system, body) = match *all.as_slice() {
        [a, b, c, d, e, f] => (0, [a, b, c, d, e, f]),
        [s @ (0 | 1), a, b, c, d, e, f] | [s @ (0 | 1), a, b, c, d, e, f, _] => (s, [a, b, c, d, e, f]),
        _ => return None,
    };
    let [a, b, c, d, e, f] = body;
    let full: Vec<usize> = match f {
        0..=2 => vec![system, a, b, f, 0, 0, 0, 0, c, d, e],
        3 => vec![system, a, b, c, 0, 0, 0, 0, 0, d, e],
        4 => vec![system, a, b, c, d, 0, 0, 0, 0, 0, e],
        _ => vec![system, a, b, c, d, e, 0, 0, 0, 0, f],
    };
    let full: Vec<u8> = full.iter().map(|d| b'0' + *d as u8).collect();
    // Which digits are even is the check digit; system 1 turns it over.
    const EVEN: [u8; 10] = [0b111000, 0b110100, 0b110010, 0b110001, 0b101100, 0b100110, 0b100011, 0b101010, 0b101001, 0b100101];
    let even = EVEN.get(usize::from(check_digit(&full)))? ^ if system == 1 { 0b111111 } else { 0 };
    let mut out = vec![1, 1, 1];
    for (i, d) in body.iter().enumerate() {
        digit(&mut out, *d, even & (0b100000 >> i) != 0);
    }
    out.extend([1, 1, 1, 1, 1, 1]);
    Some(out)
}

const CODE39: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%*";
/// Nine elements each, 1 = wide, in the order of [`CODE39`].
const CODE39_WIDE: [u16; 44] = [
    0x034, 0x121, 0x061, 0x160, 0x031, 0x130, 0x070, 0x025, 0x124, 0x064, 0x109, 0x049, 0x148, 0x019, 0x118, 0x058, 0x00d, 0x10c, 0x04c,
    0x01c, 0x103, 0x043, 0x142, 0x013, 0x112, 0x052, 0x007, 0x106, 0x046, 0x016, 0x181, 0x0c1, 0x1c0, 0x091, 0x190, 0x0d0, 0x085, 0x184,
    0x0c4, 0x0a8, 0x0a2, 0x08a, 0x02a, 0x094,
];

fn code39(data: &[u8]) -> Option<Vec<u8>> {
    let inner = data.strip_prefix(b"*").and_then(|d| d.strip_suffix(b"*")).unwrap_or(data);
    let mut out = Vec::new();
    for byte in [b"*", inner, b"*"].concat() {
        let wide = CODE39_WIDE.get(CODE39.find(char::from(byte))?)?;
        out.extend((0..9).map(|i| if wide & (0x100 >> i) != 0 { 3 } else { 1 }));
        out.push(1);
    }
    out.pop();
    Some(out)
}

fn itf(data: &[u8]) -> Option<Vec<u8>> {
    // Five elements each, 1 = wide.
    const WIDE: [u8; 10] = [0b00110, 0b10001, 0b01001, 0b11000, 0b00101, 0b10100, 0b01100, 0b00011, 0b10010, 0b01010];
    let digits = digits_of(data, data.len() & !1)?;
    let mut out = vec![1, 1, 1, 1];
    for pair in digits.chunks_exact(2) {
        let [a, b] = [WIDE.get(*pair.first()?)?, WIDE.get(*pair.last()?)?];
        for i in 0..5 {
            out.extend([a, b].map(|wide| if wide & (0b10000 >> i) != 0 { 3 } else { 1 }));
        }
    }
    out.extend([3, 1, 1]);
    Some(out)
}

fn codabar(data: &[u8]) -> Option<Vec<u8>> {
    const CHARS: &str = "0123456789-$:/.+ABCD";
    // Seven elements each, 1 = wide.
    const WIDE: [u8; 20] =
        [0x03, 0x06, 0x09, 0x60, 0x12, 0x42, 0x21, 0x24, 0x30, 0x48, 0x0c, 0x18, 0x45, 0x51, 0x54, 0x15, 0x1a, 0x29, 0x0b, 0x0e];
    let mut out = Vec::new();
    for byte in data.to_ascii_uppercase() {
        let wide = WIDE.get(CHARS.find(char::from(byte))?)?;
        out.extend((0..7).map(|i| if wide & (0x40 >> i) != 0 { 3 } else { 1 }));
        out.push(1);
    }
    out.pop()?;
    Some(out)
}

/// Six widths each, the last is the start and stop.
const CODE93: [u32; 48] = [
    131112, 111213, 111312, 111411, 121113, 121212, 121311, 111114, 131211, 141111, 211113, 211212, 211311, 221112, 221211, 231111, 112113,
    112212, 112311, 122112, 132111, 111123, 111222, 111321, 121122, 131121, 212112, 212211, 211122, 211221, 221121, 222111, 112122, 112221,
    122121, 123111, 121131, 311112, 311211, 321111, 112131, 113121, 211131, 121221, 312111, 311121, 122211, 111141,
];

fn code93(data: &[u8]) -> Option<Vec<u8>> {
    let table = CODE39.strip_suffix('*')?;
    let mut values: Vec<usize> = data.iter().map(|b| table.find(char::from(*b))).collect::<Option<_>>()?;
    for most in [20, 15] {
        let sum: usize = values.iter().rev().enumerate().map(|(i, v)| v * (i % most + 1)).sum();
        values.push(sum % 47);
    }
    let mut out = Vec::new();
    for value in [47].into_iter().chain(values).chain([47]) {
        out.extend(widths(*CODE93.get(value)?, 6));
    }
    out.push(1);
    Some(out)
}

fn widths(packed: u32, n: u32) -> impl Iterator<Item = u8> {
    (0..n).rev().map(move |i| (packed / 10u32.pow(i) % 10) as u8)
}

/// Six widths each: values 0 to 102, then the starts A, B, C; the stop is written by hand.
const CODE128: [u32; 106] = [
    212222, 222122, 222221, 121223, 121322, 131222, 122213, 122312, 132212, 221213, 221312, 231212, 112232, 122132, 122231, 113222, 123122,
    123221, 223211, 221132, 221231, 213212, 223112, 312131, 311222, 321122, 321221, 312212, 322112, 322211, 212123, 212321, 232121, 111323,
    131123, 131321, 112313, 132113, 132311, 211313, 231113, 231311, 112133, 112331, 132131, 113123, 113321, 133121, 313121, 211331, 231131,
    213113, 213311, 213131, 311123, 311321, 331121, 312113, 312311, 332111, 314111, 221411, 431111, 111224, 111422, 121124, 121421, 141122,
    141221, 112214, 112412, 122114, 122411, 142112, 142211, 241211, 221114, 413111, 241112, 134111, 111242, 121142, 121241, 114212, 124112,
    124211, 411212, 421112, 421211, 212141, 214121, 412121, 111143, 111341, 131141, 114113, 114311, 411113, 411311, 113141, 114131, 311141,
    411131, 211412, 211214, 211232,
];

fn code128(raw: &[u8]) -> Option<Vec<u8>> {
    let mut values: Vec<usize> = Vec::new();
    let mut set = b'B';
    for part in parts_128(raw) {
        match part {
            Part::Set(to) if values.is_empty() => values.push(103 + usize::from(to - b'A')),
            Part::Set(to) if to != set => values.push(101 - usize::from(to - b'A')),
            Part::Set(_) => {}
            Part::Fnc1 => values.push(102),
            Part::Pair(pair) => values.push(Some(usize::from(pair)).filter(|p| *p < 100)?),
            Part::Byte(byte @ 0x20..=0x5f) => values.push(usize::from(byte - 0x20)),
            Part::Byte(byte @ 0..=0x1f) if set == b'A' => values.push(usize::from(byte) + 64),
            Part::Byte(byte @ 0x60..=0x7f) if set == b'B' => values.push(usize::from(byte - 0x20)),
            Part::Byte(_) => return None,
        }
        if let Part::Set(to) = part {
            set = to;
        }
    }
    let sum: usize = values.iter().enumerate().map(|(i, v)| v * i.max(1)).sum();
    values.push(sum % 103);
    let mut out = Vec::new();
    for value in values {
        out.extend(widths(*CODE128.get(value)?, 6));
    }
    out.extend([2, 3, 3, 1, 1, 1, 2]);
    Some(out)
}

/// GS1-128 in Epson's notation: FNC1 at its head is the printer's, `(`, `)` and blanks are for people.
fn gs1(raw: &[u8]) -> Vec<u8> {
    let inner = raw.iter().copied().filter(|b| !b"() ".contains(b));
    b"{B{1".iter().copied().chain(inner).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_what_a_reader_reads() {
        for (kind, raw, read) in [
            (SymbolKind::Ean13, &b"400638133393"[..], "4006381333931"),
            (SymbolKind::Ean13, b"4006381333931", "4006381333931"),
            (SymbolKind::Ean8, b"9638507", "96385074"),
            (SymbolKind::UpcA, b"03600029145", "036000291452"),
            (SymbolKind::Code128, b"{BZX81{C\x04\x2c\x47", "ZX81044471"),
            (SymbolKind::Code128, b"{A{{x{1y", "{x\u{1d}y"),
            (SymbolKind::Code128, b"NO SET", "NO SET"),
            (SymbolKind::Qr, "für Elise".as_bytes(), "für Elise"),
            (SymbolKind::Qr, b"\x81ber", "über"),
        ] {
            assert_eq!(data(kind, raw, false), read);
        }
    }

    fn symbol(kind: SymbolKind, raw: &[u8]) -> Symbol {
        Symbol { kind, data: data(kind, raw, false), raw: raw.to_vec(), look: Look::default(), align: Default::default() }
    }

    #[test]
    fn bars_have_their_standard_widths() {
        for (kind, raw, modules) in [
            (SymbolKind::Ean13, &b"4006381333931"[..], 95),
            (SymbolKind::UpcA, b"036000291452", 95),
            (SymbolKind::Ean8, b"96385074", 67),
            (SymbolKind::UpcE, b"425261", 51),
            (SymbolKind::Code128, b"{BAB", 11 * 4 + 13),
            (SymbolKind::Code128, b"{C\x01\x02", 11 * 4 + 13),
            (SymbolKind::Code93, b"TEST93", 9 * 10 + 1),
            (SymbolKind::Code39, b"A1", 15 * 4 + 3),
            (SymbolKind::Itf, b"1234", 18 * 2 + 4 + 5),
        ] {
            let bars = bars(&symbol(kind, raw)).unwrap_or_else(|| panic!("{kind}"));
            assert_eq!(bars.iter().map(|w| u32::from(*w)).sum::<u32>(), modules, "{kind}");
            assert_eq!(bars.len() % 2, 1, "{kind} begins and ends with a bar");
        }
        assert_eq!(bars(&symbol(SymbolKind::Ean13, b"12")), None);
        assert_eq!(bars(&symbol(SymbolKind::Itf, b"123")), None);
    }

    #[test]
    fn a_qr_code_is_square() {
        let rows = squares(&symbol(SymbolKind::Qr, b"https://example.org")).unwrap();
        assert!(rows.len() >= 25 && rows.iter().all(|row| row.len() == rows.len()));
        assert!(rows[0][..7].iter().all(|dark| *dark) && !rows[0][7]);
        assert_eq!(squares(&symbol(SymbolKind::Qr, &[b'x'; 4000])), None);
    }
}
