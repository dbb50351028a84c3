//! Card numbers and digits of benefit accounts are masked before anything is kept, in the raw bytes too.
//!
//! A card number is 14 to 19 digits of a known range and length with a right check digit, solid or in one of
//! the layouts that cards are written in. What stands under the key of an id is left alone, as are 13-digit
//! articles and amounts. JSON stays valid JSON. What was masked is counted, never shown. A document may
//! lose an id that looks like a card: one in ten numbers of such a range passes the check digit.

mod json;

use std::borrow::Cow;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// Card numbers.
    pub cards: u32,
    /// Contents of a magnetic stripe.
    pub tracks: u32,
    /// Card verification codes.
    pub codes: u32,
    /// Digits of benefit accounts.
    pub benefits: u32,
}

impl Hits {
    /// All of them.
    pub fn sum(&self) -> u32 {
        self.cards.saturating_add(self.tracks).saturating_add(self.codes).saturating_add(self.benefits)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        *self == Hits::default()
    }
}

/// Masks a body. What has nothing to mask is given back as it is. `keep_ebt`: the last four digits of a
/// benefit account stay, where the paper rules of a country want them.
pub fn mask(body: &[u8], keep_ebt: bool) -> (Cow<'_, [u8]>, Hits) {
    // Two bytes a letter hide every digit from a look at bytes: such a text is kept as UTF-8 where it has a hit.
    if let Some((encoding, _)) = encoding_rs::Encoding::for_bom(body).filter(|(e, _)| *e != encoding_rs::UTF_8) {
        let text = encoding.decode(body).0.into_owned().into_bytes();
        let (masked, hits) = mask(&text, keep_ebt);
        return if hits.is_empty() { (Cow::Borrowed(body), hits) } else { (Cow::Owned(masked.into_owned()), hits) };
    }
    let mut work = Work { bytes: body, keep_ebt, edits: Vec::new(), hits: Hits::default() };
    let first = body.iter().find(|b| !b" \t\r\n\xef\xbb\xbf".contains(b));
    if !first.is_some_and(|b| b"{[\"".contains(b)) || !json::walk(&mut work) {
        work.text(0, body.len(), false);
    }
    let Work { mut edits, hits, .. } = work;
    if edits.is_empty() {
        return (Cow::Borrowed(body), hits);
    }
    edits.sort_by_key(|edit| edit.start);
    let (mut out, mut at) = (Vec::with_capacity(body.len()), 0);
    for edit in edits.into_iter() {
        if edit.start < at {
            continue;
        }
        out.extend_from_slice(body.get(at..edit.start).unwrap_or_default());
        out.extend_from_slice(&edit.with);
        at = edit.end;
    }
    out.extend_from_slice(body.get(at..).unwrap_or_default());
    (Cow::Owned(out), hits)
}

struct Edit {
    start: usize,
    end: usize,
    with: Vec<u8>,
}

struct Work<'b> {
    bytes: &'b [u8],
    keep_ebt: bool,
    edits: Vec<Edit>,
    hits: Hits,
}

/// One digit as it is written: a byte, or in JSON the six of its escape.
#[derive(Clone, Copy)]
struct Digit {
    at: usize,
    len: usize,
    value: u8,
}

/// Digits without anything between them, and what stands before the next group.
struct Group {
    digits: Vec<Digit>,
    /// The run goes on over the end of a line.
    wraps: bool,
}

