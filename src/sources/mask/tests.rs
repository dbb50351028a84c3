//! Canaries in every form that bodies come in, and what must stay as it is.

use super::*;
use serde_json::Value;

/// Test numbers of the card brands.
const CARDS: &[&str] = &[
    "4111111111111111",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
    "36227206271667",
    "6212345678901232",
    "4000000000000000006",
];

fn masked(text: &str) -> (String, Hits) {
    let (out, hits) = mask(text.as_bytes(), false);
    (String::from_utf8(out.into_owned()).unwrap(), hits)
}

fn spaced(card: &str, sizes: &[usize], between: &str) -> String {
    let (mut out, mut at) = (Vec::new(), 0);
    for size in sizes {
        out.push(card.get(at..at + size).unwrap());
        at += size;
    }
    out.join(between)
}

#[test]
fn canaries_are_found_in_every_form() {
    for card in CARDS {
        let tail = card.get(card.len() - 4..).unwrap();
        for form in [
            card.to_string(),
            format!("PAN{card}x"),
            format!("{{\"note\": \"paid {card} thanks\"}}"),
            format!("{{\"deep\": [{{\"card\": \"{card}\"}}]}}"),
            format!("<Note>{card}</Note>"),
            format!("a;{card};9,30"),
            format!("no=7&card={card}&total=1"),
        ] {
            let (out, hits) = masked(&form);
            assert!(!out.contains(card) && out.contains(tail) && out.contains('*'), "{form} → {out}");
            assert_eq!(hits.cards, 1, "{form}");
            assert_eq!(out.len(), form.len());
            assert_eq!(masked(&out).0, out, "twice is once");
        }
        let number = format!("{{\"a\": {card}}}");
        let (out, _) = masked(&number);
        assert!(serde_json::from_str::<Value>(&out).is_ok() && !out.contains(card.get(..8).unwrap()), "{out}");
    }
}

#[test]
fn layouts_of_cards() {
    let visa = CARDS[0];
    for between in [" ", "-", ".", "\n", "\r\n", "+", "%20"] {
        let form = format!("x {} y", spaced(visa, &[4, 4, 4, 4], between));
        let (out, hits) = masked(&form);
        assert_eq!((hits.cards, out.matches('*').count()), (1, 12), "{form:?} → {out:?}");
    }
    for (card, sizes) in [(CARDS[3], &[4, 6, 5][..]), (CARDS[6], &[4, 6, 4]), (CARDS[8], &[4, 4, 4, 4, 3]), (visa, &[1; 16])] {
        assert_eq!(masked(&spaced(card, sizes, " ")).1.cards, 1, "{card}");
    }
    // In a JSON string a digit and the end of a line may be written as escapes.
    let escaped = r#"{"t": "4\u003111 1111\n1111 1111"}"#;
    let (out, hits) = masked(escaped);
    assert_eq!(hits.cards, 1);
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(value["t"], "**** ****\n**** 1111");
    assert_eq!(masked(&format!("0000{visa}0000")).1.cards, 0);
    assert_eq!(masked(&format!("{visa}0000000")).1.cards, 1);
}

#[test]
fn two_bytes_a_letter_hide_nothing() {
    let wide: Vec<u8> = "\u{feff}card 4111111111111111".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let (out, hits) = mask(&wide, false);
    assert_eq!((hits.cards, out.as_ref()), (1, &b"card ************1111"[..]));
    let plain: Vec<u8> = "\u{feff}card".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(matches!(mask(&plain, false).0, Cow::Borrowed(_)));
}

