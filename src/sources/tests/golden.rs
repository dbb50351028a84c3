//! Signatures, and golden files of what the samples mean.

use super::*;

/// Kept as `tests/fixtures/golden/sources/NAME`; `TILLPOST_BLESS=1` writes it anew.
#[test]
fn golden_files() {
    let mut wrong = Vec::new();
    for case in CASES {
        let bench = bench(case.kind);
        let (asked, decoded) = settle(&bench, case);
        let shown = json!({"asked": asked, "decoded": shown::decoded(bench.kind, &bench.setup(), &decoded)});
        let got = format!("{}\n", serde_json::to_string_pretty(&shown).unwrap());
        let path = fixtures().join("golden/sources").join(case.body.trim_start_matches("../").replace('/', "."));
        if std::env::var_os("TILLPOST_BLESS").is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, &got).unwrap();
        }
        if fs::read_to_string(&path).ok().as_deref() != Some(&got) {
            wrong.push(case.body);
        }
        check_documents(case.body, &decoded);
    }
    assert!(wrong.is_empty(), "these differ from their golden files: {wrong:?}");
}

fn vectors() -> Vec<Value> {
    sample_json("vectors.json").as_array().unwrap().iter().filter(|v| SETTINGS.iter().any(|(k, _)| *k == v["platform"])).cloned().collect()
}

/// The headers, body and moment of a signed vector.
fn signed(vector: &Value) -> (Vec<(String, String)>, Vec<u8>, Moment) {
    let word = |name: &str| vector[name].as_str().unwrap_or_default();
    let file = word("file");
    let body = if file.starts_with("lan/") { fs::read(fixtures().join(file)).unwrap() } else { sample(file) };
    let mut headers = pairs(&[(word("header"), word("value")), ("X-Shopify-Topic", "orders/paid")]);
    if let Some(id) = vector["webhook-id"].as_str() {
        headers.extend(pairs(&[("webhook-id", id), ("webhook-timestamp", &vector["timestamp"].to_string())]));
    }
    let at = vector["timestamp"].as_i64().map_or(1_791_040_000_000, |s| s * 1000);
    (headers, body, Moment { now: UnixMs(at + 60_000), good: true })
}

#[test]
fn every_vector_verifies_and_nothing_that_was_changed() {
    for vector in vectors() {
        let platform = vector["platform"].as_str().unwrap();
        let bench = bench(platform);
        let (headers, body, moment) = signed(&vector);
        let verify = |headers: &[(String, String)], body: &[u8], moment| {
            (bench.kind.verify)(&bench.setup(), &Given { headers, url: "", body }, moment)
        };
        assert_eq!(verify(&headers, &body, moment), Verdict::Accepted, "{platform} {}", vector["file"]);
        let lower: Vec<_> = headers.iter().map(|(n, v)| (n.to_lowercase(), v.clone())).collect();
        assert_eq!(verify(&lower, &body, moment), Verdict::Accepted, "{platform}");
        let is_code = platform == "clover";
        for at in [0, body.len() / 2, body.len() - 2] {
            let mut flipped = body.clone();
            flipped[at] ^= 1;
            let verdict = verify(&headers, &flipped, moment);
            assert!(is_code || verdict.status() == 401, "{platform} byte {at}: {verdict:?}");
        }
        let mut twice = headers.clone();
        twice.push(headers[0].clone());
        assert_eq!(verify(&twice, &body, moment), Verdict::Refused("several_signatures"), "{platform}");
        assert_eq!(verify(&headers[1..], &body, moment).status(), 401, "{platform}");
        for broken in ["", "\u{e9}", "v1,", "t=1,v1=zz", &"A".repeat(100_000)] {
            let mut bad = headers.clone();
            bad[0].1 = broken.to_owned();
            assert_eq!(verify(&bad, &body, moment).status(), 401, "{platform} {}", broken.len());
        }
        let other = Bench::new(platform, "");
        let verdict = (other.kind.verify)(&other.setup(), &Given { headers: &headers, url: "", body: &body }, moment);
        assert_eq!(verdict.status(), 401, "{platform} without a key");
    }
}

