//! The printer's state, and the page that grows under it. The languages call it by what they mean
//! ([`super::act_escpos`], [`super::act_star`]); it knows no command.
//!
//! State outlives a receipt, as some tills reset nothing. All of it is bounded.

use super::charset::Charset;
use super::page::{Align, Bitmap, DOTS_MAX, ITEMS_MAX, Item, Line, Page, Span, Style, TEXT_MAX};
use super::symbol::{self, Look, Symbol, SymbolKind};

/// Dots from line to line, as printers are switched on.
pub(super) const LINE: u16 = 30;
/// Empty paper between two pictures that are still one.
const GAP_MAX: u32 = 400;
/// Entries of the lists that only tell what was seen.
const NOTES_MAX: usize = 50;
/// Pictures that the stream has the printer store.
const STORED_MAX: usize = 8;

/// What a command means for the receipt as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The paper is cut.
    Cut,
    /// The form is fed out.
    FormFeed,
    /// A pulse for the drawer on this connector, 1 or 2.
    Drawer(u8),
}

/// What was seen on the way and is not on the paper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Requests of the host for the printer's state, in hex.
    pub host_requests: Vec<String>,
    /// Commands that mean nothing here, in hex, each once.
    pub unknown: Vec<String>,
    /// Bytes and commands that were dropped.
    pub undefined: u64,
    /// Line ends.
    pub line_ends: u64,
    /// A code page was chosen that no table knows: it reads as PC437.
    pub unknown_codepage: bool,
}

/// State and page.
#[derive(Debug)]
pub(super) struct Press {
    pub charset: Charset,
    pub style: Style,
    /// Emphasis and double strike look the same.
    pub strike: [bool; 2],
    pub align: Align,
    pub left: u16,
    pub area: u16,
    pub spacing: u16,
    pub tabs: Option<Vec<u8>>,
    /// Dots of one unit of position, in 1/1000.
    pub unit: u32,
    /// What follows goes to the customer's display.
    pub display: bool,
    pub bar: Look,
    pub square: Look,
    pub codes: [Vec<u8>; 7],
    pub held: Option<Bitmap>,
    pub raster: Option<Vec<Vec<u8>>>,
    pub notes: Notes,
    stored: Vec<(String, Bitmap)>,
    page: Page,
    line: Line,
    /// The bytes of each span of the line, as long as it may turn out to be UTF-8.
    raws: Vec<Vec<u8>>,
    /// Item and bytes of lines that hold more than ASCII.
    doubtful: Vec<(usize, Vec<Vec<u8>>)>,
    auto_utf8: bool,
    moved: Option<u16>,
    /// The line holds a picture: its end is no empty line.
    picture: bool,
    /// Something that can be seen was printed since the last page was taken.
    visible: bool,
    cr_is_newline: bool,
    after_cr: bool,
    text_used: usize,
    used: usize,
    dots_used: usize,
    /// The page that waits while page mode is on.
    standard: Option<(Page, usize)>,
}

impl Press {
    pub fn new(charset: Charset, cr_is_newline: bool, auto_utf8: bool) -> Press {
        Press {
            charset,
            style: Style::default(),
            strike: [false; 2],
            align: Align::Left,
            left: 0,
            area: 0,
            spacing: LINE,
            tabs: None,
            unit: 1000,
            display: false,
            bar: Look::default(),
            square: Look::default(),
            codes: Default::default(),
            held: None,
            raster: None,
            notes: Notes::default(),
            stored: Vec::new(),
            page: Page::default(),
            line: Line::default(),
            raws: Vec::new(),
            doubtful: Vec::new(),
            auto_utf8,
            moved: None,
            picture: false,
            visible: false,
            cr_is_newline,
            after_cr: false,
            text_used: 0,
            used: 0,
            dots_used: 0,
            standard: None,
        }
    }

    /// As `ESC @`.
    pub fn reset(&mut self) {
        self.leave_page_mode();
        self.end_line_if_any();
        self.charset.reset();
        (self.style, self.strike, self.align) = (Style::default(), [false; 2], Align::Left);
        (self.left, self.area, self.spacing, self.tabs) = (0, 0, LINE, None);
        (self.display, self.bar, self.square) = (false, Look::default(), Look::default());
        (self.codes, self.held, self.raster, self.moved) = (Default::default(), None, None, None);
    }

    // ---- text ----