#[test]
fn tracks_and_codes() {
    let (out, hits) = masked("%B4111111111111111^DOE/JO^2512101000012345? ;4111111111111111=2512101000012345?");
    assert_eq!(hits.tracks, 2);
    assert!(!out.contains("2512") && !out.contains("1111"), "{out}");
    for (text, is) in [
        ("CVV: 123", "CVV: ***"),
        ("cvc2 1234.", "cvc2 ****."),
        ("CID:4321", "CID:****"),
        ("ACID 123", "ACID 123"),
        ("CVV 12345", "CVV 12345"),
        ("CVV", "CVV"),
        (r#"{"cvv": "123"}"#, r#"{"cvv": "***"}"#),
        (r#"{"cvc": 123}"#, r#"{"cvc": 100}"#),
        (r#"{"cvv_result_code": "M"}"#, r#"{"cvv_result_code": "M"}"#),
    ] {
        assert_eq!(masked(text).0, is);
    }
}

#[test]
fn what_is_no_card_stays() {
    for text in [
        "4012345000017",                       // an article of 13 digits
        "4111111111111112",                    // the check digit is wrong
        "************1111",                    // masked already
        "+4917012345678",                      // a telephone number
        "4.99 5.99 6.99 7.99 8.99 9.99",       // amounts
        "2026-10-03T16:20:31.115903412+02:00", // a time
        "0000000000000000",                    // filling
        r#"{"id": 4111111111111111, "order_id": "4111111111111111", "source": {"x": "4111111111111111"}, "total": 4111111111111111.50}"#,
        r#"{"transaction_id": "4111111111111111", "related": {"receipt_number": "5555555555554444"}, "orders_ids": [4111111111111111]}"#,
        "{\"broken\": ",
        "",
    ] {
        let (out, hits) = mask(text.as_bytes(), false);
        assert!(matches!(out, Cow::Borrowed(_)) && hits.is_empty(), "{text}");
    }
    assert_eq!(masked("{\"broken\": \"4111111111111111\"").1.cards, 1, "what is no JSON is text");
}

#[test]
fn digits_of_benefit_accounts_are_dropped() {
    for (text, is) in [
        ("EBT FOOD 5076 8500 1234 5678", "EBT FOOD **** **** **** ****"),
        ("SNAP ************6789 12.00", "SNAP **************** 12.00"),
        ("wic XXXX6789", "wic XXXX****"),
        ("Food Stamps 5076850012345678", "Food Stamps ****************"),
        ("VISA ************6789\nSNAP ****1234", "VISA ************6789\nSNAP ********"),
        ("WICKED ****6789", "WICKED ****6789"),
    ] {
        assert_eq!(masked(text).0, is);
    }
    let sale = r#"{"tenders": [{"card": {"last4": "6789", "auth_code": "1"}, "tender_type": "SNAP", "note": "acct 5076850012345678"},
        {"tender_type": "CreditDebit", "card": {"last4": "1111"}}]}"#;
    let value: Value = serde_json::from_str(&masked(sale).0).unwrap();
    assert_eq!(value["tenders"][0]["card"]["last4"], "");
    assert_eq!(value["tenders"][0]["note"], "acct ****************");
    assert_eq!(value["tenders"][1]["card"]["last4"], "1111");
    let (kept, _) = mask(b"EBT 5076850012345678", true);
    assert_eq!(kept.as_ref(), b"EBT ************5678");
}

#[test]
fn samples_pass_untouched() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut count = 0;
    for folder in ["sources/square", "sources/clover", "sources/toast", "sources/shopify", "sources/stripe", "sources/zapier", "lan"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let (out, hits) = mask(&bytes, false);
            assert!(out == bytes.as_slice(), "{} {hits:?}", path.display());
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn any_bytes_are_taken() {
    let deep = "[".repeat(10_000);
    for bytes in [&b"\xff\xfe4111"[..], b"\"", b"{\"", b"\\u003", b"%B", b";4", b"CVV", deep.as_bytes(), b"[1,]", b"{\"a\"}"] {
        let _ = mask(bytes, false);
    }
    let large = "4111111111111111 ".repeat(60_000);
    assert_eq!(mask(large.as_bytes(), false).1.cards, 60_000);
}