#[test]
fn the_relay_is_checked_as_the_source_that_it_carries() {
    let verdict = |name: &str, kind: &str, settings: Option<&str>| {
        let bench = settings.map_or_else(|| bench(kind), |s| Bench::new(kind, s));
        let envelope = relay::Envelope::open(&sample(name)).unwrap();
        envelope.verify(bench.kind, &bench.setup()).word()
    };
    assert_eq!(verdict("relay/stripe.json", "stripe", None), "accepted");
    assert_eq!(verdict("relay/square.json", "square", None), "accepted");
    assert_eq!(verdict("relay/shopify.gzip.json", "shopify", None), "accepted");
    assert_eq!(verdict("relay/toast.omitted.json", "toast", None), "body_omitted");
    assert_eq!(verdict("relay/stripe.json", "square", None), "other_platform");
    let elsewhere = "signature_keys = [\"sq-sample-signature-key\"]\nnotification_url = \"https://other.example/hooks/square\"";
    assert_eq!(verdict("relay/square.json", "square", Some(elsewhere)), "foreign_url");
    // By any later clock it is stale.
    let (envelope, bench) = (relay::Envelope::open(&sample("relay/stripe.json")).unwrap(), bench("stripe"));
    let late = Moment { now: envelope.received_at + Duration::from_secs(3600), good: true };
    assert_eq!((bench.kind.verify)(&bench.setup(), &envelope.given(), late).word(), "stale");
}

/// The base64 of an HMAC over the parts.
fn sign_base64(key: &str, parts: &[&[u8]]) -> String {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let mut context = ring::hmac::Context::with_key(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.as_bytes()));
    parts.iter().for_each(|part| context.update(part));
    BASE64_STANDARD.encode(context.sign())
}

#[test]
fn what_is_authentic_and_of_no_use_is_no_fault_of_ours() {
    for body in [&b"\xff\xfe"[..], b"{\"a\": ", br#"{"a": "\ud83d"}"#, &[b'['; 100_000]] {
        let url = b"https://till-17.corner-market.example/hooks/square";
        for (kind, header, signature) in [
            ("square", "x-square-hmacsha256-signature", sign_base64("sq-sample-signature-key", &[url, body])),
            ("shopify", "x-shopify-hmac-sha256", sign_base64("shopify-sample-client-secret", &[body])),
            ("toast", "toast-signature", sign_base64("toast-sample-secret", &[body])),
            ("clover", "x-clover-auth", "3c5c0f5e-9b1d-4a57-8e37-6c1f2b3a4d5e".to_owned()),
            ("zapier", "authorization", "Bearer a-token-of-16-characters".to_owned()),
            ("lan", "authorization", "Bearer a-token-of-16-characters".to_owned()),
        ] {
            let headers = pairs(&[(header, &signature), ("x-shopify-topic", "orders/paid")]);
            let bench = bench(kind);
            let verdict =
                (bench.kind.verify)(&bench.setup(), &Given { headers: &headers, url: "", body }, Moment { now: UnixMs(0), good: true });
            assert_eq!((verdict.word(), verdict.status()), ("not_json", 400), "{kind}");
            assert!(matches!(bench.decode(&headers, body, &Answers::new()), Decoded::Unusable(_)), "{kind}");
        }
    }
}

#[test]
fn stale_future_and_a_clock_that_is_not_known() {
    for (platform, after, good, is) in [
        ("stripe", 301, true, "stale"),
        ("stripe", -100_000, true, "accepted"),
        ("stripe", 0, false, "clock_unknown"),
        ("lan", 301, true, "stale"),
        ("lan", -301, true, "from_the_future"),
        ("lan", 0, false, "clock_unknown"),
        ("shopify", 100_000_000, true, "accepted"),
        ("shopify", 0, false, "accepted"),
    ] {
        let Some(vector) = vectors().into_iter().find(|v| v["platform"] == platform) else { continue };
        let bench = bench(platform);
        let (headers, body, _) = signed(&vector);
        let at = vector["timestamp"].as_i64().unwrap_or(1_791_040_000);
        let moment = Moment { now: UnixMs((at + after) * 1000), good };
        let given = Given { headers: &headers, url: "", body: &body };
        assert_eq!((bench.kind.verify)(&bench.setup(), &given, moment).word(), is, "{platform} {after} {good}");
    }
}
