//! Bytes of text become characters, by the code page, the international set and the two-byte codes that
//! the stream or the settings chose.
//!
//! A character that comes in two pieces is put together. What a page does not define becomes U+FFFD.

use encoding_rs::{BIG5, EUC_JP, EUC_KR, Encoding, GB18030, SHIFT_JIS};
use std::borrow::Cow;

/// The upper halves of the code pages: a name, a tab and 128 characters a line.
const PAGES: &str = include_str!("codepages.txt");

/// Two-byte codes that a stream cannot name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // their names say it
pub enum Multibyte {
    ShiftJis,
    Gb18030,
    Big5,
    EucKr,
}

impl Multibyte {
    /// From the word of the settings: `shift_jis`, `gb18030`, `big5`, `euc-kr`.
    pub fn from_word(word: &str) -> Option<Multibyte> {
        match word {
            "shift_jis" => Some(Multibyte::ShiftJis),
            "gb18030" => Some(Multibyte::Gb18030),
            "big5" => Some(Multibyte::Big5),
            "euc-kr" => Some(Multibyte::EucKr),
            _ => None,
        }
    }
}

/// Which numbers mean which code pages: they differ by maker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // their names say it
pub enum Table {
    #[default]
    Epson,
    Citizen,
    Fujitsu,
    Bixolon,
    Xprinter,
    Pos5890,
    Pos8360,
    Youku,
    Mpt,
    Hp,
    Sunmi,
    StarEscPos,
    /// Star's own languages.
    Star,
}

impl Table {
    /// From the word of the settings.
    pub fn from_word(word: &str) -> Option<Table> {
        Some(match word {
            "epson" => Table::Epson,
            "citizen" => Table::Citizen,
            "fujitsu" => Table::Fujitsu,
            "bixolon" => Table::Bixolon,
            "xprinter" => Table::Xprinter,
            "pos-5890" | "zijang" => Table::Pos5890,
            "pos-8360" => Table::Pos8360,
            "youku" => Table::Youku,
            "mpt" => Table::Mpt,
            "hp" => Table::Hp,
            "sunmi" => Table::Sunmi,
            "star" => Table::StarEscPos,
            _ => return None,
        })
    }

    /// The name of a page in `codepages.txt`.
    fn page(self, n: u8) -> Option<&'static str> {
        let own = match self {
            Table::Epson => None,
            Table::Citizen => find(CITIZEN, n),
            Table::Fujitsu => find(FUJITSU, n),
            Table::Bixolon => find(BIXOLON, n),
            Table::Xprinter => find(XPRINTER, n),
            Table::Pos5890 => find(POS5890, n),
            Table::Pos8360 => find(POS8360, n).or_else(|| find(POS5890, n)),
            Table::Youku => find(YOUKU, n).or_else(|| find(MPT, n)),
            Table::Mpt => find(MPT, n),
            Table::Hp => return find(HP, n),
            Table::Sunmi => (n == 21).then_some("cp874"),
            Table::StarEscPos => (n == 1).then_some("star/katakana"),
            Table::Star => return find(STAR, n),
        };
        own.or_else(|| find(EPSON, n))
    }
}

