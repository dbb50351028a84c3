//! `source decode`: what a POS's request is worth and what it means, without an agent, a config or a
//! network. For integrators and tests.
//!
//! Answers `{verdict, status, dedup_key, business_key, version, events, lookups}`; a refusal has neither
//! events nor look-ups. `nothing` says why an authentic request means nothing, `unusable` lists its faults,
//! `handshake` is the code that a person has to paste.

use super::provider::Fault;
use crate::config::checked::{Setting, Settings, Source};
use crate::config::secret::Secret;
use crate::domain::shop::Shop;
use crate::domain::time::UnixMs;
use crate::sources::relay::{self, Envelope};
use crate::sources::{self, Answers, Given, Kind, Moment, Raw, Setup, Verdict, Via, shown};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// `source decode`
#[derive(clap::Args, Debug)]
pub struct DecodeArgs {
    /// Type of source, as after `type =` in the config.
    #[arg(long = "type", value_name = "TYPE")]
    pub kind: String,
    /// The request's headers as JSON: {name: value} or [[name, value]].
    #[arg(long, value_name = "H.json")]
    pub headers: PathBuf,
    /// The request's body, byte for byte.
    #[arg(long, value_name = "FILE")]
    pub body: PathBuf,
    /// The URL as called; for Square the one that was registered.
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// A key or token of the source; may be given several times.
    #[arg(long = "secret", value_name = "S")]
    pub secrets: Vec<String>,
    /// When it came (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub now: Option<String>,
    /// More keys of the [sources.NAME] table.
    #[arg(long, value_name = "S.toml")]
    pub settings: Option<PathBuf>,
}

impl DecodeArgs {
    /// Reads the files and answers; `now` is the clock's, for want of `--now`.
    pub fn run(&self, now: UnixMs) -> Result<Value, Fault> {
        let now = match self.now.as_deref() {
            Some(text) => UnixMs::parse_rfc3339(text)
                .ok_or_else(|| Fault::Usage("--now wants a time such as 2026-10-03T18:07:44+02:00".to_owned()))?,
            None => now,
        };
        let mut body = std::fs::read(&self.body).map_err(|e| input(&self.body, e))?;
        let mut headers = pairs(&serde_json::from_str(&text(&self.headers)?).map_err(|e| input(&self.headers, e))?)
            .ok_or_else(|| input(&self.headers, "must be {name: value} or [[name, value]]"))?;
        let (mut name, mut url, mut now) = (self.kind.clone(), self.url.clone().unwrap_or_default(), now);
        if name == relay::KEYS.name {
            let envelope = match Envelope::open(&body) {
                Ok(envelope) => envelope,
                Err(faults) => return Ok(nothing(&Verdict::Unusable("not_an_envelope"), &json!(faults))),
            };
            if !url.is_empty() && url != envelope.url {
                return Ok(nothing(&Verdict::Refused("foreign_url"), &Value::Null));
            }
            let Some(inner) = envelope.body else { return Ok(nothing(&Verdict::Unusable("body_omitted"), &Value::Null)) };
            (body, headers, name, url, now) = (inner, envelope.headers, envelope.platform, envelope.url, envelope.received_at);
        }
        let kind = sources::find(&name).ok_or_else(|| {
            let known: Vec<&str> = sources::KINDS.iter().map(|kind| kind.keys.name).collect();
            Fault::Usage(format!("there is no type of source named {name}; there are {}, relay", known.join(", ")))
        })?;
        let settings = match &self.settings {
            Some(path) => text(path)?.parse().map_err(|e: toml::de::Error| input(path, e.message()))?,
            None => toml::Table::new(),
        };
        let own = sources::read_table(kind, &settings).map_err(Fault::Input)?;
        let rules = match own.text("mapping") {
            "" => String::new(),
            path => text(&self.settings.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).join(path))?,
        };
        Ok(decode(kind, own, &self.secrets, &headers, &url, &body, now, &rules))
    }
}

fn input(path: &Path, why: impl std::fmt::Display) -> Fault {
    Fault::Input(format!("{}: {why}", path.display()))
}

fn text(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|e| input(path, e))
}

