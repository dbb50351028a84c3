//! The whole receipt in a link: compact JSON, raw deflate, base64url, behind the `#` of a static page.
//!
//! What stands behind the `#` is never sent to a server, so nothing is hosted but the page, and it works
//! while the shop is offline. Pure. No personal data inside: no customer, no cashier, no digit of a card,
//! no member number, no free text of the till.

use crate::compose::view::Builder;
use crate::compose::{Composer, Document, PAGE_LINES, facts};
use crate::domain::text::one_line;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use minijinja::value::Value;
use serde_json::{Map, json};
use std::io::Write as _;

/// The static page that shows such a receipt: complete in itself, for any web server.
pub const PAGE: &str = include_str!("../../config/templates/viewer.html");

/// Characters behind the `#` that a code of version 26 at the lowest level of correction takes, beside
/// an address of 60: the largest that paper of 80 mm prints well.
pub const QR_MOST: usize = 1_300;

/// Characters that browsers and messengers let through whole.
pub const LINK_MOST: usize = 8_000;

impl Composer {
    /// The receipt as the part of a link behind the `#`, of at most `most` characters: first the return
    /// policy goes, then what stands under the lines, then lines, which says so. `None` where even the
    /// sums do not fit.
    pub fn fragment(&self, doc: &Document<'_>, most: usize) -> Option<String> {
        let speaker = self.receipt_speaker(doc);
        let b = Builder::new(doc, &speaker);
        let rows = rows(&b);
        let mut shown = rows.len();
        for step in 0..64 {
            let fragment = pack(&receipt(&b, &rows, shown, step == 0, step < 2).to_string())?;
            if fragment.len() <= most {
                return Some(fragment);
            }
            match step {
                0 | 1 => {}
                _ if shown == 0 => return None,
                _ => shown = shown * 4 / 5,
            }
        }
        None
    }
}

/// Text, amount and details of each line.
type Row = (String, String, Vec<String>);

fn rows(b: &Builder<'_>) -> Vec<Row> {
    let view = b.view(0, "");
    let lines = view.lines.try_iter().into_iter().flatten();
    let row = |line: Value| {
        let details = line.get_attr("details").ok();
        let details = details.iter().filter_map(|d| d.try_iter().ok()).flatten().map(|d| d.to_string());
        (field(&line, "text"), field(&line, "amount"), details.collect())
    };
    lines.take(PAGE_LINES).map(row).collect()
}

