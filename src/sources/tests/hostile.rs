//! Hostile text, large and broken bodies, and a bounded run of mutations.

use super::*;

#[test]
fn hostile_text_stays_text() {
    const EVIL: &str = "Robert\r\nBcc: x@y.example\u{0} {{ 7*7 }} {% for x in y %} <script>alert(1)</script> \u{202e}txt.exe";
    for case in CASES {
        let bench = bench(case.kind);
        // A canonical sale is kept as it was posted; what shows it makes it harmless.
        let Some(mut value) = serde_json::from_slice::<Value>(&sample(case.body)).ok().filter(|_| !matches!(case.kind, "zapier" | "lan"))
        else {
            continue;
        };
        poison(&mut value, EVIL, &["name", "title", "email", "description", "first_name", "displayName", "note", "reason"]);
        let decoded = bench.decode(&pairs(case.headers), &serde_json::to_vec(&value).unwrap(), &Answers::new());
        check_documents(case.body, &decoded);
        let shown = format!("{:?}", shown::decoded(bench.kind, &bench.setup(), &decoded));
        assert!(!shown.contains("\\r") && !shown.contains("\\0") && !shown.contains('\u{202e}'), "{}: {shown}", case.body);
    }
}

fn poison(value: &mut Value, text: &str, names: &[&str]) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                if inner.is_string() && names.contains(&name.as_str()) {
                    *inner = json!(text);
                }
                poison(inner, text, names);
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|v| poison(v, text, names)),
        _ => {}
    }
}

#[test]
fn large_deep_and_broken_bodies_are_answered() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000)).into_bytes();
    let large = format!("{{\"id\":\"x\",\"a\":\"{}\"}}", "y".repeat(1 << 20)).into_bytes();
    let bodies: Vec<Vec<u8>> = vec![
        deep,
        large,
        b"".to_vec(),
        b"null".to_vec(),
        b"\xff\xfe\x00".to_vec(),
        br#"{"id":"\ud83d"}"#.to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
    ];
    for (kind, _) in SETTINGS {
        let bench = bench(kind);
        for body in &bodies {
            let headers = pairs(&[("X-Shopify-Topic", "orders/paid"), ("X-Shopify-Shop-Domain", "corner-market.myshopify.com")]);
            let decoded = bench.decode(&headers, body, &Answers::new());
            assert!(!matches!(&decoded, Decoded::Told(told) if !told.events.is_empty()), "{kind}: {decoded:?}");
            let _ = (bench.kind.delivery_id)(&bench.setup(), &Given { headers: &headers, url: "", body });
        }
    }
}

/// A generator without a library: the run is the same each time.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(below.max(1)).unwrap()).unwrap()
    }

    /// One to four changes: a byte, a cut, a doubled piece, or a number, a text or nothing for something else.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        const TOKENS: &[&[u8]] = &[
            b"null",
            b"-1",
            b"9999999999999999999",
            b"1e308",
            b"0.000000001",
            b"\"\"",
            b"[]",
            b"{}",
            b"true",
            b"-9223372036854775808",
            b"\xc3",
        ];
        for _ in 0..=self.next(4) {
            let at = self.next(bytes.len());
            match self.next(5) {
                0 if !bytes.is_empty() => bytes[at] = u8::try_from(self.next(256)).unwrap(),
                1 => bytes.truncate(at.max(2)),
                2 => {
                    let end = (at + self.next(200)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece);
                }
                _ => {
                    // A value after a colon becomes another.
                    let Some(colon) = bytes[at..].iter().position(|b| *b == b':').map(|p| at + p + 1) else { continue };
                    let end = bytes[colon..].iter().position(|b| b",}]".contains(b)).map_or(bytes.len(), |p| colon + p);
                    bytes.splice(colon..end, TOKENS[self.next(TOKENS.len())].iter().copied());
                }
            }
        }
    }
}

#[test]
fn mutated_files_never_panic() {
    let rules = String::from_utf8(sample("csv/journal.mapping.toml")).unwrap();
    let bench = bench("lan");
    let setup = Setup { rules: &rules, ..bench.setup() };
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for name in ["csv/journal.csv", "relay/stripe.json", "relay/shopify.gzip.json", "smtp-in/ticket.eml"] {
        for _ in 0..150 {
            let mut body = sample(name);
            random.mutate(&mut body);
            check_documents(name, &lan::documents(&setup, &body));
            let _ = relay::Envelope::open(&body);
            let _ = mask::mask(&body, false);
        }
    }
}

#[test]
fn mutated_samples_never_panic() {
    for case in CASES {
        let bench = bench(case.kind);
        let (mut random, good) = (Random(0x9e37_79b9_7f4a_7c15), sample(case.body));
        let headers = pairs(case.headers);
        for _ in 0..150 {
            let mut body = good.clone();
            random.mutate(&mut body);
            let given = Given { headers: &headers, url: "", body: &body };
            let _ = (bench.kind.verify)(&bench.setup(), &given, Moment { now: UnixMs(0), good: true });
            let _ = (bench.kind.delivery_id)(&bench.setup(), &given);
            let _ = relay::Envelope::open(&body);
            let (masked, _) = mask::mask(&body, false);
            let is_json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok();
            assert!(!is_json(&body) || is_json(&masked), "{}", String::from_utf8_lossy(&masked));
            let mut answers = Answers::new();
            for _ in 0..4 {
                let decoded = bench.decode(&headers, &body, &answers);
                check_documents(case.body, &decoded);
                let Decoded::Told(told) = decoded else { break };
                for lookup in told.lookups {
                    let file = case.answers.iter().find(|(start, _)| lookup.key.contains(start));
                    let mut answer = file.map(|(_, file)| sample(file)).unwrap_or_default();
                    random.mutate(&mut answer);
                    answers.insert(lookup.key, Answered::Found(answer));
                }
            }
        }
    }
}
