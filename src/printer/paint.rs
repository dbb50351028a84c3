//! The paper as a picture: printer dots one to one, 203 in an inch, one bit a dot.
//!
//! The fonts are bitmaps of 12 × 24 and 9 × 17 dots, made from the Terminus font by a change of its format
//! (licence: `font/OFL.txt`). A character that they lack is a box: East Asian text is for the HTML form.

use super::page::{Align, Bitmap, Item, Line, Page, Style, cells_of};
use super::png;
use super::symbol::{self, Symbol, SymbolKind};
use flate2::read::DeflateDecoder;
use std::io::Read;

/// Dots across paper of 80 mm and of 58 mm.
pub const WIDE: u32 = 576;
/// See [`WIDE`].
pub const NARROW: u32 = 384;
/// Dots down; a longer receipt is cut off.
const TALL_MAX: u32 = 32_000;
/// Dots of white above and below.
const MARGIN: u32 = 16;

/// The paper as a PNG file, so many dots across.
pub fn png(page: &Page, width: u32) -> Vec<u8> {
    let canvas = paint(page, width);
    png::encode(canvas.width, canvas.height, &canvas.rows)
}

/// A single picture as a PNG file, as large as it is printed.
pub fn picture_png(bitmap: &Bitmap) -> Vec<u8> {
    let (wide, high) = (u32::from(bitmap.wide.max(1)), u32::from(bitmap.high.max(1)));
    let mut canvas = Canvas::new(bitmap.width * wide);
    canvas.bitmap(&Bitmap { align: Align::Left, left: 0, ..bitmap.clone() });
    canvas.height = (bitmap.height * high).min(TALL_MAX);
    canvas.fit();
    png::encode(canvas.width, canvas.height, &canvas.rows)
}

/// A code as a PNG file; `None` where it cannot be drawn here.
pub fn symbol_png(symbol: &Symbol) -> Option<Vec<u8>> {
    let width = symbol_width(symbol)?;
    let mut canvas = Canvas::new(width + 8 * u32::from(symbol.look.module));
    canvas.symbol(&Symbol { align: Align::Center, ..symbol.clone() }, None);
    canvas.fit();
    Some(png::encode(canvas.width, canvas.height, &canvas.rows))
}

fn symbol_width(symbol: &Symbol) -> Option<u32> {
    let module = u32::from(symbol.look.module.max(1));
    match symbol.kind {
        SymbolKind::Qr => Some(symbol::squares(symbol)?.len() as u32 * module),
        _ => Some(symbol::bars(symbol)?.iter().map(|w| u32::from(*w)).sum::<u32>() * module),
    }
}

/// Paints the paper.
pub fn paint(page: &Page, width: u32) -> Canvas {
    let fonts = Fonts::load();
    let mut canvas = Canvas::new(width.clamp(64, 2048));
    canvas.height = MARGIN;
    for item in &page.items {
        match item {
            Item::Line(line) => canvas.line(line, &fonts),
            Item::Feed(dots) => canvas.down(*dots),
            Item::Symbol(symbol) => canvas.symbol(symbol, Some(&fonts)),
            Item::Image(bitmap) => canvas.bitmap(bitmap),
            Item::Logo(_) => canvas.framed("logo", Align::Center, &fonts),
        }
    }
    canvas.down(MARGIN);
    canvas.fit();
    canvas
}

/// A picture that grows downwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    /// Dots across.
    pub width: u32,
    /// Dots down.
    pub height: u32,
    /// Rows of ⌈width / 8⌉ bytes, 1 = black.
    pub rows: Vec<u8>,
}

impl Canvas {
    fn new(width: u32) -> Canvas {
        Canvas { width: width.max(1), height: 0, rows: Vec::new() }
    }

    fn stride(&self) -> usize {
        self.width.div_ceil(8) as usize
    }

    fn down(&mut self, dots: u32) {
        self.height = self.height.saturating_add(dots).min(TALL_MAX);
    }

    fn fit(&mut self) {
        self.rows.resize(self.stride() * self.height as usize, 0);
    }

