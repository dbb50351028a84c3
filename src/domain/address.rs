//! Addresses of people: normalised, comparable, and masked for every eye that need not see them.

use std::fmt;

/// An e-mail address that can be written into an SMTP dialogue: trimmed, lower case, at most 254
/// bytes, one `@`, a domain with a dot, no blank, control or angle bracket. Whether a mailbox
/// exists is for its server to say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// `None` where the text cannot be an address. No tricks with dots or plus signs: whoever wrote
    /// them meant them.
    pub fn parse(text: &str) -> Option<Self> {
        let address = text.trim().to_lowercase();
        let (local, domain) = address.rsplit_once('@')?;
        let local_good = !local.is_empty()
            && local.len() <= 64
            && !local.contains("..")
            && !local.starts_with('.')
            && !local.ends_with('.')
            && local.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"<>()[]\\,;:\"@".contains(c));
        let labels_good = domain.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_alphanumeric() || c == '-')
        });
        (local_good && labels_good && domain.contains('.') && address.len() <= 254).then_some(EmailAddress(address))
    }

    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands after the `@`.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// A telephone number in E.164: `+` and 8 to 15 digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhoneNumber(String);

impl PhoneNumber {
    /// Reads `+16075550100`, `0049 …` and, with the shop's country (ISO 3166, two letters), a
    /// national number such as `(607) 555-0100` or `0171 2345678`. `None` where no number comes of it.
    pub fn parse(text: &str, country: &str) -> Option<Self> {
        let text = text.trim();
        let digits: String = text.chars().filter(char::is_ascii_digit).collect();
        if text.chars().any(|c| !c.is_ascii_digit() && !" +-()./\u{a0}".contains(c)) || text.rfind('+').is_some_and(|at| at > 0) {
            return None;
        }
        let international = if text.starts_with('+') {
            digits
        } else if let Some(rest) = digits.strip_prefix("00") {
            rest.to_owned()
        } else {
            let plan = NUMBERING.iter().find(|p| p.country == country)?;
            let national = digits.strip_prefix(plan.trunk).unwrap_or(&digits);
            if plan.code == "1" && national.len() == 11 && national.starts_with('1') {
                national.to_owned()
            } else if plan.national.contains(&national.len()) {
                format!("{}{national}", plan.code)
            } else {
                return None;
            }
        };
        let good = (8..=15).contains(&international.len()) && !international.starts_with('0');
        let nanp = !international.starts_with('1') || international.len() == 11;
        (good && nanp).then(|| PhoneNumber(format!("+{international}")))
    }

    /// The number with its `+`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a national number needs to become an international one.
struct Numbering {
    country: &'static str,
    code: &'static str,
    /// The digit that is dialled before a national number and dropped in the international one.
    trunk: &'static str,
    /// Lengths of national numbers without the trunk digit.
    national: std::ops::RangeInclusive<usize>,
}

const fn plan(country: &'static str, code: &'static str, trunk: &'static str, least: usize, most: usize) -> Numbering {
    Numbering { country, code, trunk, national: least..=most }
}

/// Country codes and lengths (ITU-T E.164 and the national numbering plans).
const NUMBERING: &[Numbering] = &[
    plan("US", "1", "\u{0}", 10, 10),
    plan("CA", "1", "\u{0}", 10, 10),
    plan("GB", "44", "0", 9, 10),
    plan("IE", "353", "0", 7, 9),
    plan("DE", "49", "0", 6, 11),
    plan("AT", "43", "0", 6, 12),
    plan("CH", "41", "0", 9, 9),
    plan("FR", "33", "0", 9, 9),
    plan("BE", "32", "0", 8, 9),
    plan("NL", "31", "0", 9, 9),
    plan("LU", "352", "\u{0}", 6, 11),
    plan("ES", "34", "\u{0}", 9, 9),
    plan("PT", "351", "\u{0}", 9, 9),
    plan("IT", "39", "\u{0}", 8, 11),
    plan("SE", "46", "0", 7, 10),
    plan("NO", "47", "\u{0}", 8, 8),
    plan("DK", "45", "\u{0}", 8, 8),
    plan("FI", "358", "0", 6, 11),
    plan("PL", "48", "\u{0}", 9, 9),
    plan("CZ", "420", "\u{0}", 9, 9),
    plan("AU", "61", "0", 9, 9),
    plan("NZ", "64", "0", 8, 10),
    plan("JP", "81", "0", 9, 10),
    plan("IN", "91", "0", 10, 10),
    plan("MX", "52", "\u{0}", 10, 10),
    plan("BR", "55", "0", 10, 11),
];

/// `a***@example.org`, `+49***123`; anything else becomes `***`.
pub fn mask(address: &str) -> String {
    if let Some((local, domain)) = address.rsplit_once('@') {
        let first: String = local.chars().take(1).collect();
        return format!("{first}***@{domain}");
    }
    if address.starts_with('+') && address.is_ascii() && address.len() > 6 {
        let (head, tail) = (address.get(..3).unwrap_or_default(), address.get(address.len() - 3..).unwrap_or_default());
        return format!("{head}***{tail}");
    }
    "***".to_owned()
}

macro_rules! shown_masked {
    ($type:ident) => {
        /// Masked, so that no log line can name a person by mistake.
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&mask(&self.0))
            }
        }
    };
}
shown_masked!(EmailAddress);
shown_masked!(PhoneNumber);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_addresses() {
        for (text, good) in [
            (" Lee@Example.ORG ", Some("lee@example.org")),
            ("a+b.c@mail.example", Some("a+b.c@mail.example")),
            ("käthe@müller.example", Some("käthe@müller.example")),
            ("lee@localhost", None),
            ("lee", None),
            ("a@b@c.example", None),
            ("le e@example.org", None),
            ("lee@example..org", None),
            ("lee@-example.org", None),
            (".lee@example.org", None),
            ("lee@example.org\r\nBcc: x@y.example", None),
            ("<lee@example.org>", None),
        ] {
            assert_eq!(EmailAddress::parse(text).as_ref().map(EmailAddress::as_str), good, "{text}");
        }
    }

    #[test]
    fn phone_numbers() {
        for (text, country, good) in [
            ("+1 607 555-0100", "DE", Some("+16075550100")),
            ("(607) 555-0100", "US", Some("+16075550100")),
            ("1-607-555-0100", "US", Some("+16075550100")),
            ("0171 2345678", "DE", Some("+491712345678")),
            ("0049 171 2345678", "US", Some("+491712345678")),
            ("07700 900123", "GB", Some("+447700900123")),
            ("555-0100", "US", None),
            ("607 555 0100 ext 3", "US", None),
            ("6075550100", "XX", None),
            ("+1607555", "US", None),
            ("", "US", None),
        ] {
            assert_eq!(PhoneNumber::parse(text, country).as_ref().map(PhoneNumber::as_str), good, "{text} in {country}");
        }
    }

    #[test]
    fn masks_hide_the_person() {
        assert_eq!(mask("anna@example.org"), "a***@example.org");
        assert_eq!(mask("+491712345123"), "+49***123");
        assert_eq!(mask("whatever"), "***");
        assert_eq!(format!("{:?}", EmailAddress::parse("anna@example.org").unwrap()), "a***@example.org");
    }
}
