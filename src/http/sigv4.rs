//! Signature Version 4 of AWS. Pure: the same request, key and moment give the same header.
//!
//! Source: "Create a signed AWS API request", and AWS's own test suite, which is among the tests.

use crate::domain::ids::{hex, sha256};
use crate::domain::time::UnixMs;
use crate::http::Request;
use crate::http::form::percent;
use ring::hmac::{HMAC_SHA256, Key, sign as hmac};
use std::fmt;

/// Who signs, and for what.
#[derive(Clone, PartialEq, Eq)]
pub struct Signer {
    /// Public part of the key.
    pub access_key_id: String,
    /// Secret part of the key.
    pub secret_access_key: String,
    /// Of a temporary key; else empty.
    pub session_token: String,
    /// E.g. `eu-central-1`.
    pub region: String,
    /// The service's signing name, e.g. `ses`, which need not be part of its host.
    pub service: &'static str,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({}, {})", self.region, self.service)
    }
}

impl Signer {
    /// Adds the date, the session token and the `Authorization`. Every header that the request has is
    /// signed, and the host of its URL. `None` where that is no URL.
    pub fn sign(&self, mut request: Request, now: UnixMs) -> Option<Request> {
        let url = reqwest::Url::parse(&request.url).ok()?;
        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str()?),
            None => url.host_str()?.to_owned(),
        };
        request.headers.push(("X-Amz-Date".to_owned(), stamp(now)));
        if !self.session_token.is_empty() {
            request.headers.push(("X-Amz-Security-Token".to_owned(), self.session_token.clone()));
        }
        let mut headers = request.headers.clone();
        headers.push(("Host".to_owned(), host));
        let query: Vec<(&str, &str)> =
            url.query().unwrap_or_default().split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))).collect();
        let (canonical, names) = canonical(request.method, url.path(), &query, &headers, &request.body);
        let authorization = self.authorization(&canonical, &names, now);
        request.headers.push(("Authorization".to_owned(), authorization));
        Some(request)
    }

    fn string_to_sign(&self, canonical: &str, now: UnixMs) -> String {
        format!("AWS4-HMAC-SHA256\n{}\n{}\n{}", stamp(now), self.scope(now), hex(&sha256(canonical.as_bytes())))
    }

    fn scope(&self, now: UnixMs) -> String {
        format!("{}/{}/{}/aws4_request", day(now), self.region, self.service)
    }

    fn authorization(&self, canonical: &str, names: &str, now: UnixMs) -> String {
        let day = day(now);
        let first = format!("AWS4{}", self.secret_access_key).into_bytes();
        let key = [day.as_str(), &self.region, self.service, "aws4_request"]
            .iter()
            .fold(first, |key, part| hmac(&Key::new(HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec());
        let signature = hex(hmac(&Key::new(HMAC_SHA256, &key), self.string_to_sign(canonical, now).as_bytes()).as_ref());
        let (id, scope) = (&self.access_key_id, self.scope(now));
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
    }
}

/// `20261006T140000Z`
fn stamp(now: UnixMs) -> String {
    now.instant().strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn day(now: UnixMs) -> String {
    now.instant().strftime("%Y%m%d").to_string()
}

/// The canonical request and the names of the signed headers. `path` and `query` are encoded as in the
/// URL; each segment of the path is encoded once more, as all services but S3 want it.
fn canonical(method: &str, path: &str, query: &[(&str, &str)], headers: &[(String, String)], body: &[u8]) -> (String, String) {
    let path: Vec<String> = path.split('/').map(percent).collect();
    let path = if path.iter().all(String::is_empty) { "/".to_owned() } else { path.join("/") };
    let mut query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    query.sort_by(|a, b| a.split_once('=').cmp(&b.split_once('=')));
    let mut sorted: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
        match sorted.iter_mut().find(|(n, _)| *n == name) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => sorted.push((name, value)),
        }
    }
    sorted.sort();
    let names: Vec<&str> = sorted.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: String = sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    (format!("{method}\n{path}\n{}\n{lines}\n{names}\n{}", query.join("&"), hex(&sha256(body))), names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// A request of the suite, in raw text, as our parts: the URL that a client makes of it is encoded and
    /// without dot segments.
    fn parts(raw: &str) -> (String, String, Vec<(String, String)>, String) {
        let (head, body) = raw.split_once("\n\n").unwrap_or((raw, ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap();
        let (method, rest) = first.split_once(' ').unwrap();
        let target = rest.rsplit_once(" HTTP").unwrap().0;
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            match line.split_once(':') {
                Some((name, value)) if !line.starts_with(' ') => headers.push((name.to_owned(), value.to_owned())),
                _ => headers.last_mut().unwrap().1.push_str(line),
            }
        }
        (method.to_owned(), target.to_owned(), headers, body.to_owned())
    }

    #[test]
    fn the_public_suite_is_signed_as_it_should_be() {
        let path = format!("{}/tests/fixtures/providers/aws-sigv4-test-suite.json", env!("CARGO_MANIFEST_DIR"));
        let suite: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let now = UnixMs::parse_rfc3339("2015-08-30T12:36:00Z").unwrap();
        let cases = suite["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 34);
        for case in cases {
            let name = case["name"].as_str().unwrap();
            let (method, target, mut headers, body) = parts(case["request"].as_str().unwrap());
            if name == "get-vanilla-with-session-token" {
                // The suite leaves it to the signer to add the token.
                let token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
                headers.push(("X-Amz-Security-Token".into(), token.into()));
            }
            let signer = Signer {
                access_key_id: "AKIDEXAMPLE".into(),
                secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
                session_token: String::new(),
                region: "us-east-1".into(),
                service: "service",
            };
            let url = reqwest::Url::parse(&format!("https://example.amazonaws.com{}", target.replace("//", "/"))).unwrap();
            let query = url.query().unwrap_or_default().to_owned();
            let query: Vec<(&str, &str)> =
                query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, ""))).collect();
            let path = url.path().replace("//", "/");
            let plain = percent_encoding_undone(&path);
            let (canonical, names) = canonical(&method, &plain, &query, &headers, body.as_bytes());
            assert_eq!(canonical, case["canonical_request"].as_str().unwrap(), "{name}");
            assert_eq!(signer.string_to_sign(&canonical, now), case["string_to_sign"].as_str().unwrap(), "{name}");
            assert_eq!(signer.authorization(&canonical, &names, now), case["authorization"].as_str().unwrap(), "{name}");
        }
    }

    /// The suite's paths are not encoded yet where ours are: its single encoding is our second one.
    fn percent_encoding_undone(path: &str) -> String {
        super::super::form::parse(path.replace('+', "%2B").as_bytes()).first().map(|(name, _)| name.clone()).unwrap_or_default()
    }

    #[test]
    fn a_request_is_signed_with_everything_it_has() {
        let signer = Signer {
            access_key_id: "AKID".into(),
            secret_access_key: "canary".into(),
            session_token: "session".into(),
            region: "eu-central-1".into(),
            service: "ses",
        };
        let url = "https://email.eu-central-1.amazonaws.com/v2/email/suppression/addresses/a%2Bb%40example.org?x=1".to_owned();
        let request = Request { method: "GET", url, headers: Vec::new(), body: Vec::new() };
        let signed = signer.sign(request.clone(), UnixMs(1_791_043_664_000)).unwrap();
        assert_eq!(signed, signer.sign(request.clone(), UnixMs(1_791_043_664_000)).unwrap());
        assert_eq!(signed.headers[0], ("X-Amz-Date".to_owned(), "20261003T160744Z".to_owned()));
        let authorization = &signed.headers.last().unwrap().1;
        assert!(authorization.contains("AKID/20261003/eu-central-1/ses/aws4_request"));
        assert!(authorization.contains("SignedHeaders=host;x-amz-date;x-amz-security-token"), "{authorization}");
        assert!(!format!("{signer:?}").contains("canary"));
        // A plus sign in a path is signed as %252B.
        let (canonical, _) = canonical("GET", "/a%2Bb", &[], &[], b"");
        assert!(canonical.starts_with("GET\n/a%252Bb\n"));
    }
}