    pub fn text(&mut self, bytes: &[u8]) {
        if self.display {
            return;
        }
        self.after_cr = false;
        if self.text_used + bytes.len() > TEXT_MAX || self.used > ITEMS_MAX {
            self.page.cut_short = true;
            return;
        }
        self.text_used += bytes.len();
        if self.line.spans.is_empty() {
            (self.line.align, self.line.left, self.line.area) = (self.align, self.left, self.area);
        }
        let style = Style { bold: self.strike != [false; 2], ..self.style };
        let at = self.moved.take();
        if at.is_some() || self.line.spans.last().is_none_or(|span| span.style != style) {
            if let Some(last) = self.line.spans.last_mut() {
                self.charset.settle(&mut last.text);
            }
            self.used += 1;
            self.line.spans.push(Span { text: String::new(), style, at });
            self.raws.push(Vec::new());
        }
        let Some(span) = self.line.spans.last_mut() else { return };
        self.charset.read(bytes, &mut span.text);
        if self.auto_utf8
            && let Some(raw) = self.raws.last_mut()
        {
            raw.extend_from_slice(bytes);
        }
    }

    pub fn style(&mut self, change: impl FnOnce(&mut Style)) {
        change(&mut self.style);
    }

    pub fn set_align(&mut self, align: Option<Align>) {
        if let (Some(align), true) = (align, self.line.spans.is_empty()) {
            self.align = align;
        }
    }

    pub fn line_feed(&mut self) {
        if !std::mem::take(&mut self.after_cr) {
            self.notes.line_ends += 1;
            self.end_line(self.spacing);
        }
    }

    pub fn carriage_return(&mut self) {
        if self.cr_is_newline {
            self.after_cr = false;
            self.line_feed();
            self.after_cr = true;
        }
    }

    /// To the next tab stop, by blanks; past the last one there is a single blank.
    pub fn tab(&mut self) {
        let cells: usize = self.line.spans.iter().map(|s| s.text.chars().count()).sum();
        let next = match &self.tabs {
            Some(stops) => stops.iter().map(|s| usize::from(*s)).find(|s| *s > cells),
            None => Some((cells / 8 + 1) * 8).filter(|s| *s < 256),
        };
        let blanks = [b' '; 256];
        self.text(blanks.get(..next.map_or(1, |next| next - cells)).unwrap_or(b" "));
    }

    pub fn move_to(&mut self, units: u16) {
        self.moved = Some(self.dots(u32::from(units)));
    }

    /// From where the line stands.
    pub fn move_by(&mut self, units: i16) {
        let here = match self.moved {
            Some(at) => u32::from(at),
            None => self.line_width(),
        };
        let by = u32::from(self.dots(u32::from(units.unsigned_abs())));
        let at = if units < 0 { here.saturating_sub(by) } else { here + by };
        self.moved = Some(u16::try_from(at).unwrap_or(u16::MAX));
    }

    fn dots(&self, units: u32) -> u16 {
        u16::try_from(units.saturating_mul(self.unit) / 1000).unwrap_or(u16::MAX)
    }

    fn line_width(&self) -> u32 {
        let mut x = 0u32;
        for span in &self.line.spans {
            let cells: u32 = span.text.chars().map(super::page::cells_of).sum();
            x = span.at.map_or(x, u32::from).saturating_add(span.style.advance(1).saturating_mul(cells));
        }
        x
    }

    // ---- lines and paper ----

    pub fn end_line(&mut self, advance: u16) {
        if self.display {
            return;
        }
        self.moved = None;
        if self.line.spans.is_empty() && std::mem::take(&mut self.picture) {
            return;
        }
        self.picture = false;
        if let Some(last) = self.line.spans.last_mut() {
            self.charset.settle(&mut last.text);
        }
        let mut line = std::mem::take(&mut self.line);
        let raws = std::mem::take(&mut self.raws);
        let tall = line.spans.iter().map(|s| s.style.tall()).max().unwrap_or(0);
        line.advance = advance.max(u16::try_from(tall).unwrap_or(u16::MAX));
        if self.auto_utf8 && raws.iter().any(|raw| !raw.is_ascii()) {
            self.doubtful.push((self.page.items.len(), raws));
        }
        self.push(Item::Line(line));
    }

    pub fn end_line_if_any(&mut self) {
        if !self.line.spans.is_empty() {
            self.end_line(self.spacing);
        }
        self.moved = None;
    }

    /// Prints the line and feeds so many dots: the first feed ends the line.
    pub fn feed(&mut self, dots: u32) {
        if self.display {
            return;
        }
        self.notes.line_ends += 1;
        if self.line.spans.is_empty() {
            (self.picture, self.moved) = (false, None);
            self.push_feed(dots);
        } else {
            let first = u16::try_from(dots).unwrap_or(u16::MAX);
            self.end_line(first);
        }
    }