impl Work<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn digit(&self, at: usize, end: usize, escapes: bool) -> Option<Digit> {
        let b = self.byte(at);
        if at < end && b.is_ascii_digit() {
            return Some(Digit { at, len: 1, value: b - b'0' });
        }
        let six = self.bytes.get(at..at + 6).filter(|_| escapes && at + 6 <= end)?;
        let value = six.strip_prefix(b"\\u003")?.first().filter(|d| d.is_ascii_digit())?;
        Some(Digit { at, len: 6, value: value - b'0' })
    }

    /// Length of one separator within a number, and whether it ends a line; 0 for none.
    fn separator(&self, at: usize, escapes: bool) -> (usize, bool) {
        let rest = self.bytes.get(at..).unwrap_or_default();
        if rest.starts_with(b"\r\n") {
            return (2, true);
        }
        let escaped: [&[u8]; 2] = [b"\\r\\n", b"\\n"];
        if let Some(found) = escaped.iter().find(|e| escapes && rest.starts_with(e)) {
            return (found.len(), true);
        }
        if rest.starts_with(b"%20") && !escapes {
            return (3, false);
        }
        match rest.first() {
            Some(b'\n') => (1, true),
            Some(b' ' | b'-' | b'.' | b'+') => (1, false),
            _ => (0, false),
        }
    }

    /// Masks within a piece of text. `escapes`: it stands in a JSON string.
    fn text(&mut self, start: usize, end: usize, escapes: bool) {
        self.tracks(start, end);
        self.codes(start, end);
        let mut at = start;
        while at < end {
            if self.digit(at, end, escapes).is_none() {
                at += 1;
                continue;
            }
            let plus = at > start && self.byte(at - 1) == b'+';
            let (groups, next) = self.run(at, end, escapes);
            self.cards(&groups, plus);
            at = next;
        }
        self.benefit_lines(start, end, escapes);
    }

    /// Groups of digits with single separators between them, and where they end.
    fn run(&self, start: usize, end: usize, escapes: bool) -> (Vec<Group>, usize) {
        let (mut groups, mut at) = (Vec::new(), start);
        loop {
            let mut digits = Vec::new();
            while let Some(digit) = self.digit(at, end, escapes) {
                at += digit.len;
                digits.push(digit);
            }
            let (gap, wraps) = self.separator(at, escapes);
            let goes_on = gap > 0 && self.digit(at + gap, end, escapes).is_some();
            groups.push(Group { digits, wraps: wraps && goes_on });
            if !goes_on {
                return (groups, at);
            }
            at += gap;
        }
    }

    fn cards(&mut self, groups: &[Group], plus: bool) {
        let mut first = 0;
        while let Some(group) = groups.get(first) {
            // A telephone number has at most 15 digits behind its plus.
            let phone = plus && first == 0 && groups.len() == 1 && group.digits.len() <= 15;
            match card_from(groups, first).filter(|_| !phone) {
                Some(last) => {
                    let digits: Vec<Digit> =
                        groups.get(first..=last).into_iter().flatten().flat_map(|g| g.digits.iter().copied()).collect();
                    self.hide_card(&digits);
                    first = last + 1;
                }
                None => {
                    if let Some(range) = card_at_edge(&group.digits) {
                        let digits: Vec<Digit> = group.digits.get(range).unwrap_or_default().to_vec();
                        self.hide_card(&digits);
                    }
                    first += 1;
                }
            }
        }
    }

    fn hide_card(&mut self, digits: &[Digit]) {
        self.hits.cards += 1;
        let kept = digits.len().saturating_sub(4);
        self.hide(digits.get(..kept).unwrap_or_default());
    }

    fn hide(&mut self, digits: &[Digit]) {
        for digit in digits {
            let with: &[u8] = if digit.len == 6 { b"\\u002a" } else { b"*" };
            self.edits.push(Edit { start: digit.at, end: digit.at + digit.len, with: with.to_vec() });
        }
    }

    /// `%B<digits>^…?` and `;<digits>=…?`: everything of it that is a digit.
    fn tracks(&mut self, start: usize, end: usize) {
        let mut at = start;
        while at < end {
            let head = match (self.byte(at), self.byte(at + 1)) {
                (b'%', b'B' | b'b') => 2,
                (b';', b'0'..=b'9') => 1,
                _ => 0,
            };
            let digits = (at + head..end).take_while(|n| self.byte(*n).is_ascii_digit()).count();
            let mark = self.byte(at + head + digits);
            if head == 0 || !(12..=19).contains(&digits) || !matches!((head, mark), (2, b'^') | (1, b'=')) {
                at += 1;
                continue;
            }
            let stop = (at..end.min(at + 120)).find(|n| matches!(self.byte(*n), b'?' | b'\n' | b'"')).unwrap_or(end.min(at + 120));
            let all: Vec<Digit> = (at..stop).filter_map(|n| self.digit(n, stop, false)).collect();
            self.hits.tracks += 1;
            self.hide(&all);
            at = stop.max(at + 1);
        }
    }

    /// `CVV: 123`, `CVC2 1234`, `CID 1234`.
    fn codes(&mut self, start: usize, end: usize) {
        for at in (start..end).filter(|n| matches!(self.bytes.get(*n), Some(b'C' | b'c'))).collect::<Vec<_>>() {
            let word: Vec<u8> = (at..at + 3).map(|n| self.byte(n).to_ascii_uppercase()).collect();
            let alone = at == start || !self.byte(at - 1).is_ascii_alphanumeric();
            if !alone || !matches!(word.as_slice(), b"CVV" | b"CVC" | b"CID") {
                continue;
            }
            let mut next = at + 3;
            if self.byte(next) == b'2' && !self.byte(next + 1).is_ascii_digit() {
                next += 1;
            }
            let from = next;
            while next < end.min(from + 5) && matches!(self.byte(next), b':' | b' ' | b'=' | b'#') {
                next += 1;
            }
            let digits: Vec<Digit> = (next..end.min(next + 5)).map_while(|n| self.digit(n, end, false)).collect();
            if next > from && matches!(digits.len(), 3 | 4) && !self.byte(next + digits.len()).is_ascii_alphanumeric() {
                self.hits.codes += 1;
                self.hide(&digits);
            }
        }
    }

    /// In a line that names a benefit: numbers of 16 to 19 digits and what is left of shortened ones.
    fn benefit_lines(&mut self, start: usize, end: usize, escapes: bool) {
        let mut from = start;
        while from < end {
            let stop = (from..end).find(|n| self.separator(*n, escapes).1).unwrap_or(end);
            if self.names_benefit(from, stop) {
                self.benefit(from, stop, escapes);
            }
            from = stop + self.separator(stop, escapes).0.max(1);
        }
    }

    fn names_benefit(&self, start: usize, end: usize) -> bool {
        const WORDS: &[&[u8]] = &[b"EBT", b"SNAP", b"WIC", b"FOOD STAMP"];
        let line = self.bytes.get(start..end).unwrap_or_default();
        let at = |word: &[u8]| line.windows(word.len()).position(|w| w.eq_ignore_ascii_case(word)).map(|p| (p, p + word.len()));
        let letter = |n: Option<usize>| n.and_then(|n| line.get(n)).is_some_and(u8::is_ascii_alphabetic);
        WORDS.iter().filter_map(|w| at(w)).any(|(p, e)| {
            !letter(p.checked_sub(1))
                && (!letter(Some(e)) || line.get(e).is_some_and(|b| b.eq_ignore_ascii_case(&b's') || b.eq_ignore_ascii_case(&b'c')))
        })
    }

    fn benefit(&mut self, start: usize, end: usize, escapes: bool) {
        let mut at = start;
        while at < end {
            let stars = (at..end).take_while(|n| matches!(self.byte(*n), b'*' | b'X' | b'x' | b'#')).count();
            if stars >= 2 {
                let digits: Vec<Digit> = (at + stars..end).map_while(|n| self.digit(n, end, false)).collect();
                if (2..=6).contains(&digits.len()) && !self.keep_ebt {
                    self.hits.benefits += 1;
                    self.hide(&digits);
                }
                at += stars + digits.len();
            } else if self.digit(at, end, escapes).is_some() {
                let (groups, next) = self.run(at, end, escapes);
                let digits: Vec<Digit> = groups.iter().flat_map(|g| g.digits.iter().copied()).collect();
                if (16..=19).contains(&digits.len()) {
                    self.hits.benefits += 1;
                    let kept = if self.keep_ebt { digits.len() - 4 } else { digits.len() };
                    self.hide(digits.get(..kept).unwrap_or_default());
                }
                at = next;
            } else {
                at += 1;
            }
        }
    }
}