fn find(table: &[(u8, &'static str)], n: u8) -> Option<&'static str> {
    table.iter().find(|(number, _)| *number == n).map(|(_, name)| *name)
}

#[rustfmt::skip]
const EPSON: &[(u8, &str)] = &[
    (0, "cp437"), (1, "katakana"), (2, "cp850"), (3, "cp860"), (4, "cp863"), (5, "cp865"), (11, "cp851"), (12, "cp853"),
    (13, "cp857"), (14, "cp737"), (15, "iso7"), (16, "cp1252"), (17, "cp866"), (18, "cp852"), (19, "cp858"), (20, "thai42"),
    (21, "thai11"), (22, "thai13"), (23, "thai14"), (24, "thai16"), (26, "thai18"), (30, "tcvn3"), (31, "tcvn3capitals"),
    (32, "cp720"), (33, "cp775"), (34, "cp855"), (35, "cp861"), (36, "cp862"), (37, "cp864"), (38, "cp869"),
    (39, "iso2-epson"), (40, "iso15"), (41, "cp1098"), (42, "cp774"), (43, "cp772"), (44, "cp1125"), (45, "cp1250"),
    (46, "cp1251"), (47, "cp1253"), (48, "cp1254"), (49, "cp1255"), (50, "cp1256"), (51, "cp1257"), (52, "cp1258"),
    (53, "rk1048"),
];
#[rustfmt::skip]
const CITIZEN: &[(u8, &str)] =
    &[(2, "cp858"), (6, "cp852"), (7, "cp866"), (8, "cp857"), (32, "cp1258"), (40, "cp864")];
const FUJITSU: &[(u8, &str)] = &[(8, "cp857"), (40, "cp864")];
#[rustfmt::skip]
const BIXOLON: &[(u8, &str)] = &[
    (21, "cp862"), (22, "cp864"), (23, "thai42"), (24, "cp1253"), (25, "cp1254"), (26, "cp1257"), (28, "cp1251"), (29, "cp737"),
    (30, "cp775"), (31, "thai14"), (32, "bixolon/hebrew"), (33, "cp1255"), (34, "thai11"), (35, "thai18"), (36, "cp855"),
    (37, "cp857"), (38, "iso7"), (39, "thai16"), (40, "cp1256"), (41, "cp1258"), (46, "bixolon/cp866"), (47, "cp1250"),
    (49, "tcvn3"), (50, "tcvn3capitals"), (51, "viscii"),
];
#[rustfmt::skip]
const XPRINTER: &[(u8, &str)] = &[
    (6, "iso1"), (7, "cp1253"), (8, "xprinter/hebrew"), (9, "cp3012"), (11, "cp1255"), (21, "latvian"), (22, "cp864"),
    (23, "cp1251"), (24, "cp737"), (25, "cp1257"), (33, "cp1256"),
];
#[rustfmt::skip]
const POS5890: &[(u8, &str)] = &[
    (6, "iso1"), (8, "cp862"), (23, "cp1251"), (24, "cp737"), (25, "cp1257"), (27, "cp1258"), (28, "cp864"), (32, "cp1255"),
    (56, "cp861"), (60, "cp855"), (61, "cp857"), (65, "cp851"), (66, "cp869"), (68, "cp772"), (69, "cp774"), (72, "cp1250"),
    (76, "cp3843"), (77, "cp3844"), (78, "cp3845"), (79, "cp3846"), (80, "cp3847"), (81, "cp3848"), (90, "cp1253"),
    (91, "cp1254"), (92, "cp1256"), (93, "cp720"), (95, "cp775"),
];
const POS8360: &[(u8, &str)] = &[(7, "cp1253"), (21, "latvian"), (31, "pos8360/hebrew")];
const MPT: &[(u8, &str)] = &[(6, "cp1251"), (7, "cp866"), (8, "cp3021"), (9, "cp3012")];
#[rustfmt::skip]
const YOUKU: &[(u8, &str)] = &[
    (15, "cp862"), (22, "cp864"), (23, "iso1"), (24, "cp737"), (25, "cp1257"), (28, "cp855"), (29, "cp857"), (30, "cp1250"),
    (31, "cp775"), (32, "cp1254"), (33, "cp1255"), (34, "cp1256"), (35, "cp1258"), (44, "iso15"), (47, "cp874"),
];
#[rustfmt::skip]
const HP: &[(u8, &str)] = &[
    (0, "cp437"), (1, "cp850"), (2, "cp852"), (3, "cp860"), (4, "cp863"), (5, "cp865"), (6, "cp858"), (7, "cp866"),
    (8, "cp1252"), (9, "cp862"), (10, "cp737"), (11, "cp874"), (12, "cp857"), (13, "cp1251"), (14, "cp1255"), (15, "rk1048"),
];
#[rustfmt::skip]
const STAR: &[(u8, &str)] = &[
    (0, "star/standard"), (1, "cp437"), (2, "star/katakana"), (3, "cp437"), (4, "cp858"), (5, "cp852"), (6, "cp860"),
    (7, "cp861"), (8, "cp863"), (9, "cp865"), (10, "cp866"), (11, "cp855"), (12, "cp857"), (13, "cp862"), (14, "cp864"),
    (15, "cp737"), (16, "cp851"), (17, "cp869"), (18, "star/cp928"), (19, "cp772"), (20, "cp774"), (21, "star/cp874"),
    (32, "cp1252"), (33, "cp1250"), (34, "cp1251"), (64, "cp3840"), (65, "cp3841"), (66, "cp3843"), (67, "cp3844"),
    (68, "cp3845"), (69, "cp3846"), (70, "cp3847"), (71, "cp3848"), (72, "cp1001"), (74, "cp3001"), (75, "cp3002"),
    (76, "cp3011"), (77, "cp3012"), (78, "cp3021"), (79, "cp3041"),
];

/// Bytes that `ESC R n` replaces, from country 1 on: byte and character in turn.
const INTERNATIONAL: &[&str] = &[
    "@à[°\\ç]§{é|ù}è~¨",
    "@§[Ä\\Ö]Ü{ä|ö}ü~ß",
    "#£",
    "[Æ\\Ø]Å{æ|ø}å",
    "$¤@É[Ä\\Ö]Å^Ü`é{ä|ö}å~ü",
    "[°]é`ù{à|ò}è~ì",
    "#₧[¡\\Ñ]¿`´{¨|ñ",
    "\\¥",
    "$¤@É[Æ\\Ø]Å^Ü`é{æ|ø}å~ü",
    "@É[Æ\\Ø]Å^Ü`é{æ|ø}å~ü",
    "@á[¡\\Ñ]¿^é`´{í|ñ}ó~ú",
    "@á[¡\\Ñ]¿^é`ü{í|ñ}ó~ú",
    "\\₩",
    "@Ž[Š\\Đ]Ć^Č`ž{š|đ}ć~č",
    "$¥",
    "#₫",
    "%٪*٭",
];

/// What bytes of two and more mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wide {
    None,
    Utf8,
    /// Lead bytes anywhere.
    Code(&'static Encoding),
    /// Pairs of seven bits, between `FS &` and `FS .`.
    Jis,
}

/// Reads text. What it was told is kept until [`Charset::reset`].
#[derive(Debug)]
pub struct Charset {
    numbers: Table,
    setting: Option<Multibyte>,
    utf8: bool,
    page: Option<Vec<char>>,
    /// The page was chosen, and is not the one that the printer begins with.
    chosen: bool,
    international: &'static str,
    wide: Wide,
    /// `FS C`: the kanji code that was chosen.
    kanji: Option<bool>,
    /// The country's hint at a two-byte code.
    hint: Option<&'static Encoding>,
    pending: Vec<u8>,
    /// A page that no table knows was chosen since this was last taken.
    pub unknown_page: bool,
    /// Something was said about the charset since this was last taken.
    pub told: bool,
}

impl Charset {
    /// As the settings say: numbers of pages, the two-byte code, UTF-8 as the default.
    pub fn new(numbers: Table, setting: Option<Multibyte>, utf8: bool) -> Charset {
        let mut charset = Charset {
            numbers,
            setting,
            utf8,
            page: None,
            chosen: false,
            international: "",
            wide: Wide::None,
            kanji: None,
            hint: None,
            pending: Vec::new(),
            unknown_page: false,
            told: false,
        };
        charset.reset();
        charset
    }

    /// As after `ESC @`.
    pub fn reset(&mut self) {
        self.page = page_of(self.numbers.page(0).unwrap_or("cp437"));
        (self.international, self.kanji, self.hint, self.chosen) = ("", None, None, false);
        self.wide = match self.setting {
            Some(code) => Wide::Code(code.encoding()),
            None if self.utf8 => Wide::Utf8,
            None => Wide::None,
        };
        self.pending.clear();
    }

    /// Whether it stands as after a reset, without a setting of its own.
    pub fn is_default(&self) -> bool {
        self.wide == Wide::None && self.setting.is_none() && !self.told && !self.chosen
    }

    /// `ESC t n`. Page 255 and those that nobody knows read as PC437.
    pub fn choose_page(&mut self, n: u8) {
        let name = self.numbers.page(n);
        self.unknown_page |= name.is_none();
        self.page = page_of(name.unwrap_or("cp437"));
        (self.told, self.chosen) = (true, true);
    }

    /// `ESC R n`.
    pub fn choose_country(&mut self, n: u8) {
        self.international = usize::from(n).checked_sub(1).and_then(|i| INTERNATIONAL.get(i)).copied().unwrap_or("");
        self.hint = match n {
            13 => Some(EUC_KR),
            15 => Some(GB18030),
            _ => self.hint,
        };
        self.told = true;
    }

    /// `FS C n`: JIS or Shift JIS.
    pub fn choose_kanji(&mut self, n: u8) {
        match n {
            1 | 2 | 49 | 50 => {
                self.kanji = Some(true);
                self.wide = Wide::Code(SHIFT_JIS);
            }
            _ => {
                self.kanji = Some(false);
                if self.setting.is_none() && self.wide == Wide::Code(SHIFT_JIS) {
                    self.wide = Wide::None;
                }
            }
        }
        self.told = true;
    }

    /// `FS &` and `FS .`, or Star's `ESC p` and `ESC q` with `jis`.
    pub fn kanji_mode(&mut self, on: bool, jis: bool) {
        self.told |= on;
        let shift = self.kanji == Some(true);
        self.wide = match (self.setting, on) {
            _ if shift => Wide::Code(SHIFT_JIS),
            _ if self.wide == Wide::Utf8 => Wide::Utf8,
            (_, true) if jis || self.kanji == Some(false) => Wide::Jis,
            (Some(code), true) => Wide::Code(code.encoding()),
            (None, true) => Wide::Code(self.hint.unwrap_or(GB18030)),
            (_, false) => Wide::None,
        };
    }

    /// Star's `ESC $ n`: Shift JIS on or off. A printer that knows it begins with Katakana.
    pub fn shift_jis(&mut self, on: bool) {
        if !self.chosen {
            self.page = page_of("katakana");
            self.chosen = true;
        }
        self.wide = if on { Wide::Code(SHIFT_JIS) } else { Wide::None };
        self.told = true;
    }

    /// `FS ( C`: UTF-8 on or off.
    pub fn choose_utf8(&mut self, on: bool) {
        self.wide = if on { Wide::Utf8 } else { Wide::None };
        self.told = true;
    }

    /// Reads a run of bytes from 20 to FF and appends what they say.
    pub fn read(&mut self, bytes: &[u8], out: &mut String) {
        let plain = self.international.is_empty() && self.pending.is_empty() && self.wide != Wide::Jis;
        let mut rest = bytes;
        while !rest.is_empty() {
            if plain {
                let end = rest.iter().position(|b| *b >= 0x7f).unwrap_or(rest.len());
                let (ascii, more) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                out.push_str(std::str::from_utf8(ascii).unwrap_or_default());
                rest = more;
                if self.wide == Wide::None {
                    let end = rest.iter().position(|b| *b < 0x7f).unwrap_or(rest.len());
                    let (high, more) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                    out.extend(high.iter().map(|b| self.single(*b)));
                    rest = more;
                    continue;
                }
            }
            // The slow way for as long as something stands open.
            while let Some((&byte, more)) = rest.split_first() {
                self.byte(byte, out);
                rest = more;
                if plain && self.pending.is_empty() {
                    break;
                }
            }
        }
    }

    /// What stands open is no character: the line or the style ended inside it.
    pub fn settle(&mut self, out: &mut String) {
        if !self.pending.is_empty() {
            self.pending.clear();
            out.push('\u{fffd}');
        }
    }

    fn single(&self, byte: u8) -> char {
        match byte {
            0x7f => '\u{fffd}',
            // Half-width Katakana.
            0xa1..=0xdf if self.wide == Wide::Code(SHIFT_JIS) => char::from_u32(0xff61 + u32::from(byte - 0xa1)).unwrap_or('\u{fffd}'),
            0x80.. => self.page.as_ref().and_then(|page| page.get(usize::from(byte) - 0x80)).copied().unwrap_or('\u{fffd}'),
            _ => {
                let mut pairs = self.international.chars();
                while let (Some(from), Some(to)) = (pairs.next(), pairs.next()) {
                    if from == char::from(byte) {
                        return to;
                    }
                }
                char::from(byte)
            }
        }
    }

    fn byte(&mut self, byte: u8, out: &mut String) {
        if self.pending.is_empty() {
            match length(self.wide, byte) {
                1 => out.push(self.single(byte)),
                _ => self.pending.push(byte),
            }
            return;
        }
        self.pending.push(byte);
        let first = self.pending.first().copied().unwrap_or(0);
        let wanted = match self.wide {
            Wide::Code(code) if code == GB18030 && matches!(self.pending.get(1), Some(0x30..=0x39)) => 4,
            wide => length(wide, first),
        };
        let broken = self.wide == Wide::Utf8 && !(0x80..0xc0).contains(&byte);
        if self.pending.len() < wanted && !broken {
            return;
        }
        let bytes = std::mem::take(&mut self.pending);
        match whole(self.wide, &bytes) {
            Some(text) => out.push_str(&text),
            // No such character: the first byte is read alone, the others again.
            None => {
                out.push(self.single(first));
                for byte in bytes.iter().skip(1) {
                    self.byte(*byte, out);
                }
            }
        }
    }
}

impl Multibyte {
    fn encoding(self) -> &'static Encoding {
        match self {
            Multibyte::ShiftJis => SHIFT_JIS,
            Multibyte::Gb18030 => GB18030,
            Multibyte::Big5 => BIG5,
            Multibyte::EucKr => EUC_KR,
        }
    }
}

fn page_of(name: &str) -> Option<Vec<char>> {
    PAGES.lines().filter_map(|line| line.split_once('\t')).find(|(page, _)| *page == name).map(|(_, chars)| chars.chars().collect())
}

/// Bytes that a character takes, by its first one.
fn length(wide: Wide, byte: u8) -> usize {
    match wide {
        Wide::None => 1,
        Wide::Jis => 1 + usize::from((0x21..0x7f).contains(&byte)),
        Wide::Utf8 => match byte {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        },
        Wide::Code(code) if code == SHIFT_JIS => match byte {
            0x81..=0x9f | 0xe0..=0xfc => 2,
            _ => 1,
        },
        Wide::Code(_) => 1 + usize::from((0x81..0xff).contains(&byte)),
    }
}

fn whole(wide: Wide, bytes: &[u8]) -> Option<Cow<'_, str>> {
    match wide {
        Wide::None => None,
        Wide::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Wide::Jis => {
            let euc: Vec<u8> = bytes.iter().map(|b| b | 0x80).collect();
            Some(Cow::Owned(EUC_JP.decode_without_bom_handling_and_without_replacement(&euc)?.into_owned()))
        }
        Wide::Code(code) => code.decode_without_bom_handling_and_without_replacement(bytes),
    }
}

/// Bytes of a code or a stored text that name no charset: UTF-8 where they are, else as PC437.
pub fn guess_text(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    let page = page_of("cp437").unwrap_or_default();
    let high = |b: &u8| page.get(usize::from(*b).wrapping_sub(0x80)).copied();
    bytes.iter().map(|b| high(b).unwrap_or(char::from(*b))).collect()
}
