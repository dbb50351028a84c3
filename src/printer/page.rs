//! The paper as it came out: lines of styled text, symbols and pictures, in print order.
//!
//! A page has bounds: what goes beyond [`TEXT_MAX`], [`ITEMS_MAX`] or [`DOTS_MAX`] is left out and
//! [`Page::cut_short`] says so.

use super::symbol::Symbol;

/// Bytes of text on one page.
pub const TEXT_MAX: usize = 1024 * 1024;
/// Lines, feeds, pictures and symbols on one page, and spans in them.
pub const ITEMS_MAX: usize = 20_000;
/// Bytes of pictures on one page, 8 dots each.
pub const DOTS_MAX: usize = 8 * 1024 * 1024;

/// What one receipt looks like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// In print order.
    pub items: Vec<Item>,
    /// Pulses for the cash drawer: the number of its connector, 1 or 2, for each.
    pub drawer: Vec<u8>,
    /// Something was left out as the page was over its bounds.
    pub cut_short: bool,
}

/// A thing on the paper.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A printed line; without spans an empty one.
    Line(Line),
    /// Paper moved on by so many dots.
    Feed(u32),
    /// A code.
    Symbol(Symbol),
    /// A picture, or several that hang together.
    Image(Bitmap),
    /// A picture that the printer has stored, by its key.
    Logo(String),
}

/// One printed line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// Pieces of one style each.
    pub spans: Vec<Span>,
    /// Where it stands.
    pub align: Align,
    /// Left edge of the print area, in dots.
    pub left: u16,
    /// Width of the print area in dots; 0 = the paper's.
    pub area: u16,
    /// Dots from this line to the next.
    pub advance: u16,
}

/// Text of one style.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Span {
    /// As Unicode.
    pub text: String,
    /// How it looks.
    pub style: Style,
    /// Where it was placed, in dots from the left edge of the print area; `None` = follows on.
    pub at: Option<u16>,
}

/// Attributes of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Heavy.
    pub bold: bool,
    /// Dots of the line under it: 0, 1, 2.
    pub underline: u8,
    /// White on black.
    pub invert: bool,
    /// Times the normal width, 1 to 8.
    pub width: u8,
    /// Times the normal height, 1 to 8.
    pub height: u8,
    /// 0 = font A (12 × 24 dots), 1 = font B (9 × 17 dots).
    pub font: u8,
    /// Dots between characters.
    pub spacing: u8,
}

impl Default for Style {
    fn default() -> Style {
        Style { bold: false, underline: 0, invert: false, width: 1, height: 1, font: 0, spacing: 0 }
    }
}

impl Style {
    /// Dots that a character of so many cells takes.
    pub fn advance(&self, cells: u32) -> u32 {
        let one = if self.font == 0 { 12 } else { 9 };
        (one * cells + u32::from(self.spacing)) * u32::from(self.width)
    }

    /// Dots from top to bottom.
    pub fn tall(&self) -> u32 {
        u32::from(self.height) * if self.font == 0 { 24 } else { 17 }
    }
}

/// Where a line stands in the print area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Align {
    /// At the left edge.
    #[default]
    Left,
    /// In the middle.
    Center,
    /// At the right edge.
    Right,
}

impl Align {
    /// From the parameter of the command: 0, 1, 2 or as digits.
    pub fn from_byte(n: u8) -> Option<Align> {
        match n {
            0 | 48 => Some(Align::Left),
            1 | 49 => Some(Align::Center),
            2 | 50 => Some(Align::Right),
            _ => None,
        }
    }

    /// `left`, `center`, `right`.
    pub const fn word(self) -> &'static str {
        match self {
            Align::Left => "left",
            Align::Center => "center",
            Align::Right => "right",
        }
    }
}

/// A picture of one bit a dot: 1 = black, the most significant bit left, each row padded to a byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    /// Dots across.
    pub width: u32,
    /// Dots down.
    pub height: u32,
    /// `height` rows of ⌈width / 8⌉ bytes.
    pub rows: Vec<u8>,
    /// Printed that many times as wide.
    pub wide: u8,
    /// Printed that many times as high.
    pub high: u8,
    /// Where it stands.
    pub align: Align,
    /// Dots from the left edge.
    pub left: u16,
}

