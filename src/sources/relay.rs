//! The relay: a vendor's webhook that a public address took and the broker carried here.
//!
//! The vendor's signature is checked here, over the bytes as the vendor sent them, by the source that the
//! envelope names, at the moment when the public address took it: a delivery that was queued for an hour
//! is not stale. A body that the broker could not carry is left out: then the source is to be pulled.

use crate::config::key::optional;
use crate::config::{Shape, TypeKeys};
use crate::domain::fault::Fault;
use crate::domain::time::UnixMs;
use crate::sources::value::{flag, id, json as read_json, list, text};
use crate::sources::{Given, Kind, Moment, Setup, Verdict};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use std::io::Read as _;

/// `type = "relay"`
pub const KEYS: TypeKeys = TypeKeys {
    name: "relay",
    doc: "Webhooks that headquarters took for this shop, checked here as if they had come by themselves.",
    channels: &[],
    keys: &[optional("dir", Shape::Path, "A folder from which envelopes are read, until the link to headquarters brings them.")],
    example: "dir = \"/var/spool/tillpost\"",
};

/// Bytes of an unpacked body.
const CAP: u64 = 8 * 1024 * 1024;

/// What came by the relay.
#[derive(Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Its own id: a repeat of it is known by this.
    pub id: String,
    /// When the public address took it.
    pub received_at: UnixMs,
    /// The type of source, as in the config.
    pub platform: String,
    /// The URL as the vendor called it.
    pub url: String,
    /// As the vendor sent them.
    pub headers: Vec<(String, String)>,
    /// As the vendor sent it; `None` where it was left out: pull the source at once.
    pub body: Option<Vec<u8>>,
}

impl std::fmt::Debug for Envelope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Envelope({}, {}, {:?} bytes)", self.id, self.platform, self.body.as_ref().map(Vec::len))
    }
}

impl Envelope {
    /// Reads an envelope, version 1.
    pub fn open(bytes: &[u8]) -> Result<Envelope, Vec<Fault>> {
        let envelope = read_json(bytes)?;
        let fault = |pointer: &str, say: &str| vec![Fault::new(pointer, "envelope", say)];
        if envelope.get("v").and_then(Value::as_i64) != Some(1) {
            return Err(fault("/v", "the envelope is not of version 1"));
        }
        let received_at = UnixMs::parse_rfc3339(text(&envelope, "/received_at"));
        let body = match envelope.get("body_b64").and_then(Value::as_str) {
            Some(_) if flag(&envelope, "/omitted") => return Err(fault("/omitted", "the body is there and left out at once")),
            Some(packed) => {
                Some(unpack(packed, text(&envelope, "/encoding")).ok_or_else(|| fault("/body_b64", "the body cannot be unpacked"))?)
            }
            None if flag(&envelope, "/omitted") => None,
            None => return Err(fault("/body_b64", "the envelope has no body")),
        };
        let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
        Ok(Envelope {
            id: id(&envelope, "/id"),
            received_at: received_at.ok_or_else(|| fault("/received_at", "`received_at` must be RFC 3339 with an offset"))?,
            platform: text(&envelope, "/platform").to_owned(),
            url: text(&envelope, "/url").to_owned(),
            headers: list(&envelope, "/headers").iter().take(200).filter_map(pair).collect(),
            body,
        })
    }

    /// The name of the source at the end of `…/hooks/NAME`; empty where the URL has another form.
    pub fn source_name(&self) -> &str {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        path.rsplit_once("/hooks/").map(|(_, name)| name).filter(|name| !name.contains('/')).unwrap_or_default()
    }

    /// The request within, as the source takes it; with an empty body where it was left out.
    pub fn given(&self) -> Given<'_> {
        Given { headers: &self.headers, url: &self.url, body: self.body.as_deref().unwrap_or_default() }
    }

    /// Checks the request by the source that the envelope is for.
    pub fn verify(&self, inner: &Kind, setup: &Setup<'_>) -> Verdict {
        let registered = setup.text("notification_url");
        match self.body {
            None => Verdict::Unusable("body_omitted"),
            _ if inner.keys.name != self.platform => Verdict::Refused("other_platform"),
            _ if !registered.is_empty() && registered != self.url => Verdict::Refused("foreign_url"),
            _ => (inner.verify)(setup, &self.given(), Moment { now: self.received_at, good: true }),
        }
    }
}

fn unpack(packed: &str, encoding: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_STANDARD.decode(packed).ok()?;
    match encoding {
        "" => Some(bytes),
        "gzip" => {
            let mut out = Vec::new();
            flate2::read::GzDecoder::new(bytes.as_slice()).take(CAP + 1).read_to_end(&mut out).ok()?;
            (u64::try_from(out.len()).is_ok_and(|n| n <= CAP)).then_some(out)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn envelopes_with_faults() {
        let good = json!({"v": 1, "id": "i", "received_at": "2026-10-06T18:15:02Z", "platform": "stripe", "url": "https://x.example/s/1/hooks/pay?x=/hooks/y",
            "headers": [["A", "b"], ["broken"]], "body_b64": "e30="});
        let open = |v: &Value| Envelope::open(v.to_string().as_bytes());
        let envelope = open(&good).unwrap();
        assert_eq!((envelope.source_name(), envelope.headers.len(), envelope.body.as_deref()), ("pay", 1, Some(&b"{}"[..])));
        for (name, to) in [
            ("v", json!(2)),
            ("received_at", json!("yesterday")),
            ("body_b64", json!("!")),
            ("body_b64", Value::Null),
            ("omitted", json!(true)),
            ("encoding", json!("br")),
            ("encoding", json!("gzip")),
        ] {
            let mut bad = good.clone();
            bad[name] = to;
            assert!(open(&bad).is_err(), "{name}");
        }
    }

    #[test]
    fn a_bomb_is_not_unpacked() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let zeros = vec![0u8; 1 << 20];
        (0..9).for_each(|_| std::io::Write::write_all(&mut packer, &zeros).unwrap());
        let packed = BASE64_STANDARD.encode(packer.finish().unwrap());
        assert_eq!(unpack(&packed, "gzip"), None);
    }
}
