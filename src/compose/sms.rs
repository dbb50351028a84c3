//! What a text message costs: its encoding, units and segments, and how text is made to cost less.
//!
//! Pure functions on text. Never changes a letter of a name unless it is asked to transliterate.

/// How a text message goes over the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Seven bits: 160 units alone, 153 per part.
    Gsm7,
    /// Sixteen bits: 70 units alone, 67 per part.
    Ucs2,
}

impl Encoding {
    /// `GSM-7` or `UCS-2`.
    pub const fn word(self) -> &'static str {
        match self {
            Encoding::Gsm7 => "GSM-7",
            Encoding::Ucs2 => "UCS-2",
        }
    }
}

/// The cost of a text message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// One character outside GSM-7 makes the whole message UCS-2.
    pub encoding: Encoding,
    /// Septets, or UTF-16 units.
    pub units: usize,
    /// Parts that are paid for; 0 for empty text.
    pub segments: usize,
}

/// Counts units and segments. An extension character or a surrogate pair is never split over parts.
pub fn count(text: &str) -> Count {
    let gsm: Option<usize> = text.chars().try_fold(0usize, |sum, c| gsm7_units(c).map(|n| sum + n));
    match gsm {
        Some(units) => Count { encoding: Encoding::Gsm7, units, segments: parts(text, units, 160, 153, |c| gsm7_units(c).unwrap_or(1)) },
        None => {
            let units = text.chars().map(char::len_utf16).sum();
            Count { encoding: Encoding::Ucs2, units, segments: parts(text, units, 70, 67, char::len_utf16) }
        }
    }
}

fn parts(text: &str, units: usize, alone: usize, part: usize, cost: impl Fn(char) -> usize) -> usize {
    if units == 0 {
        return 0;
    }
    if units <= alone {
        return 1;
    }
    let (mut segments, mut filled) = (1, 0);
    for c in text.chars() {
        let n = cost(c);
        if filled + n > part {
            segments += 1;
            filled = 0;
        }
        filled += n;
    }
    segments
}

/// Units of a character in GSM-7; `None` outside of it.
fn gsm7_units(c: char) -> Option<usize> {
    const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ ¤¡ÄÖÑÜ§¿äöñüà";
    match c {
        '^' | '{' | '}' | '\\' | '[' | '~' | ']' | '|' | '€' | '\u{c}' => Some(2),
        ' '..='_' | 'a'..='z' => Some(1),
        _ if BASIC.contains(c) => Some(1),
        _ => None,
    }
}

/// Typographic characters as plain ones: quotes, dashes, dots, blanks, the trade mark.
pub fn replace(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '’' | '‘' | '‚' | '′' => out.push('\''),
            '“' | '”' | '„' | '″' => out.push('"'),
            '–' | '—' | '‐' | '‑' | '−' => out.push('-'),
            '…' => out.push_str("..."),
            '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{2007}' => out.push(' '),
            '™' => out.push_str("TM"),
            '×' => out.push('x'),
            '•' | '·' => out.push('*'),
            _ => out.push(c),
        }
    }
    out
}

/// Letters that GSM-7 lacks as the nearest that it has: `Nicolás` becomes `Nicolas`.
pub fn transliterate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match gsm7_units(c) {
            Some(_) => out.push(c),
            None => match plain(c) {
                Some(letters) => out.push_str(letters),
                None => out.push(c),
            },
        }
    }
    out
}