    fn push_feed(&mut self, dots: u32) {
        match self.page.items.last_mut() {
            Some(Item::Feed(before)) => *before = before.saturating_add(dots),
            _ if dots > 0 => self.push(Item::Feed(dots)),
            _ => {}
        }
    }

    fn push(&mut self, item: Item) {
        if self.used > ITEMS_MAX {
            self.page.cut_short = true;
            return;
        }
        self.used += 1;
        self.visible |= self.standard.is_none() && blank(&item).is_none();
        self.page.items.push(item);
    }

    // ---- pictures and codes ----

    pub fn image(&mut self, mut bitmap: Bitmap) {
        if self.display || bitmap.width == 0 || bitmap.height == 0 {
            return;
        }
        if self.dots_used + bitmap.rows.len() > DOTS_MAX {
            self.page.cut_short = true;
            return;
        }
        let at = self.moved.take().unwrap_or(0);
        self.end_line_if_any();
        (bitmap.align, bitmap.left) = (self.align, self.left.saturating_add(at));
        self.picture = true;
        let before = self.dots_used;
        self.dots_used += bitmap.rows.len();
        // Drivers cut a picture into bands: what has nothing visible between is one.
        let gap = self.page.items.iter().rev().map_while(blank).try_fold((0usize, 0u32), |(n, sum), dots| {
            let sum = sum.saturating_add(dots);
            (sum <= GAP_MAX).then_some((n + 1, sum))
        });
        if let Some((n, gap)) = gap {
            let place = self.page.items.len().checked_sub(n + 1);
            if let Some(Item::Image(above)) = place.and_then(|i| self.page.items.get_mut(i))
                && (above.wide, above.high, above.align) == (bitmap.wide, bitmap.high, bitmap.align)
            {
                let gap = gap / u32::from(bitmap.high.max(1));
                let wider = above.width.max(bitmap.width).div_ceil(8) as usize;
                let after = wider.saturating_mul((above.height + gap + bitmap.height) as usize);
                if before - above.rows.len().min(before) + after <= DOTS_MAX {
                    self.dots_used = before - above.rows.len().min(before) + after;
                    above.stack(bitmap, gap);
                    self.page.items.truncate(place.map_or(0, |i| i + 1));
                    return;
                }
            }
        }
        self.push(Item::Image(bitmap));
    }

    /// Keeps a picture under its key; the oldest gives way.
    pub fn store(&mut self, key: String, bitmap: Bitmap) {
        self.stored.retain(|(other, _)| *other != key);
        if bitmap.rows.len() <= DOTS_MAX / 16 {
            if self.stored.len() >= STORED_MAX {
                self.stored.remove(0);
            }
            self.stored.push((key, bitmap));
        }
    }

    /// Prints a stored picture: itself where the stream brought it, else only that it is there.
    pub fn print_stored(&mut self, key: &str, wide: u8, high: u8) {
        if self.display {
            return;
        }
        match self.stored.iter().find(|(other, _)| other == key) {
            Some((_, bitmap)) => self.image(Bitmap { wide, high, ..bitmap.clone() }),
            None => {
                self.end_line_if_any();
                self.picture = true;
                self.push(Item::Logo(key.to_owned()));
            }
        }
    }

    pub fn symbol(&mut self, kind: SymbolKind, raw: &[u8], plain: bool, look: Look) {
        if self.display || raw.is_empty() {
            return;
        }
        if self.text_used + raw.len() > TEXT_MAX {
            self.page.cut_short = true;
            return;
        }
        self.text_used += raw.len();
        self.end_line_if_any();
        let data = symbol::data(kind, raw, plain);
        self.push(Item::Symbol(Symbol { kind, data, raw: raw.to_vec(), look, align: self.align }));
    }

    /// Star raster: the rows so far are a picture.
    pub fn end_raster(&mut self) {
        let Some(rows) = self.raster.take() else { return };
        let stride = rows.iter().map(Vec::len).max().unwrap_or(0);
        let mut all = Vec::with_capacity(stride * rows.len());
        for row in &rows {
            all.extend_from_slice(row);
            all.resize(all.len() + stride - row.len(), 0);
        }
        self.image(Bitmap::from_rows((stride * 8) as u32, rows.len() as u32, &all));
    }

    /// One more row of a Star raster picture.
    pub fn raster_row(&mut self, row: &[u8]) {
        let used: usize = self.raster.as_ref().map_or(0, |rows| rows.len() * rows.first().map_or(1, Vec::len).max(row.len()));
        if self.dots_used + used + row.len() > DOTS_MAX || self.raster.as_ref().is_some_and(|rows| rows.len() > 60_000) {
            self.page.cut_short = true;
            return;
        }
        self.raster.get_or_insert_default().push(row.to_vec());
    }

