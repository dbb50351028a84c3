//! DKIM signatures (RFC 6376, RFC 8463), for a shop whose server signs nothing itself. Pure: the moment in
//! the signature is that of the mail, so a repeat is the same bytes.

use crate::config::checked::Settings;
use crate::domain::ids::sha256;
use crate::http::ascii_domain;
use crate::http::jwt::{RsaKey, Signing};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::signature::Ed25519KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;

/// What is signed of the headers, as far as it is there.
const SIGNED: &[&str] = &[
    "from",
    "reply-to",
    "to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "content-type",
    "list-unsubscribe",
    "list-unsubscribe-post",
];

enum Key {
    Rsa(RsaKey),
    Ed25519(Ed25519KeyPair),
}

/// Who signs.
pub struct Signer {
    domain: String,
    selector: String,
    key: Key,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, {})", self.selector, self.domain)
    }
}

impl Signer {
    /// From `dkim = { domain, selector, key }`. The error is a sentence for the config check.
    pub fn new(table: &Settings) -> Result<Signer, String> {
        let domain = ascii_domain(table.text("domain")).ok_or("dkim.domain must be a domain alone, e.g. cmart.example")?;
        let selector = table.text("selector").to_owned();
        if selector.is_empty() || !selector.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
            return Err("dkim.selector must be the name in front of ._domainkey, e.g. till".to_owned());
        }
        let pem = table.secret("key");
        let key = match RsaKey::from_pem(pem.expose()) {
            Ok(key) => Key::Rsa(key),
            Err(_) => ed25519(pem.expose()).map(Key::Ed25519).ok_or("dkim.key is no RSA or Ed25519 key in PEM")?,
        };
        Ok(Signer { domain, selector, key })
    }

    /// The mail with its signature in front; `at`: Unix seconds.
    pub fn sign(&self, message: &[u8], at: i64) -> Option<Vec<u8>> {
        let (head, body) = parts(message);
        let names: Vec<&str> = SIGNED.iter().copied().filter(|name| header(head, name).is_some()).collect();
        let algorithm = match self.key {
            Key::Rsa(_) => "rsa-sha256",
            Key::Ed25519(_) => "ed25519-sha256",
        };
        let unsigned = format!(
            "DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed; d={};\r\n s={}; t={at};\r\n h={};\r\n bh={};\r\n b=",
            self.domain,
            self.selector,
            names.join(":"),
            BASE64_STANDARD.encode(sha256(&relaxed_body(body))),
        );
        let mut input: Vec<u8> = names.iter().filter_map(|name| header(head, name)).flat_map(relaxed_header).collect();
        let own = relaxed_header(unsigned.as_bytes());
        input.extend_from_slice(own.strip_suffix(b"\r\n")?);
        let signature = match &self.key {
            Key::Rsa(key) => key.sign(Signing::Rs256, &input)?,
            // RFC 8463: what is signed is the hash.
            Key::Ed25519(key) => key.sign(&sha256(&input)).as_ref().to_vec(),
        };
        let code = BASE64_STANDARD.encode(signature);
        let lines: Vec<&str> = code.as_bytes().chunks(72).filter_map(|line| std::str::from_utf8(line).ok()).collect();
        let mut out = format!("{unsigned}{}\r\n", lines.join("\r\n ")).into_bytes();
        out.extend_from_slice(message);
        Some(out)
    }
}

/// From PKCS #8; `openssl genpkey` writes it without the public part, which ring takes by this way only.
fn ed25519(pem: &str) -> Option<Ed25519KeyPair> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).ok()?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok()
}

/// The headers with their last line's end, and the body.
fn parts(message: &[u8]) -> (&[u8], &[u8]) {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let (head, rest) = message.split_at(end);
    (head, rest.strip_prefix(b"\r\n").unwrap_or(rest))
}

/// The last header of that name, with its folded lines.
fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    let mut rest = head;
    while !rest.is_empty() {
        // It ends before the first line that does not begin with a blank.
        let mut end = 0;
        loop {
            let line = rest.get(end..).unwrap_or_default();
            end += line.iter().position(|b| *b == b'\n').map_or(line.len(), |at| at + 1);
            if !matches!(rest.get(end), Some(b' ' | b'\t')) {
                break;
            }
        }
        let (this, after) = rest.split_at(end);
        let own = this.split(|b| *b == b':').next().unwrap_or_default();
        if own.trim_ascii().eq_ignore_ascii_case(name.as_bytes()) {
            found = Some(this);
        }
        rest = after;
    }
    found
}