    /// Whether the dot is black.
    pub fn dot(&self, x: u32, y: u32) -> bool {
        x < self.width && self.rows.get(y as usize * self.stride() + x as usize / 8).is_some_and(|b| b & (0x80 >> (x % 8)) != 0)
    }

    fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, turn: bool) {
        let bottom = y.saturating_add(height).min(TALL_MAX);
        let stride = self.stride();
        let needed = stride * bottom as usize;
        if self.rows.len() < needed {
            self.rows.resize(needed, 0);
        }
        for y in y..bottom {
            for x in x..x.saturating_add(width).min(self.width) {
                if let Some(byte) = self.rows.get_mut(y as usize * stride + x as usize / 8) {
                    let bit = 0x80 >> (x % 8);
                    *byte = if turn { *byte ^ bit } else { *byte | bit };
                }
            }
        }
    }

    fn place(&self, align: Align, left: u32, area: u32, width: u32) -> u32 {
        let area = if area == 0 { self.width.saturating_sub(left) } else { area.min(self.width.saturating_sub(left)) };
        let free = area.saturating_sub(width);
        left + match align {
            Align::Left => 0,
            Align::Center => free / 2,
            Align::Right => free,
        }
    }

    fn line(&mut self, line: &Line, fonts: &Fonts) {
        let area = if line.area == 0 { self.width.saturating_sub(u32::from(line.left)) } else { u32::from(line.area) };
        let mut row: Vec<(char, Style, u32)> = Vec::new();
        let mut x = 0u32;
        for span in &line.spans {
            x = span.at.map_or(x, u32::from);
            for c in span.text.chars() {
                let wide = span.style.advance(cells_of(c));
                // What does not fit goes on below, as on the printer.
                if x > 0 && x.saturating_add(wide) > area {
                    self.row(&std::mem::take(&mut row), line, x, fonts);
                    let tall = span.style.tall().max(u32::from(super::press::LINE));
                    self.down(tall);
                    x = 0;
                }
                row.push((c, span.style, x));
                x = x.saturating_add(wide);
            }
        }
        self.row(&row, line, x, fonts);
        self.down(u32::from(line.advance));
    }

    fn row(&mut self, row: &[(char, Style, u32)], line: &Line, width: u32, fonts: &Fonts) {
        let tallest = row.iter().map(|(_, style, _)| style.tall()).max().unwrap_or(0);
        let start = self.place(line.align, u32::from(line.left), u32::from(line.area), width);
        let top = self.height;
        for (c, style, x) in row {
            self.glyph(*c, *style, start + x, top + tallest - style.tall(), fonts);
        }
    }

    fn glyph(&mut self, c: char, style: Style, x: u32, y: u32, fonts: &Fonts) {
        let (wide, high) = (u32::from(style.width.max(1)), u32::from(style.height.max(1)));
        let cell = style.advance(cells_of(c));
        if style.underline > 0 {
            self.fill(x, y + style.tall().saturating_sub(u32::from(style.underline)), cell, u32::from(style.underline), false);
        }
        let bold = u32::from(style.bold);
        match fonts.find(c, style.font) {
            Some(glyph) => {
                for (i, row) in glyph.iter().enumerate() {
                    for bit in (0..16).filter(|bit| row & (0x8000 >> bit) != 0) {
                        self.fill(x + bit * wide, y + i as u32 * high, wide + bold, high, false);
                    }
                }
            }
            None if cells_of(c) == 0 || c.is_whitespace() => {}
            None => {
                let (w, h) = (cell.saturating_sub(2).max(3), style.tall().saturating_sub(4).max(3));
                self.frame(x + 1, y + 2, w, h);
            }
        }
        if style.invert {
            self.fill(x, y, cell, style.tall(), true);
        }
    }

    fn frame(&mut self, x: u32, y: u32, width: u32, height: u32) {
        self.fill(x, y, width, 1, false);
        self.fill(x, y + height - 1, width, 1, false);
        self.fill(x, y, 1, height, false);
        self.fill(x + width - 1, y, 1, height, false);
    }

    fn bitmap(&mut self, bitmap: &Bitmap) {
        let (wide, high) = (u32::from(bitmap.wide.max(1)), u32::from(bitmap.high.max(1)));
        let x = self.place(bitmap.align, u32::from(bitmap.left), 0, bitmap.width * wide);
        let top = self.height;
        let rows = bitmap.height.min((TALL_MAX - top) / high);
        for row in 0..rows {
            for column in (0..bitmap.width).filter(|column| bitmap.dot(*column, row)) {
                self.fill(x + column * wide, top + row * high, wide, high, false);
            }
        }
        self.down(bitmap.height.saturating_mul(high));
    }

    fn symbol(&mut self, symbol: &Symbol, fonts: Option<&Fonts>) {
        let module = u32::from(symbol.look.module.max(1));
        let Some(width) = symbol_width(symbol) else {
            if let Some(fonts) = fonts {
                self.framed(&format!("{} {}", symbol.kind.word(), symbol.data), symbol.align, fonts);
            }
            return;
        };
        // The quiet zone that a reader needs; the margin of the paper is part of it.
        self.down(4 * module);
        if let (Some(fonts), 1 | 3) = (fonts, symbol.look.text) {
            self.caption(symbol, fonts);
        }
        let x = self.place(symbol.align, 0, 0, width);
        let top = self.height;
        if let Some(rows) = symbol::squares(symbol).filter(|_| symbol.kind == SymbolKind::Qr) {
            for (j, row) in rows.iter().enumerate() {
                for (i, _) in row.iter().enumerate().filter(|(_, dark)| **dark) {
                    self.fill(x + i as u32 * module, top + j as u32 * module, module, module, false);
                }
            }
            self.down(width);
        } else {
            let (mut x, high) = (x, u32::from(symbol.look.height));
            for (i, bar) in symbol::bars(symbol).unwrap_or_default().into_iter().enumerate() {
                let wide = u32::from(bar) * module;
                if i % 2 == 0 {
                    self.fill(x, top, wide, high, false);
                }
                x += wide;
            }
            self.down(high);
        }
        if let (Some(fonts), 2 | 3) = (fonts, symbol.look.text) {
            self.caption(symbol, fonts);
        }
        self.down(4 * module);
    }

    fn caption(&mut self, symbol: &Symbol, fonts: &Fonts) {
        self.text(&symbol.data, symbol.align, fonts);
    }

    fn text(&mut self, text: &str, align: Align, fonts: &Fonts) {
        let span = super::page::Span { text: text.chars().filter(|c| !c.is_control()).take(400).collect(), ..Default::default() };
        self.line(&Line { spans: vec![span], align, advance: 28, ..Line::default() }, fonts);
    }

    /// What cannot be drawn is named in a frame.
    fn framed(&mut self, text: &str, align: Align, fonts: &Fonts) {
        let top = self.height;
        self.down(12);
        self.text(text, align, fonts);
        self.down(8);
        let height = self.height.saturating_sub(top).saturating_sub(4).max(1);
        self.frame(4, top + 2, self.width.saturating_sub(8).max(1), height);
        self.down(4);
    }
}