fn field(of: &Value, name: &str) -> String {
    of.get_attr(name).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The receipt under short names. The page knows no language: every text is ready.
fn receipt(b: &Builder<'_>, rows: &[Row], shown: usize, policy: bool, details: bool) -> serde_json::Value {
    let (sale, brand) = (b.doc.sale, crate::compose::view::BrandView::of(b.doc.brand));
    let view = b.view(0, "");
    let mut out = Map::new();
    let mut put = |name: &str, value: serde_json::Value| {
        let empty = value.as_str().is_some_and(str::is_empty) || value.as_array().is_some_and(Vec::is_empty);
        if !empty {
            out.insert(name.to_owned(), value);
        }
    };
    put("v", json!(1));
    put("l", json!(b.speaker.tag()));
    put("c", json!([brand.color.to_string(), brand.color_dark.to_string()]));
    put("s", json!(store(b, &view.store)));
    let number = one_line(&sale.receipt_number, 60);
    put("h", json!([format!("{} {number}", field(&view.receipt, "title")), field(&view.receipt, "issued_at")]));
    let notices = view.notices.try_iter().into_iter().flatten().map(|n| field(&n, "value"));
    put("n", json!(notices.collect::<Vec<_>>()));
    put("t", json!([view.total_label.to_string(), view.total.to_string()]));
    let line = |(text, amount, more): &Row| match (details && !more.is_empty(), more.join(", ")) {
        (true, more) => json!([text, amount, more]),
        (false, _) => json!([text, amount]),
    };
    put("i", json!(rows.iter().take(shown).map(line).collect::<Vec<_>>()));
    let left = rows.len().saturating_sub(shown);
    put("m", json!(if left > 0 { facts::counted(b.speaker, "and_more", left) } else { String::new() }));
    let labelled = |list: &Value, name: &str| -> Vec<[String; 2]> {
        list.try_iter().into_iter().flatten().map(|v| [field(&v, name), field(&v, "amount")]).collect()
    };
    put("u", json!(labelled(&view.sums, "label")));
    if !b.gift() && sale.tax_included {
        let tax = |t: facts::TaxTexts| json!([t.0, t.1, t.2, t.3]);
        put("x", json!(facts::tax_texts(b).into_iter().map(tax).collect::<Vec<_>>()));
    }
    // Of a card its name alone.
    let paid = labelled(&view.tenders, "label").into_iter().map(|[label, amount]| [without_digits(&label), amount]);
    put("p", json!(paid.collect::<Vec<_>>()));
    if let Some(fiscal) = sale.fiscal.as_ref().filter(|_| !b.gift()) {
        let lines = fiscal.lines.iter().chain([&fiscal.qr]).filter(|l| !l.is_empty());
        put("f", json!(lines.map(|l| one_line(l, 1_000)).collect::<Vec<_>>()));
    }
    put("r", json!(if policy { field(&view.returns, "policy") } else { String::new() }));
    serde_json::Value::Object(out)
}

/// Name, address, telephone and tax number of the shop.
fn store(b: &Builder<'_>, store: &Value) -> Vec<String> {
    let address = store.get_attr("address").ok();
    let address = address.iter().filter_map(|a| a.try_iter().ok()).flatten().map(|l| l.to_string());
    let mut all = vec![field(store, "name"), address.collect::<Vec<_>>().join(", ")];
    all.extend(["legal_name", "phone"].map(|name| field(store, name)));
    let ids = ["vat_id", "tax_id"].map(|name| (name, field(store, name))).into_iter().filter(|(_, id)| !id.is_empty());
    all.extend(ids.map(|(name, id)| format!("{} {id}", b.speaker.say(&format!("fact.{name}"), &[]))));
    all.retain(|text| !text.is_empty());
    all
}

fn without_digits(label: &str) -> String {
    label.split(" ••••").next().unwrap_or_default().to_owned()
}

/// Raw deflate, then base64 for links.
fn pack(json: &str) -> Option<String> {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
    packer.write_all(json.as_bytes()).ok()?;
    Some(URL_SAFE_NO_PAD.encode(packer.finish().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sale::Sale;
    use crate::domain::shop::{Brand, Shop};
    use std::io::Read as _;

    fn unpack(fragment: &str) -> serde_json::Value {
        let packed = URL_SAFE_NO_PAD.decode(fragment).unwrap();
        let mut json = String::new();
        flate2::read::DeflateDecoder::new(packed.as_slice()).take(1 << 20).read_to_string(&mut json).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    fn composer() -> Composer {
        Composer::new(&std::collections::BTreeMap::new()).unwrap()
    }

    fn shop() -> Shop {
        Shop { name: "Fresh Fields".into(), address: "12 Market Street\nSpringfield".into(), locale: "en-US".into(), ..Shop::default() }
    }

    /// A sale of so many lines, with everything personal that a till may send.
    fn sale(lines: usize) -> Sale {
        let goods = ["Elstar apples", "Rye bread", "Riesling 0.75 l", "Butter", "Oat milk", "Coffee beans", "Soap", "Tomatoes"];
        let items: Vec<_> = (0..lines)
            .map(|i| {
                json!({"sequence_number": i + 1, "description": format!("{} {}", goods[i % 8], i / 8 + 1), "quantity": "1",
                "unit_of_measure_code": "EA", "regular_sales_unit_price": 125 + i * 7 % 400, "extended_amount": 125 + i * 7 % 400})
            })
            .collect();
        let net: usize = (0..lines).map(|i| 125 + i * 7 % 400).sum();
        let value = json!({"schema": "tillpost.sale/1", "transaction_type": "sale", "transaction_id": "x", "receipt_number": "1-1288",
            "receipt_date_time": "2026-10-03T18:07:44-04:00", "business_unit": {"unit_id": "17"}, "workstation_id": "3", "operator_id": "Anna",
            "currency_code": "USD", "tax_included": false, "line_items": items, "customer": {"name": "Lena Quill", "email": "lena@example.org"},
            "trailer_text": ["Dear Lena Quill"], "loyalty": {"id_masked": "**77", "points_earned": "5"},
            "tenders": [{"tender_type": "CreditDebit", "amount": net, "card": {"brand": "VISA", "last4": "4242", "entry": "chip"}}],
            "totals": {"net_amount": net, "tax_amount": 0, "grand_amount": net}});
        Sale::parse(&value).unwrap()
    }

    #[test]
    fn there_and_back_without_anybody_in_it() {
        let (c, shop, brand, sale) = (composer(), shop(), Brand { return_policy: "30 days".into(), ..Brand::default() }, sale(3));
        let fragment = c.fragment(&Document::new(&sale, &shop, &brand), QR_MOST).unwrap();
        assert!(fragment.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        let got = unpack(&fragment);
        assert_eq!(got["s"], json!(["Fresh Fields", "12 Market Street, Springfield"]));
        assert_eq!(got["h"][0], "Receipt 1-1288");
        assert_eq!(got["i"][1], json!(["Rye bread 1", "$1.32"]));
        assert_eq!((&got["t"], &got["p"], &got["r"]), (&json!(["Total", "$3.96"]), &json!([["Visa", "$3.96"]]), &json!("30 days")));
        for personal in ["Lena", "Quill", "lena", "4242", "Anna", "77"] {
            assert!(!got.to_string().contains(personal), "{personal} in {got}");
        }
    }

    #[test]
    fn eighty_lines_fit_into_a_code_and_more_say_so() {
        let (c, shop, brand) = (composer(), shop(), Brand::default());
        for (lines, most) in [(5, 420), (22, 700), (45, 1_000), (80, QR_MOST)] {
            let sale = sale(lines);
            let fragment = c.fragment(&Document::new(&sale, &shop, &brand), most).unwrap();
            assert_eq!(unpack(&fragment)["i"].as_array().unwrap().len(), lines, "{lines} lines take {}", fragment.len());
        }
        let sale = sale(1_500);
        let got = unpack(&c.fragment(&Document::new(&sale, &shop, &brand), QR_MOST).unwrap());
        let shown = got["i"].as_array().unwrap().len();
        assert!(shown >= 40 && got["m"] == format!("and {} more", 1_500 - shown), "{shown}");
        assert_eq!(got["t"][0], "Total");
        assert_eq!(c.fragment(&Document::new(&sale, &shop, &brand), 50), None);
    }

    #[test]
    fn the_page_allows_itself_and_nothing_else() {
        let hash = |open: &str, close: &str| {
            let inner = PAGE.split_once(open).unwrap().1.split_once(close).unwrap().0;
            let digest = ring::digest::digest(&ring::digest::SHA256, inner.as_bytes());
            format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(digest))
        };
        let policy = PAGE.split_once("Content-Security-Policy\" content=\"").unwrap().1.split_once('"').unwrap().0;
        let wanted = format!(
            "default-src 'none'; script-src {}; style-src {}; base-uri 'none'; form-action 'none'",
            hash("<script>", "</script>"),
            hash("<style>", "</style>")
        );
        assert_eq!(policy, wanted);
        for bad in ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "http://", "https://", "src="] {
            assert!(!PAGE.contains(bad), "{bad}");
        }
    }
}