/// RFC 6376, 3.4.2: the name in lower case, the value on one line with single blanks.
fn relaxed_header(header: &[u8]) -> Vec<u8> {
    let colon = header.iter().position(|b| *b == b':').unwrap_or(header.len());
    let (name, value) = header.split_at(colon);
    let mut out = name.trim_ascii().to_ascii_lowercase();
    out.push(b':');
    let words = value.get(1..).unwrap_or_default().split(|b| b" \t\r\n".contains(b)).filter(|word| !word.is_empty());
    out.extend(words.collect::<Vec<_>>().join(&b' '));
    out.extend_from_slice(b"\r\n");
    out
}

/// RFC 6376, 3.4.4: single blanks, none at a line's end, no empty lines at the end.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(body.len());
    for line in body.split(|b| *b == b'\n') {
        let mut blank = false;
        for byte in line.trim_ascii_end() {
            if b" \t".contains(byte) {
                blank = true;
                continue;
            }
            if std::mem::take(&mut blank) {
                out.push(b' ');
            }
            out.push(*byte);
        }
        out.extend_from_slice(b"\r\n");
    }
    while out.ends_with(b"\r\n\r\n") {
        out.truncate(out.len() - 2);
    }
    if out == b"\r\n" { Vec::new() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::jwt::tests::pem;
    use crate::providers::conformance::{account, email};
    use crate::providers::smtp::mail;
    use ring::signature::{ED25519, KeyPair, UnparsedPublicKey};

    fn signer(key: &str) -> Result<Signer, String> {
        let text = format!("host = \"m\"\ndkim = {{ domain = \"cmart.example\", selector = \"till\", key = '''{}''' }}", pem(key));
        Signer::new(account("smtp", &text).settings.table("dkim").unwrap())
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let message = b"A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n C \r\nD \t E\r\n\r\n\r\n";
        let (head, body) = parts(message);
        assert_eq!(relaxed_header(header(head, "a").unwrap()), b"a:X\r\n");
        assert_eq!(relaxed_header(header(head, "b").unwrap()), b"b:Y Z\r\n");
        assert_eq!(relaxed_body(body), b" C\r\nD E\r\n");
        assert_eq!(relaxed_body(b"\r\n\r\n"), b"");
        assert_eq!(relaxed_body(b"a"), b"a\r\n");
        assert!(header(head, "c").is_none());
    }

    #[test]
    fn the_signature_verifies() {
        let mail = mail(&email("kim@example.org"), "").unwrap().message;
        let signed = signer("ed25519.key").unwrap().sign(&mail, 1_791_043_664).unwrap();
        assert_eq!(signed, signer("ed25519.key").unwrap().sign(&mail, 1_791_043_664).unwrap());
        let text = String::from_utf8(signed.clone()).unwrap();
        assert!(text.starts_with("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=cmart.example;\r\n s=till; t=1791043664;\r\n h=from:reply-to:to:subject:date:message-id:mime-version:content-type;\r\n bh="), "{text}");
        let (head, body) = parts(&signed);
        let own = String::from_utf8(relaxed_header(header(head, "dkim-signature").unwrap())).unwrap();
        let (unsigned, code) = own.trim_end().rsplit_once("b=").unwrap();
        assert!(unsigned.contains(&BASE64_STANDARD.encode(sha256(&relaxed_body(body)))));
        let mut input = Vec::new();
        for name in unsigned.split("h=").nth(1).unwrap().split(';').next().unwrap().split(':') {
            input.extend(relaxed_header(header(head, name).unwrap()));
        }
        input.extend(format!("{unsigned}b=").bytes());
        let public = ed25519(&pem("ed25519.key")).unwrap().public_key().as_ref().to_vec();
        let code = BASE64_STANDARD.decode(code.replace(' ', "")).unwrap();
        UnparsedPublicKey::new(&ED25519, public).verify(&sha256(&input), &code).unwrap();
    }

    #[test]
    fn lines_stay_short_and_bad_keys_are_named() {
        let mail = mail(&email("kim@example.org"), "").unwrap().message;
        let signed = signer("rsa.key").unwrap().sign(&mail, 0).unwrap();
        assert!(signed.ends_with(&mail) && String::from_utf8(signed).unwrap().split("\r\n").all(|line| line.len() < 200));
        assert!(signer("p256.key").unwrap_err().contains("dkim.key"));
    }
}
