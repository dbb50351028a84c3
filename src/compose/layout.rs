//! Plain text in columns: widths, rows with an amount at the right, wrapping.
//!
//! Pure. Never breaks a word that fits on a line, and never makes a line wider than it was told to.

/// Width of a receipt as text; at most 78 may be used in a mail.
pub const WIDTH: usize = 64;
/// The widest line of a mail's text.
pub const WIDEST: usize = 78;

/// Columns that a text takes on a screen of fixed pitch.
pub fn width(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(char_width).sum() }
}

fn char_width(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x0483..=0x0489 | 0x0591..=0x05bd | 0x064b..=0x065f | 0x0e34..=0x0e3a | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe4f | 0xff00..=0xff60 | 0xffe0..=0xffe6 => 2,
        0x1f300..=0x1faff | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// The text in lines of at most `max` columns, broken at blanks, and inside a word only where the word
/// is wider than a line.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(8);
    if width(text) <= max {
        return vec![text.to_owned()];
    }
    let (mut lines, mut line, mut filled) = (Vec::new(), String::new(), 0);
    for word in text.split(' ') {
        let wide = width(word);
        if filled > 0 && filled + 1 + wide > max {
            lines.push(std::mem::take(&mut line));
            filled = 0;
        }
        if filled > 0 {
            line.push(' ');
            filled += 1;
        }
        if wide <= max {
            line.push_str(word);
            filled += wide;
            continue;
        }
        for c in word.chars() {
            let n = char_width(c);
            if filled + n > max {
                lines.push(std::mem::take(&mut line));
                filled = 0;
            }
            line.push(c);
            filled += n;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `indent` blanks, the text at the left and the amount at the right edge; a long text wraps and the
/// amount stands on its first line.
pub fn row(left: &str, right: &str, indent: usize, total: usize) -> String {
    let right_wide = width(right);
    let room = total.saturating_sub(indent + right_wide + if right.is_empty() { 0 } else { 2 });
    let mut out = String::with_capacity(total + 8);
    for (i, line) in wrap(left, room).iter().enumerate() {
        if i > 0 {
            out.push('\n');
        }
        pad(&mut out, indent);
        out.push_str(line);
        if i == 0 && !right.is_empty() {
            pad(&mut out, total.saturating_sub(indent + width(line) + right_wide));
            out.push_str(right);
        }
    }
    out
}

fn pad(out: &mut String, blanks: usize) {
    out.extend(std::iter::repeat_n(' ', blanks));
}

/// A row of cells, each at the right edge of its column, the first at the left.
pub fn columns(cells: &[String], widths: &[usize]) -> String {
    let mut out = String::new();
    for (i, (cell, wide)) in cells.iter().zip(widths).enumerate() {
        let gap = wide.saturating_sub(width(cell));
        if i == 0 {
            out.push_str(cell);
            pad(&mut out, gap);
        } else {
            pad(&mut out, gap.max(1));
            out.push_str(cell);
        }
    }
    out
}

/// A rendered text made ready for a mail: plain blanks, none at line ends, at most one empty line in a
/// row, no line wider than 78 columns but for a link, which must stay whole.
pub fn finish(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = true;
    for line in text.lines() {
        let line = line.trim_end();
        if line.is_empty() {
            if !empty {
                out.push('\n');
            }
            empty = true;
            continue;
        }
        empty = false;
        if width(line) <= WIDEST || is_link(line) {
            push_line(&mut out, line);
        } else {
            let indent = line.chars().take_while(|c| *c == ' ').count();
            for part in wrap(line.trim_start(), WIDEST.saturating_sub(indent)) {
                pad(&mut out, indent);
                push_line(&mut out, part.trim_end());
            }
        }
    }
    while out.ends_with("\n\n") {
        out.pop();
    }
    out
}

fn is_link(line: &str) -> bool {
    let word = line.trim_start();
    !word.contains(' ') && (word.starts_with("https://") || word.starts_with("mailto:"))
}

fn push_line(out: &mut String, line: &str) {
    for c in line.chars() {
        out.push(if matches!(c, '\u{a0}' | '\u{202f}') { ' ' } else { c });
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_align() {
        assert_eq!(row("Tea", "1.00", 0, 12), "Tea     1.00");
        assert_eq!(row("Tea", "1.00", 2, 12), "  Tea   1.00");
        assert_eq!(row("Very strong green tea", "1.00", 0, 20), "Very strong     1.00\ngreen tea");
        assert_eq!(row("日本茶", "¥1,080", 0, 16), "日本茶    ¥1,080");
        assert_eq!(row("plain", "", 0, 12), "plain");
    }

    #[test]
    fn nothing_is_wider_than_told() {
        for line in wrap(&"abcdefghij ".repeat(30), 20).iter().chain(&wrap(&"x".repeat(100), 20)) {
            assert!(width(line) <= 20, "{line}");
        }
        assert_eq!(wrap(&"x".repeat(100), 20).concat(), "x".repeat(100), "no character is lost");
    }

    #[test]
    fn finished_text_is_tidy() {
        assert_eq!(finish("\n\na  \n\n\n\nb\u{a0}c\n\n"), "a\n\nb c\n");
        let link = format!("https://x.example/{}", "a".repeat(100));
        assert_eq!(finish(&link), format!("{link}\n"));
    }
}
