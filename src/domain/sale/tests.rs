//! The canonical sale against the samples of the trade, and each fault with its place.

use super::*;
use serde_json::json;

fn sample(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/lan/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_samples_of_the_trade_are_read() {
    for name in [
        "sale.json",
        "return.json",
        "sale.exchange-gift.json",
        "sale.fiscal-de.json",
        "sale.grocery-snap.json",
        "sale.tabs-and-controls-odd.json",
        "sale.arts-poslog.expected.json",
    ] {
        assert_eq!(Sale::parse(&sample(name)).map(|_| ()), Ok(()), "{name}");
    }
}

#[test]
fn a_sale_is_read_whole() {
    let sale = Sale::parse(&sample("sale.json")).unwrap();
    assert_eq!((sale.lines.len(), sale.totals.grand, sale.currency.code()), (4, 2279, "EUR"));
    assert_eq!(sale.lines[0].quantity, "1.412");
    assert_eq!(sale.lines[2].price_modifiers[0].amount, Some(-160));
    assert_eq!(sale.customer.email, "anna@corner-market.example");
    assert_eq!(sale.loyalty.as_ref().unwrap().earned, "28");
    assert!(sale.fiscal.as_ref().unwrap().qr.starts_with("V0;"));
    assert_eq!(sale.money(sale.totals.grand).to_string(), "22.79 EUR");
}

/// One change to a good sale, and the pointers and codes that must come of it.
#[track_caller]
fn check(change: impl FnOnce(&mut Value), expected: &[(&str, &str)]) {
    let mut sale = sample("sale.json");
    change(&mut sale);
    let faults = Sale::parse(&sale).err().unwrap_or_default();
    let got: Vec<(&str, &str)> = faults.iter().map(|f| (f.pointer.as_str(), f.code)).collect();
    assert_eq!(got, expected);
}

#[test]
fn each_fault_has_its_place_and_code() {
    check(|s| s["schema"] = json!("tillpost.sale/9"), &[("/schema", "schema")]);
    check(|s| s["totals"]["grand_amount"] = json!(22.79), &[("/totals/grand_amount", "money_fraction")]);
    check(|s| s["totals"]["grand_amount"] = json!("22.79"), &[]);
    check(|s| s["totals"]["grand_amount"] = json!("22.790"), &[("/totals/grand_amount", "money_digits")]);
    check(|s| s["totals"]["grand_amount"] = json!(2280), &[("/totals/grand_amount", "sum_mismatch")]);
    check(|s| s["totals"]["net_amount"] = json!(2278), &[("/totals/net_amount", "sum_mismatch"), ("/totals/grand_amount", "sum_mismatch")]);
    check(|s| s["line_items"][1]["extended_amount"] = json!(-389), &[("/line_items/1/extended_amount", "negative")]);
    check(|s| s["line_items"] = json!([]), &[("/line_items", "length")]);
    check(|s| s["line_items"][0]["quantity"] = json!(1), &[("/line_items/0/quantity", "decimal")]);
    check(|s| s["tenders"][0]["card"] = json!({"last4": "4111111111111111"}), &[("/tenders/0/card/last4", "last4")]);
    check(|s| s["customer"]["preferred_channel"] = json!("telex"), &[("/customer/preferred_channel", "unknown_word")]);
    check(|s| s["business_day_date"] = json!("2026-02-30"), &[("/business_day_date", "date")]);
    check(|s| s["unheard_of"] = json!({"kept": true}), &[]);
    check(|s| *s = json!([1, 2]), &[("", "type")]);
}

#[test]
fn ten_faults_are_ten_entries() {
    let bad = json!({"schema": SCHEMA, "transaction_type": "sell", "transaction_id": "t", "receipt_date_time": "yesterday", "currency_code": "usd!",
        "tax_included": "yes", "business_unit": {}, "receipt_number": "", "line_items": [{"quantity": "a lot", "extended_amount": 1.5}],
        "tenders": [{"amount": -5}], "totals": {"net_amount": "1,200"}});
    let faults = Sale::parse(&bad).unwrap_err();
    assert!(faults.len() >= 10, "{faults:#?}");
}

#[test]
fn a_refused_card_number_is_not_repeated() {
    let mut sale = sample("sale.json");
    sale["tenders"][0]["card"] = json!({"last4": "4111111111111111"});
    assert!(!format!("{:?}", Sale::parse(&sale).unwrap_err()).contains("4111"));
}

#[test]
fn currencies_without_and_with_three_digits() {
    let small = |currency: &str, amount: Value| {
        Sale::parse(&json!({"schema": SCHEMA, "transaction_type": "sale", "transaction_id": "t", "receipt_number": "1",
            "receipt_date_time": "2026-10-03T18:07:44+09:00", "business_unit": {"unit_id": "1"}, "currency_code": currency, "tax_included": true,
            "line_items": [{"description": "Tea", "quantity": "1", "extended_amount": amount}], "tenders": [], "totals": {"grand_amount": amount}}))
    };
    assert_eq!(small("JPY", json!("1080")).unwrap().totals.grand, 1080);
    assert_eq!(small("JPY", json!("1080.0")).unwrap_err()[0].code, "money_digits");
    assert_eq!(small("KWD", json!("1.234")).unwrap().totals.grand, 1234);
}