    // ---- page mode ----

    pub fn enter_page_mode(&mut self) {
        if self.standard.is_none() {
            self.end_line_if_any();
            self.standard = Some((std::mem::take(&mut self.page), self.used));
            self.charset.told = true;
        }
    }

    pub fn in_page_mode(&self) -> bool {
        self.standard.is_some()
    }

    /// A vertical move starts a new line.
    pub fn page_row(&mut self) {
        let at = self.moved;
        self.end_line_if_any();
        self.moved = at;
    }

    /// Prints what was laid out.
    pub fn print_page(&mut self, stay: bool) {
        self.end_line_if_any();
        if let Some((standard, used)) = self.standard.take() {
            let laid = std::mem::replace(&mut self.page, standard);
            self.page.cut_short |= laid.cut_short;
            self.visible |= !laid.is_blank();
            self.page.items.extend(laid.items);
            if stay {
                self.standard = Some((std::mem::take(&mut self.page), used));
            }
        }
    }

    /// Drops what was laid out.
    pub fn cancel_page(&mut self) {
        if let Some((_, used)) = &self.standard {
            self.used = *used;
            self.page = Page::default();
            (self.line, self.raws, self.moved) = (Line::default(), Vec::new(), None);
        }
    }

    /// Leaves page mode; what was not printed is lost.
    pub fn leave_page_mode(&mut self) {
        self.cancel_page();
        if let Some((standard, _)) = self.standard.take() {
            self.page = standard;
        }
    }

    // ---- the receipt ----

    /// Whether anything can be seen since the last [`Press::take_page`].
    pub fn printed(&self) -> bool {
        self.visible || (self.standard.is_none() && !self.line.is_blank()) || self.raster.as_ref().is_some_and(|rows| !rows.is_empty())
    }

    /// Whether a line is begun, or page mode is on.
    pub fn line_open(&self) -> bool {
        !self.line.spans.is_empty() || self.standard.is_some() || self.raster.is_some()
    }

    pub fn drawer(&mut self, connector: u8) {
        if self.page.drawer.len() < NOTES_MAX {
            self.page.drawer.push(connector);
        }
    }

    /// Pulses since the last page was taken.
    pub fn pulses(&self) -> &[u8] {
        self.standard.as_ref().map_or(&self.page.drawer, |(page, _)| &page.drawer)
    }

    /// The page so far, and what was noted; the next one begins.
    pub fn take_page(&mut self) -> (Page, Notes) {
        self.end_raster();
        self.leave_page_mode();
        self.end_line_if_any();
        let mut page = std::mem::take(&mut self.page);
        let doubtful = std::mem::take(&mut self.doubtful);
        if self.charset.is_default() {
            reread(&mut page, doubtful);
        }
        self.charset.told = false;
        (self.text_used, self.used, self.dots_used, self.picture, self.visible) = (0, 0, 0, false, false);
        let mut notes = std::mem::take(&mut self.notes);
        notes.unknown_codepage = std::mem::take(&mut self.charset.unknown_page);
        (page, notes)
    }

    /// A request of the host.
    pub fn requested(&mut self, bytes: &[u8]) {
        if self.notes.host_requests.len() < NOTES_MAX {
            self.notes.host_requests.push(hex(bytes));
        }
    }

    /// A command that means nothing here.
    pub fn unknown(&mut self, bytes: &[u8]) {
        self.notes.undefined += 1;
        let bytes = bytes.get(..8).unwrap_or(bytes);
        if bytes.len() > 1 && self.notes.unknown.len() < NOTES_MAX {
            let code = hex(bytes);
            if !self.notes.unknown.contains(&code) {
                self.notes.unknown.push(code);
            }
        }
    }
}

/// Dots of an item that cannot be seen.
fn blank(item: &Item) -> Option<u32> {
    match item {
        Item::Feed(dots) => Some(*dots),
        Item::Line(line) if line.is_blank() => Some(u32::from(line.advance)),
        _ => None,
    }
}

/// Nothing spoke of a charset, and every byte beyond ASCII is part of good UTF-8: then it is that.
fn reread(page: &mut Page, doubtful: Vec<(usize, Vec<Vec<u8>>)>) {
    let good = doubtful.iter().flat_map(|(_, raws)| raws).all(|raw| std::str::from_utf8(raw).is_ok());
    for (i, raws) in doubtful.into_iter().filter(|_| good) {
        let Some(Item::Line(line)) = page.items.get_mut(i) else { continue };
        for (span, raw) in line.spans.iter_mut().zip(raws) {
            if !raw.is_ascii()
                && let Ok(text) = String::from_utf8(raw)
            {
                span.text = text;
            }
        }
    }
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