fn plain(c: char) -> Option<&'static str> {
    const TABLE: &[(&str, &str)] = &[
        ("áâãāăą", "a"),
        ("ÀÁÂÃĀĂĄ", "A"),
        ("çćĉċč", "c"),
        ("ĆĈĊČ", "C"),
        ("ďđ", "d"),
        ("ĎĐ", "D"),
        ("êëēĕėęě", "e"),
        ("ÈÊËĒĔĖĘĚ", "E"),
        ("ĝğġģ", "g"),
        ("ĜĞĠĢ", "G"),
        ("íîïĩīĭįı", "i"),
        ("ÌÍÎÏĨĪĬĮİ", "I"),
        ("ķ", "k"),
        ("Ķ", "K"),
        ("ĺļľł", "l"),
        ("ĹĻĽŁ", "L"),
        ("ńņň", "n"),
        ("ŃŅŇ", "N"),
        ("óôõōŏő", "o"),
        ("ÒÓÔÕŌŎŐ", "O"),
        ("œ", "oe"),
        ("Œ", "OE"),
        ("ŕŗř", "r"),
        ("ŔŖŘ", "R"),
        ("śŝşšș", "s"),
        ("ŚŜŞŠȘ", "S"),
        ("ţťț", "t"),
        ("ŢŤȚ", "T"),
        ("úûũūŭůűų", "u"),
        ("ÙÚÛŨŪŬŮŰŲ", "U"),
        ("ýÿ", "y"),
        ("ÝŸ", "Y"),
        ("źżž", "z"),
        ("ŹŻŽ", "Z"),
        ("ẞ", "SS"),
        ("þ", "th"),
        ("ð", "d"),
    ];
    TABLE.iter().find(|(from, _)| from.contains(c)).map(|(_, to)| *to)
}

#[cfg(test)]
mod tests {
    use super::Encoding::{Gsm7, Ucs2};
    use super::*;

    #[track_caller]
    fn check(text: &str, encoding: Encoding, units: usize, segments: usize) {
        assert_eq!(count(text), Count { encoding, units, segments }, "{text}");
    }

    #[test]
    fn the_examples_of_the_rule() {
        let dollars = "Corner Mart: thanks! Total $23.47, Mar 2 17:04. Receipt: https://r.cmart.example/Ab3dE6gH9kQ Reply STOP to opt out";
        check(dollars, Gsm7, 114, 1);
        check(&dollars.replace('$', "€"), Gsm7, 115, 1);
        check(&dollars.replace("$23.47", "₹1,240.00").replace("Mar 2", "2 Mar"), Ucs2, 117, 2);
        let joe = dollars.replace("Corner Mart", "Joe’s Mart");
        check(&joe, Ucs2, 113, 2);
        check(&replace(&joe), Gsm7, 113, 1);
        check("Café Niño: gracias! Total $23.47. Recibo: https://r.cmart.example/Ab3dE6gH9kQ", Gsm7, 77, 1);
        let nicolas = "Café Nicolás: ¡gracias! Total $23.47. Recibo: https://r.cmart.example/Ab3dE6gH9kQ";
        check(nicolas, Ucs2, 81, 2);
        check(&transliterate(nicolas), Gsm7, 81, 1);
        check(&format!("{}€{}", "A".repeat(152), "B".repeat(10)), Gsm7, 164, 2);
        check(&"😀".repeat(36), Ucs2, 72, 2);
    }

    #[test]
    fn the_edges() {
        check("", Gsm7, 0, 0);
        check(&"A".repeat(160), Gsm7, 160, 1);
        check(&"A".repeat(161), Gsm7, 161, 2);
        check(&"A".repeat(306), Gsm7, 306, 2);
        check(&"A".repeat(307), Gsm7, 307, 3);
        check(&"я".repeat(70), Ucs2, 70, 1);
        check(&"я".repeat(135), Ucs2, 135, 3);
        // 305 units that fill two parts to the last, but for a pair that does not fit at the seam.
        check(&format!("{}€{}", "A".repeat(152), "B".repeat(152)), Gsm7, 306, 3);
        for c in "`çáíóúêâõ".chars() {
            assert_eq!(count(&c.to_string()).encoding, Ucs2, "{c}");
        }
        for c in "^{}\\[~]|€".chars() {
            assert_eq!(count(&c.to_string()).units, 2, "{c}");
        }
    }

    #[test]
    fn plain_text_for_typographic() {
        assert_eq!(replace("“Joe’s” – 5\u{a0}€ … ™"), "\"Joe's\" - 5 € ... TM");
        assert_eq!(replace("‘a’ “b” – — … \u{a0}™"), "'a' \"b\" - - ...  TM");
        assert_eq!(replace("Café Nicolás ₹ 😀"), "Café Nicolás ₹ 😀", "letters stay");
        assert_eq!(transliterate("Žluťoučký Łódź ü é €"), "Zlutoucky Lodz ü é €");
    }
}
