//! The print as HTML for a mail: one block of fixed width, styles inline, codes as pictures in the text,
//! pictures of the print by `cid:`.

use super::page::{Align, Item, Line, Page, Style};
use super::paint;
use super::symbol::Symbol;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::fmt::Write as _;

/// The print and the pictures that belong to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Html {
    /// A fragment: one `div`.
    pub html: String,
    /// PNG files, for `cid:print-1`, `cid:print-2`, …
    pub images: Vec<Vec<u8>>,
}

/// Renders the page for a receipt of so many columns.
pub fn html(page: &Page, columns: u32) -> Html {
    let mut out = Html { html: String::new(), images: Vec::new() };
    let _ = write!(
        out.html,
        "<div style=\"font-family:Consolas,'DejaVu Sans Mono','Courier New',monospace;font-size:13px;line-height:1.25;\
         white-space:pre-wrap;width:{columns}ch;max-width:100%;margin:0 auto;color:#000;background:#fff\">"
    );
    for item in &page.items {
        match item {
            Item::Line(line) => text(&mut out.html, line),
            Item::Feed(dots) => {
                let _ = write!(out.html, "<div style=\"height:{}px\"></div>", (dots / 2).min(120));
            }
            Item::Symbol(symbol) => code(&mut out.html, symbol),
            Item::Image(bitmap) => {
                out.images.push(paint::picture_png(bitmap));
                let (n, width) = (out.images.len(), bitmap.width * u32::from(bitmap.wide));
                let _ = write!(
                    out.html,
                    "<div style=\"text-align:{}\"><img src=\"cid:print-{n}\" alt=\"picture\" width=\"{}\" style=\"max-width:100%\"></div>",
                    bitmap.align.word(),
                    width.div_ceil(2)
                );
            }
            Item::Logo(_) => {}
        }
    }
    out.html.push_str("</div>");
    out
}

fn text(out: &mut String, line: &Line) {
    let align = if line.align == Align::Left { String::new() } else { format!(" style=\"text-align:{}\"", line.align.word()) };
    let _ = write!(out, "<div{align}>");
    if line.is_blank() {
        out.push_str("&nbsp;");
    }
    for (pad, span) in line.columns() {
        out.extend(std::iter::repeat_n(' ', pad));
        let css = css(&span.style);
        let text = escape(&span.text);
        let _ = if css.is_empty() { write!(out, "{text}") } else { write!(out, "<span style=\"{css}\">{text}</span>") };
    }
    out.push_str("</div>");
}

fn css(style: &Style) -> String {
    let mut css = String::new();
    if style.bold {
        css.push_str("font-weight:bold;");
    }
    if style.underline > 0 {
        css.push_str("text-decoration:underline;");
    }
    if style.invert {
        css.push_str("background:#000;color:#fff;");
    }
    // Mail programs cannot stretch letters: the larger of both is the size.
    match style.width.max(style.height) {
        1 if style.font == 0 => {}
        1 => css.push_str("font-size:10px;"),
        n => {
            let _ = write!(css, "font-size:{}px;", 13 + 5 * u32::from(n.min(8) - 1));
        }
    }
    css
}

fn code(out: &mut String, symbol: &Symbol) {
    let data = escape(&symbol.data);
    match paint::symbol_png(symbol) {
        Some(png) => {
            let _ = write!(
                out,
                "<div style=\"text-align:{}\"><img src=\"data:image/png;base64,{}\" alt=\"{data}\" style=\"max-width:100%\"></div>",
                symbol.align.word(),
                BASE64_STANDARD.encode(png)
            );
        }
        None => {
            let _ = write!(out, "<div style=\"text-align:{}\">{data}</div>", symbol.align.word());
        }
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{ad}' => out.push('-'),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::printer::{Settings, decode};

    #[test]
    fn text_is_escaped_and_styled() {
        let jobs = decode(b"\x1b@\x1ba\x01\x1bE\x01<b>&\"\n\x1bE\x00\x1dV\x00", Settings::default());
        let out = super::html(&jobs[0].page, 42);
        let line = "<div style=\"text-align:center\"><span style=\"font-weight:bold;\">&lt;b&gt;&amp;&quot;</span></div>";
        assert!(out.html.contains(line), "{}", out.html);
        assert!(out.images.is_empty());
    }

    #[test]
    fn pictures_come_beside_and_codes_inside() {
        let stream = b"\x1dv0\x00\x01\x00\x02\x00\xff\x00\x1dk\x49\x04{BAB\x1dV\x00";
        let out = super::html(&decode(stream, Settings::default())[0].page, 42);
        assert_eq!(out.images.len(), 1);
        assert!(out.images[0].starts_with(b"\x89PNG"));
        assert!(out.html.contains("cid:print-1") && out.html.contains("data:image/png;base64,") && out.html.contains("alt=\"AB\""));
    }
}
