//! Takes out of a print what must not be kept, such as card numbers, in the page and in its bytes.
//!
//! What that is, the caller's function knows: it gets text, lines ended by LF, and gives it back with the
//! same number of characters. A number that runs over styles, commands or lines is seen as one.

use super::lex::{Dialect, Lexer, Sink, Token};
use super::page::{Item, Page};

/// Masks lines and codes of a page. True where something was masked. A code that held it can no longer be
/// read: it says what is left.
pub fn page(page: &mut Page, mask: &dyn Fn(&str) -> String) -> bool {
    let mut text = String::new();
    for line in page.lines() {
        line.spans.iter().for_each(|span| text.push_str(&span.text));
        text.push('\n');
    }
    let masked = mask(&text);
    let mut changed = masked != text;
    if changed {
        put_back(page, &masked);
    }
    for item in &mut page.items {
        let Item::Symbol(symbol) = item else { continue };
        let masked = mask(&symbol.data);
        if masked != symbol.data {
            (symbol.raw, symbol.data, changed) = (masked.clone().into_bytes(), masked, true);
        }
    }
    changed
}

fn put_back(page: &mut Page, masked: &str) {
    let mut chars = masked.chars();
    for item in &mut page.items {
        let Item::Line(line) = item else { continue };
        for span in &mut line.spans {
            let count = span.text.chars().count();
            span.text = chars.by_ref().take(count).collect();
        }
        chars.next(); // the LF
    }
}

/// Masks the bytes of a print in place: text and the data of codes, never a picture or a parameter. True
/// where something was masked.
pub fn stream(bytes: &mut [u8], dialect: Dialect, mask: &dyn Fn(&str) -> String) -> bool {
    let mut shadow = Shadow { at: 0, text: Vec::new(), codes: Vec::new() };
    let mut lexer = Lexer::new(dialect);
    lexer.feed(bytes, &mut shadow);
    let mut changed = write_back(bytes, &shadow.text, mask);
    for code in &shadow.codes {
        changed |= write_back(bytes, code, mask);
    }
    changed
}

/// Places of the stream whose bytes are text, in order; what is no ASCII counts as a sign of its own.
struct Shadow {
    at: usize,
    text: Vec<(usize, u8)>,
    codes: Vec<Vec<(usize, u8)>>,
}

impl Sink for Shadow {
    fn token(&mut self, token: Token<'_>) {
        let places = |from: usize, bytes: &[u8]| bytes.iter().enumerate().map(|(i, b)| (from + i, *b)).collect::<Vec<_>>();
        match token {
            Token::Text(bytes) => self.text.extend(places(self.at, bytes)),
            Token::Control(b'\n') => self.text.push((self.at, b'\n')),
            Token::Command(command) if holds_code(command.bytes) => self.codes.push(places(self.at, command.bytes)),
            _ => {}
        }
        self.at += usize::try_from(token.len()).unwrap_or(0);
    }
}

/// Commands that carry the data of a bar code or of one of two dimensions.
fn holds_code(command: &[u8]) -> bool {
    matches!(
        command,
        [0x1d, b'k', ..] | [0x1d, b'(', b'k', ..] | [0x1d, b'p', 1, ..] | [0x1b, b'b', ..] | [0x1b, 0x1d, b'y' | b'x', b'D', ..]
    )
}

fn write_back(bytes: &mut [u8], places: &[(usize, u8)], mask: &dyn Fn(&str) -> String) -> bool {
    let plain = |b: u8| if matches!(b, 0x20..=0x7e | b'\n') { char::from(b) } else { '\u{fffd}' };
    let text: String = places.iter().map(|(_, b)| plain(*b)).collect();
    let masked = mask(&text);
    for ((at, byte), to) in places.iter().zip(masked.chars()) {
        if let (true, Some(place)) = (plain(*byte) != to, bytes.get_mut(*at)) {
            *place = u8::try_from(u32::from(to)).ok().filter(u8::is_ascii).unwrap_or(b'*');
        }
    }
    masked != text
}

#[cfg(test)]
mod tests {
    use super::super::{Job, Settings, decode};
    use super::*;

    /// Sixteen digits, with single blanks and line ends between them: all but the last four.
    fn mask(text: &str) -> String {
        let mut chars: Vec<char> = text.chars().collect();
        let mut run: Vec<usize> = Vec::new();
        for i in 0..=chars.len() {
            match chars.get(i) {
                Some(c) if c.is_ascii_digit() => run.push(i),
                Some(' ' | '\n') if run.last().is_some_and(|last| last + 1 == i) => {}
                _ => {
                    if run.len() == 16 {
                        run[..12].iter().for_each(|at| chars[*at] = '*');
                    }
                    run.clear();
                }
            }
        }
        chars.into_iter().collect()
    }

    const SLIP: &[u8] = b"Card 4111 11\x1bE\x0111 1111\x1bE\x00 1111\nmore 411111111111\n1111\n\
        \x1dv0\x00\x10\x00\x01\x004111111111111111\x1dkI\x12{B4111111111111111ok 12\n\x1dV\x00";

    fn text(bytes: &[u8]) -> Vec<String> {
        decode(bytes, Settings::default()).iter().flat_map(Job::text).collect()
    }

    #[test]
    fn page_and_bytes_say_the_same_masked() {
        let wanted = ["Card **** **** **** 1111", "more ************", "1111", "{image}", "{code128} ************1111", "ok 12", "{cut}"];
        let mut jobs = decode(SLIP, Settings::default());
        assert!(page(&mut jobs[0].page, &mask));
        assert_eq!(jobs[0].text(), wanted);
        assert!(!page(&mut jobs[0].page, &mask), "once is enough");
        let mut bytes = SLIP.to_vec();
        assert!(stream(&mut bytes, Dialect::EscPos, &mask));
        assert_eq!(text(&bytes), wanted);
        assert_eq!(bytes.len(), SLIP.len());
        assert!(bytes.windows(16).any(|w| w == b"4111111111111111"), "the dots of a picture are no number");
    }

    #[test]
    fn what_holds_none_stays_as_it_is() {
        let slip = "\u{1b}t\u{2}caf\u{e9} 1234\n";
        let mut bytes: Vec<u8> = slip.chars().map(|c| c as u8).collect();
        let before = bytes.clone();
        assert!(!stream(&mut bytes, Dialect::EscPos, &mask));
        assert_eq!(bytes, before);
    }
}