impl Bitmap {
    /// From rows as printers send them; short data gives fewer rows, longer data is left out.
    pub fn from_rows(width: u32, height: u32, rows: &[u8]) -> Bitmap {
        let stride = width.div_ceil(8) as usize;
        let height = (height as usize).min(rows.len().checked_div(stride).unwrap_or(0));
        let kept = rows.get(..stride * height).unwrap_or_default();
        Bitmap { width, height: height as u32, rows: kept.to_vec(), wide: 1, high: 1, ..Bitmap::default() }
    }

    /// From columns that run top to bottom, `bytes` bytes each, then right.
    pub fn from_columns(columns: &[u8], bytes: usize) -> Bitmap {
        let bytes = bytes.max(1);
        let width = columns.len() / bytes;
        let stride = width.div_ceil(8);
        let mut rows = vec![0u8; stride * bytes * 8];
        for (x, column) in columns.chunks_exact(bytes).enumerate() {
            for (y, byte) in column.iter().enumerate().filter(|(_, byte)| **byte != 0) {
                for bit in (0..8).filter(|bit| byte & (0x80 >> bit) != 0) {
                    if let Some(cell) = rows.get_mut((y * 8 + bit) * stride + x / 8) {
                        *cell |= 0x80 >> (x % 8);
                    }
                }
            }
        }
        Bitmap { width: width as u32, height: (bytes * 8) as u32, rows, wide: 1, high: 1, ..Bitmap::default() }
    }

    /// Bytes of one row.
    pub fn stride(&self) -> usize {
        self.width.div_ceil(8) as usize
    }

    /// Whether the dot is black; dots outside are white.
    pub fn dot(&self, x: u32, y: u32) -> bool {
        let at = y as usize * self.stride() + x as usize / 8;
        x < self.width && self.rows.get(at).is_some_and(|byte| byte & (0x80 >> (x % 8)) != 0)
    }

    /// The same picture on wider paper.
    fn widen(&mut self, width: u32) {
        let (from, to) = (self.stride(), width.div_ceil(8) as usize);
        if to > from && from > 0 {
            let mut rows = Vec::with_capacity(to * self.height as usize);
            for row in self.rows.chunks_exact(from) {
                rows.extend_from_slice(row);
                rows.resize(rows.len() + to - from, 0);
            }
            self.rows = rows;
        }
        self.width = self.width.max(width);
    }

    /// Puts another below this one, after `gap` white rows.
    pub fn stack(&mut self, mut below: Bitmap, gap: u32) {
        let width = self.width.max(below.width);
        self.widen(width);
        below.widen(width);
        self.rows.resize(self.rows.len() + gap as usize * self.stride(), 0);
        self.rows.append(&mut below.rows);
        self.height += gap + below.height;
    }
}

impl Line {
    /// The spans from left to right, each with the blanks before it: columns stand apart by at least one, and
    /// about where they stand on the paper. What was printed twice in one place is there once.
    pub fn columns(&self) -> Vec<(usize, &Span)> {
        let mut end = 0u32;
        let mut backwards = false;
        let mut order: Vec<(u32, &Span)> = Vec::with_capacity(self.spans.len());
        for span in &self.spans {
            let start = span.at.map_or(end, u32::from);
            backwards |= start < end;
            let cells: u32 = span.text.chars().map(cells_of).sum();
            end = start.saturating_add(span.style.advance(1).saturating_mul(cells));
            order.push((start, span));
        }
        if backwards {
            order.sort_by_key(|(start, _)| *start);
            order.dedup_by(|(x, over), (y, first)| x == y && over.text == first.text);
        }
        let (mut cells, mut blank) = (0usize, true);
        let mut columns = Vec::with_capacity(order.len());
        for (start, span) in order {
            let mut pad = 0;
            if cells > 0 && (span.at.is_some() || backwards) {
                let column = start as usize / if span.style.font == 0 { 12 } else { 9 };
                pad = column.min(80).saturating_sub(cells).max(usize::from(!blank && span.at.is_some()));
            }
            cells += pad + span.text.chars().map(|c| cells_of(c) as usize).sum::<usize>();
            blank = span.text.chars().next_back().map_or(blank, |c| c == ' ');
            columns.push((pad, span));
        }
        columns
    }

    /// What it says, without blanks at its end.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for (pad, span) in self.columns() {
            out.extend(std::iter::repeat_n(' ', pad));
            out.extend(span.text.chars().map(|c| match c {
                '\u{ad}' => '-',
                '\u{a0}' => ' ',
                c => c,
            }));
        }
        out.truncate(out.trim_end().len());
        out
    }

    /// Whether nothing can be seen.
    pub fn is_blank(&self) -> bool {
        self.spans.iter().all(|span| span.text.chars().all(char::is_whitespace) && !span.style.invert)
    }
}