/// Headers of either form; a list as value is several headers of that name.
fn pairs(headers: &Value) -> Option<Vec<(String, String)>> {
    let word = |v: &Value| v.as_str().map(str::to_owned).or_else(|| v.is_number().then(|| v.to_string()));
    match headers {
        Value::Object(map) => {
            let mut all = Vec::new();
            for (name, value) in map {
                let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                for value in values {
                    all.push((name.clone(), word(value)?));
                }
            }
            Some(all)
        }
        Value::Array(list) => list
            .iter()
            .map(|pair| match pair.as_array()?.as_slice() {
                [name, value] => Some((word(name)?, word(value)?)),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// The keys that hold a type's secrets, and those whose absence would hide look-ups.
const SECRETS: &[&str] = &["signature_keys", "auth_codes", "secrets", "client_secrets", "endpoint_secrets", "tokens", "signing_secrets"];
const TOKENS: &[&str] = &["access_token", "api_key", "client_id"];

/// The answer without a meaning.
fn nothing(verdict: &Verdict, unusable: &Value) -> Value {
    let mut out = json!({"verdict": verdict.word(), "status": verdict.status(), "dedup_key": null, "business_key": null, "version": null,
        "events": [], "lookups": []});
    if let Some(map) = out.as_object_mut().filter(|_| !unusable.is_null()) {
        map.insert("unusable".into(), unusable.clone());
    }
    out
}

/// Verdict and meaning of one request. Pure; the clock is taken as good.
pub fn decode(
    kind: &Kind,
    mut own: Settings,
    secrets: &[String],
    headers: &[(String, String)],
    url: &str,
    body: &[u8],
    now: UnixMs,
    rules: &str,
) -> Value {
    let has = |name: &str| kind.keys.keys.iter().any(|key| key.name == name);
    for name in SECRETS.iter().filter(|name| has(name) && !secrets.is_empty()) {
        let all = secrets.iter().map(|s| Setting::Secret(Secret::new(s.as_str()))).collect();
        own.0.insert((*name).to_owned(), Setting::List(all));
    }
    // Look-ups are told as they would be made: a token is never used here.
    for name in TOKENS.iter().filter(|name| has(name)) {
        let none = if *name == "client_id" { Setting::Text("-".to_owned()) } else { Setting::Secret(Secret::new("-")) };
        own.0.entry((*name).to_owned()).or_insert(none);
    }
    if has("notification_url") && !url.is_empty() {
        own.0.insert("notification_url".to_owned(), Setting::Text(url.to_owned()));
    }
    let settings = sources::with_defaults(kind, own);
    let source = Source { kind: kind.keys.name.to_owned(), sends_receipt_itself: false, strict: false, settings };
    let shop = Shop { timezone: "UTC".to_owned(), currency: "USD".to_owned(), ..Shop::default() };
    let setup = Setup { name: kind.keys.name, source: &source, shop: &shop, rules };
    let given = Given { headers, url, body };
    let verdict = (kind.verify)(&setup, &given, Moment { now, good: true });
    let mut out = nothing(&verdict, &Value::Null);
    let Some(map) = out.as_object_mut() else { return out };
    match verdict {
        Verdict::Accepted => {
            let raw = Raw { via: Via::Hook, headers, body, at: now };
            map.insert("dedup_key".into(), json!((kind.delivery_id)(&setup, &given)));
            map.extend(shown::decoded(kind, &setup, &(kind.decode)(&setup, &raw, &Answers::new())));
        }
        Verdict::Handshake(code) => {
            map.insert("handshake".into(), code.into());
        }
        _ => {}
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: &str, headers: &Value, body: &str, secrets: &[&str], url: Option<&str>, now: &str) -> Result<Value, Fault> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("h.json");
        std::fs::write(&path, headers.to_string()).unwrap();
        let body = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sources").join(body);
        let args = DecodeArgs {
            kind: kind.to_owned(),
            headers: path,
            body,
            url: url.map(str::to_owned),
            secrets: secrets.iter().map(|s| (*s).to_owned()).collect(),
            now: Some(now.to_owned()),
            settings: None,
        };
        args.run(UnixMs(0))
    }

    #[test]
    fn a_signed_request_is_told() {
        let headers = json!({"stripe-signature": "t=1791040002,v1=b05eb131e5a1b30501acf7717f2c6cda81b1bd9224295edf2dc014d7f2601791"});
        let body = "stripe/payment_intent.succeeded.json";
        let ask = |secret: &str, now: &str| run("stripe", &headers, body, &[secret], None, now).unwrap();
        let key = "whsec_c2FtcGxlLWVuZHBvaW50LXNlY3JldA";
        let good = ask(key, "2026-10-03T15:06:46Z");
        assert_eq!((&good["verdict"], &good["status"]), (&json!("accepted"), &json!(200)));
        assert_eq!(good["dedup_key"], "evt_3zSH9JIbB4wC51U1nvgBuGmr");
        assert_eq!(good["business_key"], "pi_3YkhaAkjTKiuAWYC9ksxhQ76");
        assert_eq!(good["events"][0]["data"]["totals"]["grand_amount"], 3478);
        assert_eq!(good["lookups"].as_array().map(Vec::len), Some(2));
        assert_eq!(ask(key, "2026-10-03T15:16:46Z")["verdict"], "stale");
        let wrong = ask("whsec_another", "2026-10-03T15:06:46Z");
        assert_eq!((&wrong["verdict"], &wrong["events"]), (&json!("bad_signature"), &json!([])));
        assert!(!wrong.to_string().contains("whsec"));
    }

    #[test]
    fn the_registered_url_counts() {
        let headers = json!([["x-square-hmacsha256-signature", "r7ieA8tLl9UMn2ABLCpAeTfLjKjooxuwknsvN5vqSwg="]]);
        let ask = |url| run("square", &headers, "square/payment.updated.json", &["sq-sample-signature-key"], url, "2026-10-03T15:06:46Z");
        let good = ask(Some("https://till-17.corner-market.example/hooks/square")).unwrap();
        assert_eq!(good["lookups"][0]["url"], "https://connect.squareup.com/v2/orders/CRnf694KwdspqfCQSLHvJ8XYuIpZY");
        assert_eq!(ask(None).unwrap()["verdict"], "bad_signature");
    }

    #[test]
    fn an_envelope_of_the_relay_is_opened() {
        let ask = |body: &str, secret: &str, url| run("relay", &json!({}), body, &[secret], url, "2026-12-03T15:06:46Z").unwrap();
        let stripe = ask("relay/stripe.json", "whsec_c2FtcGxlLWVuZHBvaW50LXNlY3JldA", None);
        assert_eq!((&stripe["verdict"], &stripe["business_key"]), (&json!("accepted"), &json!("pi_3YkhaAkjTKiuAWYC9ksxhQ76")));
        assert_eq!(ask("relay/square.json", "sq-sample-signature-key", None)["verdict"], "accepted");
        assert_eq!(ask("relay/square.json", "sq-sample-signature-key", Some("https://x.example"))["verdict"], "foreign_url");
        assert_eq!(ask("relay/toast.omitted.json", "toast-sample-secret", None)["verdict"], "body_omitted");
        assert_eq!(ask("zapier/sale.json", "x", None)["verdict"], "not_an_envelope");
    }

    #[test]
    fn handshakes_and_wrong_use() {
        let told = run("clover", &json!({}), "clover/verification.json", &[], None, "2026-10-03T15:06:46Z").unwrap();
        assert_eq!((&told["verdict"], &told["handshake"]), (&json!("handshake"), &json!("9d0e5f0c-41ab-4a51-9d3c-2f6b7a8c9e10")));
        assert!(matches!(run("abacus", &json!({}), "clover/verification.json", &[], None, "2026-10-03T15:06:46Z"), Err(Fault::Usage(_))));
        assert!(matches!(run("clover", &json!(1), "clover/verification.json", &[], None, "2026-10-03T15:06:46Z"), Err(Fault::Input(_))));
        assert!(matches!(run("clover", &json!({}), "none.json", &[], None, "2026-10-03T15:06:46Z"), Err(Fault::Input(_))));
        assert!(matches!(run("clover", &json!({}), "clover/verification.json", &[], None, "today"), Err(Fault::Usage(_))));
    }
}
