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

pub fn sale(value: &Json) -> Sale {
    Sale::parse(value).unwrap()
}

pub fn shop() -> Shop {
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

pub fn brand() -> Brand {
    Brand {
        color: "#1f5f4b".into(),
        legal: vec!["Registered in New York, no. 0000000".into()],
        return_policy: "Bring it back within 30 days with this receipt, unopened.".into(),
        statement_name: "FRESHFIELDS SPRINGFIELD".into(),
        promotions: Vec::new(),
        links: vec![("Our shop".into(), "https://freshfields.example/".into())],
    }
}

pub fn composer() -> Composer {
    Composer::new(&BTreeMap::new()).unwrap()
}

/// A sale of so many lines at 1.25, with 8 % tax.
pub fn long(lines: i64) -> Json {
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
    let fragment = c.fragment(&Document::new(&value, &shop, &brand), viewer::QR_MOST).unwrap();
    std::fs::write(format!("{dir}/viewer.html"), viewer::PAGE).unwrap();
    std::fs::write(format!("{dir}/viewer.link"), format!("viewer.html#{fragment}")).unwrap();
    write("copy", &Document { copy: at("2026-10-05T10:30:00-04:00"), link, ..Document::new(&value, &shop, &yellow) });
}

/// Kept as `tests/fixtures/golden/NAME`; `TILLPOST_BLESS=1` writes it anew.
pub fn golden(name: &str, got: &str, wrong: &mut Vec<String>) {
    let path = fixtures().join("golden").join(name);
    if std::env::var_os("TILLPOST_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, got).unwrap();
    } else if std::fs::read_to_string(&path).unwrap_or_default() != got {
        wrong.push(name.to_owned());
    }
}

#[test]
fn the_samples_look_as_they_did() {
    let (c, shop, brand) = (composer(), shop(), brand());
    let mut wrong = Vec::new();
    for name in SAMPLES {
        let sale = sale(&sample(name));
        for language in ["en", "de", "es", "fr"] {
            let doc = Document {
                language: Some(language),
                link: Some("https://r.fresh.example/Ab3dE6gH9kQ"),
                ..Document::new(&sale, &shop, &brand)
            };
            let mail = c.email(&doc, "Fresh Fields <receipts@freshfields.example>", "").unwrap();
            let sms = c.sms(&doc, "Fresh", false).unwrap();
            let stem = format!("{}.{language}", name.trim_end_matches(".json"));
            golden(&format!("{stem}.html"), &mail.html, &mut wrong);
            golden(&format!("{stem}.txt"), &format!("{}\n\n{}", mail.subject, mail.text), &mut wrong);
            golden(&format!("{stem}.sms.txt"), &sms.text, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "no longer the same: {wrong:?}; look at them, then run with TILLPOST_BLESS=1");
}

/// Every sample in every language and in each special case: what must hold for all.
#[test]
fn what_holds_for_every_receipt() {
    let (c, shop, brand) = (composer(), shop(), brand());
    let at = UnixMs::parse_rfc3339("2026-10-09T12:00:00Z");
    let all: Vec<Json> = SAMPLES.iter().map(|n| sample(n)).chain([long(1), long(100), long(400)]).collect();
    for value in &all {
        let sale = sale(value);
        for (language, copy, late, link) in
            [("en", None, None, None), ("de", at, None, Some("https://r.x.example/a")), ("fr", None, at, None)]
        {
            let doc = Document { language: Some(language), copy, late, link, ..Document::new(&sale, &shop, &brand) };
            let mail = c.email(&doc, "Fresh Fields <r@x.example>", "").unwrap();
            holds(&sale, &mail);
            assert_eq!(mail.reply_to, "hello@freshfields.example");
            let page = c.page_html(&doc).unwrap();
            assert!(sale.lines.iter().all(|l| page.contains(&escaped(&one_line(&l.description, 300)))), "the page lists every line");
            assert_eq!(c.text(&doc).unwrap(), mail.text);
            let sms = c.sms(&doc, "", false).unwrap();
            assert!(sms::count(&sms.text).segments <= 2, "{}", sms.text);
            assert!(link.is_none_or(|l| sms.text.contains(l)));
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#x27;")
        .replace('/', "&#x2f;")
}

#[track_caller]
fn holds(sale: &Sale, mail: &content::Email) {
    for part in [&mail.subject, &mail.text, &mail.html] {
        assert!(!part.contains("{{") && !part.contains("{%") && !part.contains("undefined"), "left over in {part}");
    }
    assert_eq!(mail.subject.lines().count(), 1);
    assert!(mail.subject.contains(&sale.receipt_number) && mail.text.contains(&sale.receipt_number));
    assert!(engine::encoded_len(&mail.html) <= MAIL_HTML_MAX, "{} bytes", mail.html.len());
    for line in mail.text.lines() {
        assert!(layout::width(line) <= layout::WIDEST || !line.trim().contains(' '), "too wide: {line}");
    }
    let flat = mail.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for line in &sale.lines {
        assert!(flat.contains(&one_line(&line.description, 300)), "{} is missing in {}", line.description, mail.text);
    }
    for lookout in
        ["<script", "<link", "<img", "<picture", "data:", "url(", "@import", "display:flex", "display:grid", "var(--", "onclick", "src="]
    {
        assert!(!mail.html.contains(lookout), "{lookout} in the mail");
    }
    assert!(mail.html.contains("<html lang=\"") && mail.html.matches("<style").count() == 1);
    assert_eq!(mail.html.matches("<table").count(), mail.html.matches("</table>").count());
    if !sale.gift {
        let total = sale.money(sale.totals.grand).decimal();
        let digits = |s: &str| s.chars().filter(char::is_ascii_digit).collect::<String>();
        assert!(digits(&mail.text).contains(&digits(&total)) && digits(&mail.subject).contains(&digits(&total)));
        if let Some(fiscal) = &sale.fiscal {
            assert!(fiscal.lines.iter().all(|l| mail.text.contains(l.as_str()) && mail.html.contains(&escaped(l))));
            assert!(mail.text.replace('\n', "").contains(&fiscal.qr), "the code is whole");
        }
    }
}

#[test]
fn a_gift_shows_no_price_anywhere() {
    let (c, shop, brand) = (composer(), shop(), brand());
    let mut value = sample("sale.exchange-gift.json");
    value["fiscal"] = json!({"scheme": "x", "qr": "V0;34.50", "lines": ["total 34.50"]});
    value["trailer_text"] = json!(["You saved 3.00 today", "Thank you"]);
    value["line_items"][2]["price_modifiers"] = json!([{"method_code": "Coupon", "description": "was 39.50", "amount": -500}]);
    let sale = sale(&value);
    for language in ["en", "de"] {
        let doc = Document { language: Some(language), ..Document::new(&sale, &shop, &brand) };
        let mail = c.email(&doc, "F <f@x.example>", "").unwrap();
        let sms = c.sms(&doc, "", false).unwrap().text;
        let page = c.page_html(&doc).unwrap();
        for part in [&mail.subject, &mail.text, &mail.html, &sms, &page] {
            for price in [
                "29.99",
                "29,99",
                "34.50",
                "34,50",
                "38.99",
                "38,99",
                "4.49",
                "13%",
                "20.00",
                "39.50",
                "3.00",
                "3.01",
                "$",
                "0119",
                "Trail Club",
            ] {
                assert!(!part.contains(price), "{price} in {part}");
            }
        }
        assert!(mail.text.contains("Thank you") && mail.text.contains("Leather mittens"));
    }
}

#[test]
fn text_from_outside_does_no_harm() {
    let (c, shop, mut brand) = (composer(), shop(), brand());
    brand.links.push(("x".into(), "javascript:alert(1)".into()));
    let mut value = sample("sale.json");
    value["receipt_number"] = json!("1\r\nBcc: x@y.example");
    value["line_items"][0]["description"] = json!("<script>alert(1)</script> {{ 7 * 7 }} \u{202e}x");
    value["trailer_text"] = json!(["<img src=x onerror=alert(1)>"]);
    value["customer"]["name"] = json!("\"><b>bold</b>");
    let sale = sale(&value);
    let doc = Document { link: Some("https://x.example/\"><script>"), ..Document::new(&sale, &shop, &brand) };
    let mail = c.email(&doc, "F\r\nX: y <f@x.example>", "a@b.example\r\nBcc: z@y.example").unwrap();
    for header in [&mail.subject, &mail.from, &mail.reply_to] {
        assert!(!header.contains(['\r', '\n']), "{header}");
    }
    assert!(mail.html.contains("&lt;script&gt;") && mail.html.contains("{{ 7 * 7 }}"));
    for bad in ["<script", "<img", "<b>", "javascript:", "\u{202e}"] {
        assert!(!mail.html.contains(bad), "{bad}");
    }
}

#[test]
fn a_benefit_account_leaves_no_name_and_no_digits() {
    let mut value = sample("sale.grocery-snap.json");
    value["customer"]["name"] = json!("Lena Quill");
    value["tenders"][0]["card"] = json!({"brand": "EBT", "last4": "7788", "auth_code": "QX7788"});
    let (sale, shop, brand) = (sale(&value), shop(), brand());
    let mail = composer().email(&Document::new(&sale, &shop, &brand), "f@x.example", "").unwrap();
    for part in [&mail.subject, &mail.text, &mail.html] {
        assert!(!part.contains("Quill") && !part.contains("7788"));
    }
    assert!(mail.text.contains("$113.42") && mail.text.contains("•••• 8210"));
}

#[test]
fn subjects_copies_and_late_ones() {
    let (c, mut shop, brand, sale) = (composer(), shop(), brand(), sale(&long(3)));
    let doc = Document::new(&sale, &shop, &brand);
    assert_eq!(c.subject(&doc).unwrap(), "Receipt 1-1288, Fresh Fields, $7.29");
    let copy = Document { copy: UnixMs::parse_rfc3339("2026-10-05T14:30:00Z"), test: true, ..doc };
    let mail = c.email(&copy, "f@x.example", "").unwrap();
    assert_eq!(mail.subject, "[TEST] Copy: Receipt 1-1288, Fresh Fields, $7.29");
    assert!(mail.text.contains("*** COPY ***") && mail.text.contains("TEST: not a real purchase"));
    assert!(mail.text.replace('\n', " ").contains("made on Oct 5, 2026 at 10:30 AM. The original is of Oct 3, 2026 at 6:07 PM"));
    assert!(mail.html.contains(">Copy<"));
    assert_eq!(mail.headers, vec![("Auto-Submitted".to_owned(), "auto-generated".to_owned())]);
    shop.locale = "en-GB".into();
    let late = |at: &str| {
        let doc = Document { late: UnixMs::parse_rfc3339(at), ..Document::new(&sale, &shop, &brand) };
        c.text(&doc).unwrap().replace('\n', " ")
    };
    assert!(late("2026-10-03T23:48:00Z").contains("Sent at 19:48 because the shop was offline at the time of sale"));
    assert!(late("2026-10-04T19:48:00Z").contains("Sent on 4 Oct 2026 at 15:48 because the shop was offline"));
    let german = Document { language: Some("de-AT"), ..Document::new(&sale, &shop, &brand) };
    assert_eq!(c.subject(&german).unwrap().replace('\u{a0}', " "), "Beleg 1-1288, Fresh Fields, $ 7,29");
    let unknown = Document { language: Some("fi"), default_language: Some("de"), ..Document::new(&sale, &shop, &brand) };
    assert!(c.subject(&unknown).unwrap().starts_with("Beleg"), "the shop's language before English");
}

#[test]
fn offers_only_where_they_are_agreed_to_and_points_always() {
    let (c, shop, sale) = (composer(), shop(), sale(&sample("sale.json")));
    let promotions = vec!["10 % off all teas <b>".to_owned(), "x".repeat(900), String::new(), "three".to_owned(), "four".to_owned()];
    let brand = Brand { promotions, ..brand() };
    let doc = Document { promo: true, ..Document::new(&sale, &shop, &brand) };
    let (mail, page, text) = (c.email(&doc, "", "").unwrap(), c.page_html(&doc).unwrap(), c.sms(&doc, "", false).unwrap().text);
    assert!(mail.html.contains("10 % off all teas &lt;b&gt;") && mail.text.contains("For you\n10 % off") && page.contains("10 % off"));
    assert!(mail.html.contains("three") && !mail.html.contains("four") && !mail.html.contains(&"x".repeat(250)), "a few short ones");
    assert!(!text.contains("teas"), "never in a text message");
    assert!(doc.shows_promo() && doc.shows_points() && mail.text.contains("28 points earned"));
    for (promo, test, corrects) in [(false, false, None), (true, true, None), (true, false, Some("0911"))] {
        let plain = Document { promo, test, corrects, ..doc };
        let mail = c.email(&plain, "", "").unwrap();
        assert!(!plain.shows_promo() && !mail.html.contains("teas") && !mail.text.contains("teas"));
        assert!(mail.text.contains("28 points earned"));
        assert_eq!(mail.text.contains("Corrects receipt 0911"), corrects.is_some());
    }
}

#[test]
fn a_receipt_in_short_for_staff_and_phone() {
    let (c, shop, brand, long) = (composer(), shop(), brand(), sale(&long(60)));
    let link = "https://r.fresh.example/Ab3dE6gH9kQ";
    let doc = Document { link: Some(link), ..Document::new(&long, &shop, &brand) };
    let chat = c.chat(&doc).unwrap();
    assert_eq!(chat.title, "Receipt 1-1288, Fresh Fields, $145.80");
    assert!(chat.text.ends_with("\nand 40 more") && chat.text.lines().count() == 21, "{}", chat.text);
    assert_eq!(chat.fields[0], ("Total".to_owned(), "$145.80".to_owned()));
    assert_eq!(chat.link, Some(("See the whole receipt".to_owned(), link.to_owned())));
    let push = c.push(&doc).unwrap();
    assert_eq!((push.title.as_str(), push.body.as_str(), push.link.as_str()), ("Fresh Fields", "Receipt 1-1288, $145.80", link));
    let whatsapp = c.whatsapp(&doc).unwrap();
    assert_eq!((whatsapp.template.as_str(), whatsapp.language.as_str()), ("receipt", "en"));
    assert_eq!(whatsapp.variables, ["Fresh Fields", "Receipt 1-1288", "$145.80", link]);
    let page = c.page(&doc, "Ab3dE6gH9kQ", UnixMs(7)).unwrap();
    assert!(page.html.contains("number 60") && !page.html.contains("r.fresh.example") && page.token == "Ab3dE6gH9kQ");
    let gift = sale(&sample("sale.exchange-gift.json"));
    let doc = Document::new(&gift, &shop, &brand);
    let all = [c.chat(&doc).unwrap().plain(), c.push(&doc).unwrap().body, c.whatsapp(&doc).unwrap().text].concat();
    assert!(!all.contains('$') && !all.contains("34.50") && !all.contains("Card"), "{all}");
}

#[test]
fn a_route_may_name_a_template_for_receipts() {
    let (shop, brand, sale) = (shop(), brand(), sale(&long(1)));
    let c = with("thanks.subject.txt.j2", "Thanks! {{ number }}").unwrap();
    let doc = Document { template: Some("thanks"), ..Document::new(&sale, &shop, &brand) };
    let mail = c.email(&doc, "", "").unwrap();
    assert!(mail.subject == "Thanks! 1-1288" && mail.text.contains("Receipt 1-1288"), "the other parts are the built-in ones");
    assert_eq!(composer().email(&doc, "", ""), Err(ComposeError::NoTemplate("thanks".into())));
}

#[test]
fn a_void_and_an_exchange_that_pays_back() {
    let (c, shop, brand) = (composer(), shop(), brand());
    let mut value = long(1);
    value["transaction_type"] = json!("void");
    let void = sale(&value);
    let mail = c.email(&Document::new(&void, &shop, &brand), "", "").unwrap();
    assert!(mail.subject.starts_with("Cancelled 1-1288") && mail.text.contains("This sale was cancelled at the till"));
    let mut value = long(2);
    value["transaction_type"] = json!("exchange");
    value["line_items"][0]["line_type"] = json!("return");
    value["line_items"][0]["extended_amount"] = json!(1000);
    value["taxes"] = json!([]);
    value["totals"] = json!({"net_amount": -775, "tax_amount": 0, "grand_amount": -775});
    value["totals"]["net_amount"] = json!(775);
    value["tenders"] = json!([{"tender_type": "Cash", "amount": 775}]);
    let back = sale(&value);
    let text = c.text(&Document::new(&back, &shop, &brand)).unwrap();
    assert!(text.contains("Refunded: Cash") && text.contains("-$10.00") && !text.contains("-$7.75"), "{text}");
}

#[test]
fn text_messages_are_shortened_in_order() {
    let (c, mut shop, brand) = (composer(), shop(), brand());
    let value = sale(&long(3));
    let plain = |shop: &Shop, link: Option<&str>| c.sms(&Document { link, ..Document::new(&value, shop, &brand) }, "Fresh", false);
    let sms = plain(&shop, Some("https://r.x.example/Ab3")).unwrap();
    assert_eq!(sms.text, "Fresh Fields: receipt 1-1288 $7.29 on Oct 3. https://r.x.example/Ab3");
    let bare = plain(&shop, None).unwrap().text;
    assert!(bare.contains("2x Organic article") && sms::count(&bare).segments == 1, "{bare}");
    shop.name = "The Extraordinarily Long Named Emporium of Fruits and Fields of Upper Springfield".into();
    let link = format!("https://r.x.example/{}", "a".repeat(80));
    let cut = plain(&shop, Some(&link)).unwrap().text;
    assert!(cut.starts_with("The Extraordinarily: receipt") && cut.contains("$7.29") && cut.ends_with(&link), "{cut}");
    let link = format!("https://r.x.example/{}", "a".repeat(250));
    let shortest = plain(&shop, Some(&link)).unwrap().text;
    assert!(shortest.starts_with("The Extraordinarily: $7.29.") && shortest.ends_with(&link), "{shortest}");
    let link = format!("https://r.x.example/{}", "a".repeat(400));
    assert_eq!(plain(&shop, Some(&link)), Err(ComposeError::TooLong { segments: 3 }));
    shop.name = "Café Nicolás".into();
    let doc = Document::new(&value, &shop, &brand);
    assert!(c.sms(&doc, "", true).unwrap().text.starts_with("Café Nicolas: "));
}

fn with(name: &str, text: &str) -> Result<Composer, Vec<TemplateFault>> {
    Composer::new(&BTreeMap::from([(name.to_owned(), text.to_owned())]))
}

#[test]
fn a_shops_own_files_come_first() {
    let (shop, brand, sale) = (shop(), brand(), sale(&long(1)));
    let doc = Document { promo: true, ..Document::new(&sale, &shop, &brand) };
    let c = with("blocks/promo.html.j2", "<tr><td>Come to our fair & more, {{ customer.language }}</td></tr>").unwrap();
    assert!(c.email(&doc, "", "").unwrap().html.contains("Come to our fair & more, en"));
    assert!(!c.email(&Document { promo: false, ..doc }, "", "").unwrap().html.contains("fair"), "only with consent");
    assert_ne!(c.version(), composer().version());
    assert_eq!(composer().version(), composer().version());
    let c = with("lang/de.toml", "[title]\nsale = \"Kassenzettel\"").unwrap();
    let text = c.text(&Document { language: Some("de"), ..doc }).unwrap();
    assert!(text.contains("Kassenzettel 1-1288") && text.contains("Zwischensumme"), "missing keys fall back");
    let c = with("lang/fr.toml", "[title]\nsale = \"Ticket\"").unwrap();
    assert!(c.text(&Document { language: Some("fr-CA"), ..doc }).unwrap().contains("Ticket 1-1288"));
    let c = with("receipt.subject.txt.j2", "{{ total }}|{{ 5|money }}").unwrap();
    assert!(matches!(c.subject(&doc), Err(ComposeError::Template(f)) if f.message.contains("only on receipts")));
    let filters = "{{ total_minor|money }} {{ '1.50'|qty }} {{ receipt.iso|date }} {{ receipt.iso|time }}";
    assert_eq!(with("receipt.txt.j2", filters).unwrap().text(&doc).unwrap(), "$2.43 1.5 Oct 3, 2026 6:07 PM\n");
}

#[test]
fn faulty_templates_are_named() {
    let faults = with("receipt.txt.j2", "one\n{% if %}").unwrap_err();
    assert_eq!((faults[0].name.as_str(), faults[0].line), ("receipt.txt.j2", Some(2)), "{faults:?}");
    assert!(with("lang/de.toml", "x = 1").unwrap_err()[0].to_string().contains("`x` must be text"));
    assert_eq!(with("evil.sh", "").unwrap_err()[0].name, "evil.sh");
}

#[test]
fn hostile_templates_stop() {
    let (shop, brand, sale) = (shop(), brand(), sale(&long(1)));
    let doc = Document::new(&sale, &shop, &brand);
    for (text, why) in [
        ("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "too long"),
        ("{% for a in range(90000) %}{{ 'x' * 1000 }}{% endfor %}", "more than"),
        ("{{ 'x' * 1000000000 }}", "too long"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"),
        ("{% include 'receipt.txt.j2' %}", "recursion"),
        ("{{ nobody.knows }}", "undefined"),
        ("{{ store.nothing }}", "undefined"),
        ("{% include 'none.txt.j2' %}", "not"),
        ("{{ t('no.such.key') }}", "no.such.key"),
        ("{{ row('x', 'y', 99999999) }}{{ wrap(5) }}", ""),
    ] {
        let error = with("receipt.txt.j2", text).map(|c| c.text(&doc));
        let said = match error {
            Ok(Err(ComposeError::Template(fault))) => fault.to_string(),
            Ok(Ok(text)) if why.is_empty() => text,
            other => panic!("{text}: {other:?}"),
        };
        assert!(said.contains(why), "{text}: {said}");
    }
}

#[test]
fn languages_are_complete() {
    let read = |tag: &str| {
        let (tag, text) = engine::LANGUAGES.iter().find(|(t, _)| *t == tag).unwrap();
        let language = Language::parse(tag, text).unwrap();
        language.keys().map(str::to_owned).collect::<std::collections::BTreeSet<_>>()
    };
    let english = read("en");
    for (tag, _) in engine::LANGUAGES {
        let own = read(tag);
        let missing: Vec<_> = english.difference(&own).collect();
        let unknown: Vec<_> = own.difference(&english).collect();
        assert!(missing.is_empty() && unknown.is_empty(), "{tag}: missing {missing:?}, unknown {unknown:?}");
    }
}

#[test]
fn a_very_long_receipt_is_composed() {
    let (shop, brand, sale) = (shop(), brand(), sale(&long(20_000)));
    let mail = composer().email(&Document::new(&sale, &shop, &brand), "", "").unwrap();
    assert!(mail.text.contains("number 20000") && mail.html.contains("and 19940 more"));
}

/// `TILLPOST_SPEED=1 cargo test --release speed -- --nocapture` says how long a mail takes.
#[test]
fn speed() {
    if std::env::var_os("TILLPOST_SPEED").is_none() {
        return;
    }
    let (c, shop, brand) = (composer(), shop(), brand());
    for lines in [5, 20, 100] {
        let value = sale(&long(lines));
        let doc = Document::new(&value, &shop, &brand);
        #[allow(clippy::disallowed_methods)] // a measurement reads the clock
        let start = std::time::Instant::now();
        for _ in 0..500 {
            c.email(&doc, "f@x.example", "").unwrap();
        }
        println!("{lines} lines: {:?} a mail", start.elapsed() / 500);
    }
}
