//! What kind of print a job is, by the words and the look of its lines where no profile says it.

use super::job::Job;
use super::page::Item;
use crate::domain::channel::words;

words! {
    /// The kinds of print. Only the first two can go to a customer.
    Kind {
        /// A receipt: a total, and a number or a date.
        Sale = "sale",
        /// Money back.
        Refund = "refund",
        /// A receipt printed again.
        Copy = "copy",
        /// What the shop keeps.
        MerchantCopy = "merchant-copy",
        /// An order for the kitchen or the bar.
        Kitchen = "kitchen",
        /// Figures so far.
        XReport = "x-report",
        /// The day's closing.
        ZReport = "z-report",
        /// Nothing but a pulse for the drawer.
        DrawerOnly = "drawer-only",
        /// No printing at all.
        Garbage = "garbage",
        /// Anything else: a coupon, a voucher, a note.
        Unknown = "unknown",
    }
}

/// Words that make a line a sign of a kind; longer lines only mention them. In lower case.
const WORDS: &[(Kind, &[&str])] = &[
    (
        Kind::MerchantCopy,
        &[
            "merchant copy",
            "händlerbeleg",
            "haendlerbeleg",
            "copia comercio",
            "copia para el comercio",
            "ticket commerçant",
            "exemplaire commerçant",
        ],
    ),
    (
        Kind::ZReport,
        &[
            "z report",
            "z-report",
            "z-bon",
            "z bon",
            "tagesabschluss",
            "tagesabschluß",
            "cierre z",
            "informe z",
            "ticket z",
            "rapport z",
            "end of day report",
        ],
    ),
    (Kind::XReport, &["x report", "x-report", "x-bon", "x bon", "informe x", "rapport x", "ticket x", "zwischenbericht"]),
    (Kind::Copy, &["duplicate", "reprint", "copy", "kopie", "duplicata", "duplicado", "copia", "belegkopie", "nachdruck", "zweitschrift"]),
    (
        Kind::Refund,
        &[
            "refund",
            "storno",
            "gutschrift",
            "retoure",
            "devolución",
            "devolucion",
            "reembolso",
            "remboursement",
            "credit note",
            "return receipt",
        ],
    ),
];

/// What the customer keeps is no copy, whatever its line says.
const FOR_CUSTOMER: &[&str] =
    &["customer copy", "kundenbeleg", "copia cliente", "copia para el cliente", "ticket client", "exemplaire client"];

/// The kind by what is printed alone; `None` where it may be a receipt or anything.
pub fn by_look(job: &Job) -> Option<Kind> {
    if job.is_garbage() {
        return Some(Kind::Garbage);
    }
    if job.page.is_blank() {
        return Some(Kind::DrawerOnly);
    }
    let lines: Vec<String> = job.page.lines().map(|line| line.text().to_lowercase()).filter(|line| !line.trim().is_empty()).collect();
    by_words(&lines).or_else(|| looks_like_kitchen(job, &lines).then_some(Kind::Kitchen))
}

fn by_words(lines: &[String]) -> Option<Kind> {
    for (kind, words) in WORDS {
        // A sale with a line taken back names it further down.
        let head = if *kind == Kind::Refund { 8 } else { usize::MAX };
        let hit = lines.iter().take(head).any(|line| {
            let bare = line.trim_matches(|c: char| !c.is_alphanumeric());
            let short = bare.chars().count() <= 28;
            let meant = !FOR_CUSTOMER.iter().any(|word| bare.contains(word));
            short && meant && words.iter().any(|word| stands(bare, word))
        });
        if hit {
            return Some(*kind);
        }
    }
    None
}

/// Whether the words stand in the line as words, and no amount beside them.
fn stands(line: &str, word: &str) -> bool {
    let Some((before, after)) = line.split_once(word) else { return false };
    let open = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    open(before.chars().next_back()) && open(after.chars().next()) && !has_amount(line)
}

/// No amount anywhere, a table or a ticket number, and large type.
fn looks_like_kitchen(job: &Job, lines: &[String]) -> bool {
    const SIGNS: &[&str] =
        &["table", "tisch", "mesa", "ticket", "bon", "order", "comanda", "commande", "bestellung", "küche", "kitchen", "cocina", "cuisine"];
    let large = job.page.items.iter().any(|item| match item {
        Item::Line(line) => line.spans.iter().any(|span| span.style.height >= 2 && !span.text.trim().is_empty()),
        _ => false,
    });
    let sign = |line: &String| SIGNS.iter().any(|sign| line.contains(sign)) && line.bytes().any(|b| b.is_ascii_digit());
    large && !lines.iter().any(|line| has_amount(line)) && lines.iter().any(sign)
}

/// Whether a line holds an amount: digits, a point or comma, and two digits that end the number. Days and
/// addresses have more of the same marks.
pub fn has_amount(line: &str) -> bool {
    let bytes = line.as_bytes();
    let is = |i: Option<usize>, test: &dyn Fn(u8) -> bool| i.and_then(|i| bytes.get(i)).is_some_and(|b| test(*b));
    bytes.windows(3).enumerate().any(|(i, window)| {
        let [mark @ (b'.' | b','), a, b] = *window else { return false };
        let whole = bytes.get(..i).unwrap_or_default().iter().rev().take_while(|b| b.is_ascii_digit()).count();
        let head = i.checked_sub(whole + 1);
        let again = is(head, &|b| b == mark) && is(head.and_then(|h| h.checked_sub(1)), &|b| b.is_ascii_digit());
        let on = is(Some(i + 3), &|b| b".,/-".contains(&b)) && is(Some(i + 4), &|b| b.is_ascii_digit());
        whole > 0 && a.is_ascii_digit() && b.is_ascii_digit() && !again && !on && !is(Some(i + 3), &|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_not_dates() {
        for (line, holds) in [
            ("TOTAL 12.50", true),
            ("1.234,56", true),
            ("4,50 €", true),
            ("21.11.2026", false),
            ("21.11.26", false),
            ("10.0.0.1", false),
            ("v1.2", false),
            ("1,09", true),
            ("842.123", false),
        ] {
            assert_eq!(has_amount(line), holds, "{line}");
        }
    }

    #[test]
    fn words_stand_alone() {
        for (line, kind) in [
            ("*** MERCHANT COPY ***", Some(Kind::MerchantCopy)),
            ("*** CUSTOMER COPY ***", None),
            ("DUPLICATE", Some(Kind::Copy)),
            ("Z-BON NR. 117", Some(Kind::ZReport)),
            ("Photocopy paper", None),
            ("Copy paper A4          4.99", None),
            ("GUTSCHRIFT", Some(Kind::Refund)),
            ("Rückgabe nur mit Kopie dieses Belegs möglich", None),
        ] {
            assert_eq!(by_words(&[line.to_lowercase()]), kind, "{line}");
        }
    }
}
