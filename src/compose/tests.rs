//! What every receipt must keep: golden files of the samples, and properties over all of them.

use super::*;
use serde_json::{Value as Json, json};
use std::path::PathBuf;

const SAMPLES: &[&str] = &[
    "sale.json",
    "return.json",
    "sale.exchange-gift.json",
    "sale.fiscal-de.json",
    "sale.grocery-snap.json",
    "sale.tabs-and-controls-odd.json",
    "sale.arts-poslog.expected.json",
];

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn sample(name: &str) -> Json {
    serde_json::from_str(&std::fs::read_to_string(fixtures().join("lan").join(name)).unwrap()).unwrap()
}

fn sale(value: &Json) -> Sale {
    Sale::parse(value).unwrap()
}

fn shop() -> Shop {
    Shop {
        id: "s1".into(),
        name: "Fresh Fields".into(),
        legal_name: "Fresh Fields Market LLC".into(),
        address: "12 Market Street\nSpringfield, NY 10001".into(),
        phone: "+1 212 555 0100".into(),
        email: "hello@freshfields.example".into(),
        tax_id: "12-3456789".into(),
        country: "US".into(),
        region: "US-NY".into(),
        timezone: "America/New_York".into(),
        locale: "en-US".into(),
        currency: "USD".into(),
        opening_hours: "Mon to Sat 8 to 20".into(),
    }
}

fn brand() -> Brand {
    Brand {
        color: "#1f5f4b".into(),
        legal: vec!["Registered in New York, no. 0000000".into()],
        return_policy: "Bring it back within 30 days with this receipt, unopened.".into(),
        statement_name: "FRESHFIELDS SPRINGFIELD".into(),
        links: vec![("Our shop".into(), "https://freshfields.example/".into())],
    }
}

fn composer() -> Composer {
    Composer::new(&BTreeMap::new()).unwrap()
}

/// A sale of so many lines at 1.25, with 8 % tax.
fn long(lines: i64) -> Json {
    let items: Vec<Json> = (1..=lines)
        .map(|i| {
            json!({"sequence_number": i, "description": format!("Organic article of the season, number {i}"), "quantity": "2",
                "unit_of_measure_code": "EA", "regular_sales_unit_price": 125, "extended_amount": 225,
                "price_modifiers": [{"method_code": "Promotion", "amount": -25}]})
        })
        .collect();
    let net = lines * 225;
    let tax = net * 8 / 100;
    json!({"schema": "tillpost.sale/1", "transaction_type": "sale", "transaction_id": "long", "receipt_number": "1-1288",
        "receipt_date_time": "2026-10-03T18:07:44-04:00", "business_unit": {"unit_id": "17"}, "workstation_id": "3", "operator_id": "7",
        "currency_code": "USD", "tax_included": false, "line_items": items,
        "taxes": [{"tax_type": "Sales", "percent": "8", "taxable_amount": net, "amount": tax}],
        "tenders": [{"tender_type": "CreditDebit", "amount": net + tax, "card": {"brand": "VISA", "last4": "4242", "entry": "chip"}}],
        "totals": {"net_amount": net, "tax_amount": tax, "discount_amount": lines * 25, "grand_amount": net + tax}})
}

/// Writes every sample as a page, for people to look at: `TILLPOST_LOOK=DIR cargo test look_at`.
#[test]
fn look_at() {
    let Ok(dir) = std::env::var("TILLPOST_LOOK") else { return };
    let (c, shop, brand) = (composer(), shop(), brand());
    let own = Shop { country: "DE".into(), locale: "de-DE".into(), timezone: "Europe/Berlin".into(), ..Shop::default() };
    let write = |name: &str, doc: &Document<'_>| {
        let mail = c.email(doc, "Fresh Fields <r@x.example>", "").unwrap();
        std::fs::write(format!("{dir}/{name}.html"), &mail.html).unwrap();
        std::fs::write(format!("{dir}/{name}.txt"), format!("{}\n\n{}", mail.subject, mail.text)).unwrap();
        println!("{name}: {} bytes, {} in the mail", mail.html.len(), engine::encoded_len(&mail.html));
    };
    for name in SAMPLES {
        let (short, value) = (name.trim_end_matches(".json"), sale(&sample(name)));
        let who = if value.currency.code() == "EUR" { &own } else { &shop };
        let language = Some(value.customer.language.as_str()).filter(|l| !l.is_empty());
        write(short, &Document { language, ..Document::new(&value, who, &brand) });
    }
    let value = sale(&long(100));
    let at = |text: &str| UnixMs::parse_rfc3339(text);
    write("long", &Document { link: Some("https://r.fresh.example/Ab3dE6gH9kQ"), ..Document::new(&value, &shop, &brand) });
    write("long-no-link", &Document::new(&value, &shop, &brand));
    let value = sale(&long(3));
    write("late", &Document { late: at("2026-10-03T19:48:00-04:00"), test: true, ..Document::new(&value, &shop, &brand) });
    let yellow = Brand { color: "#ffd400".into(), ..brand.clone() };
    let link = Some("https://r.fresh.example/Ab3dE6gH9kQ");
    write("copy", &Document { copy: at("2026-10-05T10:30:00-04:00"), link, ..Document::new(&value, &shop, &yellow) });
}
