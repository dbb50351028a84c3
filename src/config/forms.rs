//! Forms of text that several keys share: codes of countries, addresses, colours. Pure; knows no key.

use crate::config::checked::IpNet;
use crate::config::key::Form;
use crate::domain::address::EmailAddress;
use crate::domain::money::Currency;
use std::net::{IpAddr, SocketAddr};

/// ISO 3166.
pub const COUNTRY: Form = Form {
    what: "a country code of two capital letters (ISO 3166)",
    example: "US",
    good: |t| t.len() == 2 && t.bytes().all(|b| b.is_ascii_uppercase()),
};

/// ISO 3166-2.
pub const REGION: Form = Form {
    what: "a region code: country, hyphen, one to three letters or digits (ISO 3166-2)",
    example: "US-NY",
    good: |t| {
        t.split_once('-').is_some_and(|(country, part)| {
            (COUNTRY.good)(country) && (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        })
    },
};

/// BCP 47, as far as receipts need it: language, script, region.
pub const LOCALE: Form = Form {
    what: "a locale: language, and where needed script and region (BCP 47)",
    example: "en-US",
    good: |t| {
        let mut parts = t.split('-');
        let language = parts.next().is_some_and(|p| (2..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_lowercase()));
        language && t.split('-').count() <= 3 && parts.all(|p| (2..=4).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric()))
    },
};

/// ISO 4217.
pub const CURRENCY: Form =
    Form { what: "a currency code of three capital letters (ISO 4217)", example: "USD", good: |t| Currency::parse(t).is_some() };

/// `#rrggbb`.
pub const COLOR: Form = Form {
    what: "a colour as # and six hexadecimal digits",
    example: "#2b5f4a",
    good: |t| t.strip_prefix('#').is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|b| b.is_ascii_hexdigit())),
};

/// An address range.
pub const NET: Form = Form { what: "an IP address or a range of them", example: "10.1.2.0/24", good: |t| IpNet::parse(t).is_some() };

/// Where to listen.
pub const LISTEN: Form =
    Form { what: "an IP address and a port to listen on", example: "127.0.0.1:8480", good: |t| listen_address(t).is_some() };

/// Reads an address to listen on; `localhost` is the IPv4 loopback.
pub fn listen_address(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port.parse().ok()?)),
        None => text.parse().ok(),
    }
}

/// Whether a text is a host and a port to connect to.
pub fn is_socket(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let port_good = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    port_good && bracketed.map_or_else(|| is_host(host), |v6| v6.parse::<IpAddr>().is_ok())
}

fn is_host(host: &str) -> bool {
    !host.is_empty() && host.len() <= 253 && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// The parts of an `http` or `https` URL that matter here.
#[derive(Debug, PartialEq, Eq)]
pub struct Url<'t> {
    /// Not encrypted.
    pub plain: bool,
    /// Name or address, without brackets and port.
    pub host: &'t str,
    /// It holds a user name or password.
    pub has_user: bool,
}

/// Takes a URL apart; `None` where it is none.
pub fn url(text: &str) -> Option<Url<'_>> {
    let (plain, rest) = match text.strip_prefix("https://") {
        Some(rest) => (false, rest),
        None => (true, text.strip_prefix("http://")?),
    };
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next()?;
    let (has_user, place) = authority.rsplit_once('@').map_or((false, authority), |(_, place)| (true, place));
    let (host, port) = match place.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map(|(host, port)| (host, port.strip_prefix(':')))?,
        None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
    };
    let host_good = if place.starts_with('[') { host.parse::<IpAddr>().is_ok() } else { is_host(host) };
    (host_good && port.is_none_or(|p| p.parse::<u16>().is_ok())).then_some(Url { plain, host, has_user })
}

/// Whether a host is this machine by its name or address; a name is not looked up.
pub fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Whether a text is `name@domain` or `Name <name@domain>`.
pub fn is_mailbox(text: &str) -> bool {
    match text.trim().strip_suffix('>') {
        Some(rest) => rest
            .split_once('<')
            .is_some_and(|(name, address)| !name.contains(|c: char| c.is_control() || c == '>') && EmailAddress::parse(address).is_some()),
        None => EmailAddress::parse(text).is_some(),
    }
}

/// A URL without user name and password, for showing.
pub fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://***@{place}{path}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (form, good, bad) in [
            (COUNTRY, &["US", "DE"][..], &["us", "USA", "", "U1"][..]),
            (REGION, &["US-NY", "GB-ENG", "FR-75"], &["NY", "US-", "US-abc", "US-ABCD"]),
            (LOCALE, &["en", "en-US", "zh-Hant-TW", "es-419"], &["english", "en_US", "EN", "en-", "", "en-US-x-y"]),
            (CURRENCY, &["USD"], &["usd", "EURO", "$"]),
            (COLOR, &["#2b5f4a"], &["2b5f4a", "#fff", "#gggggg", "green"]),
            (NET, &["10.1.2.0/24", "::1", "10.0.0.1"], &["10.1.2", "10.0.0.0/33", "till"]),
            (LISTEN, &["127.0.0.1:8480", "[::1]:80", "localhost:0", "0.0.0.0:8480"], &["8480", "shop:8480", "localhost:x", ":80"]),
        ] {
            assert!((form.good)(form.example), "{}", form.example);
            for text in good {
                assert!((form.good)(text), "{text} is {}", form.what);
            }
            for text in bad {
                assert!(!(form.good)(text), "{text} is not {}", form.what);
            }
        }
    }

    #[test]
    fn urls() {
        for (text, expected) in [
            ("https://api.example/v3", Some((false, "api.example", false))),
            ("http://127.0.0.1:9000", Some((true, "127.0.0.1", false))),
            ("http://[::1]:9000/x", Some((true, "::1", false))),
            ("https://me:pw@api.example", Some((false, "api.example", true))),
            ("https://api.example:99999", None),
            ("ftp://api.example", None),
            ("api.example", None),
            ("https://", None),
            ("https://a b", None),
            ("https://[zz]", None),
        ] {
            assert_eq!(url(text).map(|u| (u.plain, u.host, u.has_user)), expected, "{text}");
        }
        assert_eq!(without_user("https://me:pw@api.example/a@b"), "https://***@api.example/a@b");
        assert_eq!(without_user("https://api.example/a@b"), "https://api.example/a@b");
        for (host, yes) in [("localhost", true), ("127.9.9.9", true), ("::1", true), ("10.0.0.1", false), ("localhost.example", false)] {
            assert_eq!(is_loopback(host), yes, "{host}");
        }
    }

    #[test]
    fn sockets_and_mailboxes() {
        for (text, yes) in
            [("printer:9100", true), ("10.0.0.7:9100", true), ("[fe80::1]:1", true), ("printer", false), (":80", false), ("a:+1", false)]
        {
            assert_eq!(is_socket(text), yes, "{text}");
        }
        for (text, yes) in [
            ("receipts@cmart.example", true),
            ("Corner Mart <receipts@cmart.example>", true),
            ("<receipts@cmart.example>", true),
            ("Corner Mart", false),
            ("Corner <Mart> <a@b.example>", false),
            ("Corner\r\nBcc: x <a@b.example>", false),
        ] {
            assert_eq!(is_mailbox(text), yes, "{text}");
        }
    }
}