impl Page {
    /// Whether nothing can be seen.
    pub fn is_blank(&self) -> bool {
        self.items.iter().all(|item| match item {
            Item::Line(line) => line.is_blank(),
            Item::Feed(_) => true,
            Item::Symbol(_) | Item::Image(_) | Item::Logo(_) => false,
        })
    }

    /// Whether it says nothing by itself: pictures and no text, as drivers in graphics mode print.
    pub fn is_picture(&self) -> bool {
        self.images().next().is_some() && self.lines().all(Line::is_blank) && self.symbols().next().is_none()
    }

    /// The text form without the markers of drawer and cut: one line for each printed line, a marker
    /// `{…}` for each symbol, picture and stored picture.
    pub fn text(&self) -> Vec<String> {
        let lines = self.items.iter().filter_map(|item| match item {
            Item::Line(line) => {
                let text = line.text();
                Some(if text.starts_with('{') { format!("\\{text}") } else { text })
            }
            Item::Feed(_) => None,
            Item::Symbol(symbol) => Some(format!("{{{}}} {}", symbol.kind.word(), one_line(&symbol.data))),
            Item::Image(_) => Some("{image}".to_owned()),
            Item::Logo(_) => Some("{logo}".to_owned()),
        });
        lines.collect()
    }

    /// The lines of text alone.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.items.iter().filter_map(|item| match item {
            Item::Line(line) => Some(line),
            _ => None,
        })
    }

    /// The codes.
    pub fn symbols(&self) -> impl Iterator<Item = &Symbol> {
        self.items.iter().filter_map(|item| match item {
            Item::Symbol(symbol) => Some(symbol),
            _ => None,
        })
    }

    /// The pictures.
    pub fn images(&self) -> impl Iterator<Item = &Bitmap> {
        self.items.iter().filter_map(|item| match item {
            Item::Image(bitmap) => Some(bitmap),
            _ => None,
        })
    }
}

/// A code's data on one line: what cannot stand in a line is written as a blank.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Columns that a character takes: two for the scripts of East Asia, none for marks above and below.
pub fn cells_of(c: char) -> u32 {
    match c {
        '\u{0300}'..='\u{036f}' | '\u{0e31}' | '\u{0e34}'..='\u{0e3a}' | '\u{0e47}'..='\u{0e4e}' => 0,
        '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' => 2,
        '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, at: Option<u16>) -> Span {
        Span { text: text.into(), at, ..Span::default() }
    }

    #[test]
    fn columns_stand_apart() {
        let line = |spans: Vec<Span>| Line { spans, ..Line::default() }.text();
        assert_eq!(line(vec![span("Ticket", None), span("14.50", Some(240))]), "Ticket              14.50");
        assert_eq!(line(vec![span("TOTAL", None), span("1", Some(24))]), "TOTAL 1");
        assert_eq!(line(vec![span("|", Some(0)), span("|", Some(120)), span("Milk", Some(12))]), "| Milk    |");
        assert_eq!(line(vec![span("TOTAL", Some(12)), span("TOTAL", Some(12)), span("9", Some(240))]), "TOTAL               9");
        assert_eq!(line(vec![span("MIDDLE  ", Some(120))]), "MIDDLE");
        assert_eq!(line(vec![span("a\u{ad}b\u{a0}c", None)]), "a-b c");
    }

    #[test]
    fn columns_of_dots_become_rows() {
        let bitmap = Bitmap::from_columns(&[0x80, 0x01, 0xff], 1);
        assert_eq!((bitmap.width, bitmap.height), (3, 8));
        assert_eq!(bitmap.rows, [0b1010_0000, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20, 0b0110_0000]);
        assert!(bitmap.dot(0, 0) && !bitmap.dot(1, 0) && bitmap.dot(1, 7) && !bitmap.dot(3, 0) && !bitmap.dot(0, 8));
    }

    #[test]
    fn bands_are_stacked() {
        let mut bitmap = Bitmap::from_rows(8, 1, &[0xff]);
        bitmap.stack(Bitmap::from_rows(16, 2, &[1, 2, 3, 4]), 1);
        assert_eq!((bitmap.width, bitmap.height), (16, 4));
        assert_eq!(bitmap.rows, [0xff, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(Bitmap::from_rows(8, 100, &[1, 2]).height, 2);
    }
}
