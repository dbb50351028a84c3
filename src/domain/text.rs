//! Text from outside: made harmless for one line, and masked where people must not be shown.

/// One line for headers, subjects and lists: control and direction-changing characters become
/// blanks, runs of blanks become one, and it ends at `max` characters.
pub fn one_line(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max * 4));
    let mut blank = true;
    for c in text.chars().map(|c| if harmful(c) { ' ' } else { c }).take(max * 4) {
        if c.is_whitespace() {
            if !blank {
                out.push(' ');
            }
            blank = true;
        } else {
            out.push(c);
            blank = false;
        }
    }
    let trimmed = out.trim_end();
    match trimmed.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", trimmed.get(..at).unwrap_or_default().trim_end()),
        None => trimmed.to_owned(),
    }
}

/// Text of several lines: line breaks and tabs stay, other control and direction-changing
/// characters become blanks.
pub fn many_lines(text: &str) -> String {
    text.replace("\r\n", "\n").chars().map(|c| if c == '\n' || !harmful(c) { c } else { ' ' }).collect()
}

/// Control characters, and those that turn the direction of what follows or cannot be seen.
fn harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// What another system said, fit to be logged and shown: one line of at most 200 characters in which
/// every word with an `@` and every run of more than six digits is replaced.
pub fn scrub(text: &str) -> String {
    let line = one_line(text, 200);
    let words = line.split(' ').map(|word| {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        if word.contains('@') {
            "***"
        } else if digits > 6 {
            "#"
        } else {
            word
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_one_harmless_line() {
        assert_eq!(one_line(" a\r\nBcc: x\t\u{202e}b\0 ", 40), "a Bcc: x b");
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("äöü", 3), "äöü");
    }

    #[test]
    fn scrubbed_text_names_nobody() {
        let said = "550 5.1.1 <kim@mail.example.com>: no such user +16075550100 here";
        assert_eq!(scrub(said), "550 5.1.1 *** no such user # here");
    }
}