/// Both fonts, unpacked.
struct Fonts([Font; 2]);

/// Bitmaps by code point.
#[derive(Default)]
struct Font {
    points: Vec<u16>,
    bits: Vec<u8>,
    row: usize,
    rows: usize,
}

impl Fonts {
    fn load() -> Fonts {
        Fonts([Font::unpack(include_bytes!("font/a.deflate")), Font::unpack(include_bytes!("font/b.deflate"))])
    }

    /// Rows of a character, the most significant bit left.
    fn find(&self, c: char, font: u8) -> Option<Vec<u16>> {
        let [a, b] = &self.0;
        let font = if font == 0 { a } else { b };
        let point = u16::try_from(u32::from(c)).ok()?;
        let i = font.points.binary_search(&point).ok()?;
        let size = font.row * font.rows;
        let bits = font.bits.get(i * size..(i + 1) * size)?;
        let row = |row: &[u8]| row.iter().take(2).enumerate().fold(0u16, |all, (i, byte)| all | u16::from(*byte) << (8 - 8 * i));
        Some(bits.chunks_exact(font.row).map(row).collect())
    }
}

impl Font {
    /// Width, height, count, then the code points in order, then the bitmaps: all packed.
    fn unpack(packed: &[u8]) -> Font {
        let mut raw = Vec::new();
        if DeflateDecoder::new(packed).take(200_000).read_to_end(&mut raw).is_err() {
            return Font::default(); // never: it is part of the program
        }
        let [width, height, high, low, rest @ ..] = raw.as_slice() else { return Font::default() };
        let count = usize::from(u16::from_be_bytes([*high, *low]));
        let (points, bits) = rest.split_at_checked(2 * count).unwrap_or_default();
        let points = points.chunks_exact(2).map(|p| p.iter().fold(0, |all, b| all << 8 | u16::from(*b))).collect();
        Font { points, bits: bits.to_vec(), row: usize::from(width.div_ceil(8)), rows: usize::from(*height) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printer::page::Span;

    fn page(items: Vec<Item>) -> Page {
        Page { items, ..Page::default() }
    }

    fn line(text: &str, style: Style, align: Align) -> Item {
        let advance = style.tall().max(30) as u16;
        Item::Line(Line { spans: vec![Span { text: text.into(), style, at: None }], align, advance, ..Line::default() })
    }

    fn art(canvas: &Canvas, x: u32, y: u32, width: u32, height: u32) -> Vec<String> {
        (y..y + height).map(|y| (x..x + width).map(|x| if canvas.dot(x, y) { '#' } else { '.' }).collect()).collect()
    }

    #[test]
    fn a_letter_is_its_dots() {
        let canvas = paint(&page(vec![line("I", Style::default(), Align::Left)]), NARROW);
        let letter = art(&canvas, 0, MARGIN, 12, 24).into_iter().filter(|row| row.contains('#')).collect::<Vec<_>>();
        assert!(letter.first() == letter.last() && letter[0].contains("######"), "{letter:#?}");
        assert!(letter.iter().skip(2).take(8).all(|row| row.matches('#').count() == 2 && row.contains("##")), "{letter:#?}");
        assert_eq!(canvas.height, MARGIN + 30 + MARGIN);
    }

    #[test]
    fn sizes_and_styles_show() {
        let black = |style: Style| {
            let canvas = paint(&page(vec![line("E", style, Align::Left)]), NARROW);
            canvas.rows.iter().map(|b| b.count_ones()).sum::<u32>()
        };
        let plain = black(Style::default());
        assert_eq!(black(Style { width: 2, height: 3, ..Style::default() }), plain * 6);
        assert!(black(Style { bold: true, ..Style::default() }) > plain);
        assert_eq!(black(Style { invert: true, ..Style::default() }), 12 * 24 - plain);
        assert!(black(Style { underline: 2, ..Style::default() }) > plain);
    }

    #[test]
    fn lines_stand_and_wrap() {
        let canvas = paint(&page(vec![line("II", Style::default(), Align::Right)]), NARROW);
        assert!(art(&canvas, 0, 0, NARROW - 24, canvas.height).iter().all(|row| !row.contains('#')));
        let long = paint(&page(vec![line(&"M".repeat(33), Style::default(), Align::Left)]), NARROW);
        assert_eq!(long.height, MARGIN + 30 + 30 + MARGIN);
        let endless: Vec<Item> = (0..3000).map(|_| line("x", Style::default(), Align::Left)).collect();
        assert_eq!(paint(&page(endless), NARROW).height, TALL_MAX);
    }

    #[test]
    fn pictures_are_dot_for_dot() {
        let bitmap = Bitmap { wide: 2, high: 1, ..Bitmap::from_rows(8, 2, &[0b1010_0000, 0b0000_0001]) };
        let canvas = paint(&page(vec![Item::Image(bitmap)]), NARROW);
        assert_eq!(art(&canvas, 0, MARGIN, 16, 2), ["##..##..........", "..............##"]);
    }

    #[test]
    fn what_is_not_in_the_font_is_a_box() {
        let canvas = paint(&page(vec![line("円", Style::default(), Align::Left)]), NARROW);
        assert!(canvas.dot(1, MARGIN + 2) && canvas.dot(22, MARGIN + 2) && !canvas.dot(10, MARGIN + 10));
    }
}