/// Whether a card number begins with this group; the last group of it.
fn card_from(groups: &[Group], first: usize) -> Option<usize> {
    let (mut digits, mut sizes, mut merged, mut wrapped) = (Vec::new(), Vec::new(), Vec::<usize>::new(), false);
    let mut found = None;
    for (n, group) in groups.iter().enumerate().skip(first) {
        digits.extend(group.digits.iter().map(|d| d.value));
        if digits.len() > 19 {
            break;
        }
        sizes.push(group.digits.len());
        match merged.last_mut().filter(|_| wrapped) {
            Some(last) => *last += group.digits.len(),
            None => merged.push(group.digits.len()),
        }
        wrapped = group.wraps;
        let known = is_layout(&sizes) || (merged.len() > 1 && merged.len() < sizes.len() && is_layout(&merged));
        if known && is_card(&digits) {
            found = Some(n);
        }
    }
    found
}

/// How cards are written. Amounts and dates beside each other are none of these.
fn is_layout(sizes: &[usize]) -> bool {
    match sizes {
        [_] | [4, 4, 4, 2..=4] | [4, 4, 4, 4, 1..=3] | [4, 6, 4 | 5] | [6, 13] | [8, 8] => true,
        many => many.len() >= 14 && many.iter().all(|s| *s == 1),
    }
}

/// A card number at either end of a run that is too long for one.
fn card_at_edge(digits: &[Digit]) -> Option<std::ops::Range<usize>> {
    let all = digits.len();
    let ends = [19usize, 16, 15, 14].into_iter().filter(|_| all > 19).flat_map(|n| [0..n, all - n..all]);
    ends.into_iter().find(|range| {
        let part: Vec<u8> = digits.get(range.clone()).into_iter().flatten().map(|d| d.value).collect();
        is_card(&part)
    })
}

/// Known range, length and check digit. Visa's old 13 digits are left out: every article number has 13.
fn is_card(digits: &[u8]) -> bool {
    let head = |n: usize| digits.iter().take(n).fold(0u32, |all, d| all * 10 + u32::from(*d));
    let len = digits.len();
    let known = match (head(1), head(2), head(3), head(4)) {
        (4, ..) => matches!(len, 16 | 19),
        (_, 34 | 37, ..) => len == 15,
        (_, 36 | 38 | 39, ..) | (_, _, 300..=305, _) => matches!(len, 14 | 16 | 19),
        (_, 51..=55, ..) | (.., 2221..=2720) => len == 16,
        (_, 65, ..) | (_, _, 644..=649, _) | (.., 6011 | 3528..=3589) => matches!(len, 16 | 19),
        (_, 50 | 56..=58 | 60 | 62 | 63 | 67 | 81, ..) => (16..=19).contains(&len),
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(n, d)| match (n % 2, u32::from(*d) * 2) {
            (0, _) => u32::from(*d),
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    // Sixteen equal digits are filling, not a card.
    known && sum.is_multiple_of(10) && digits.iter().any(|d| Some(d) != digits.first())
}

#[cfg(test)]
mod tests;
