//! From paper to fields to a sale, over layouts that nobody described.

use super::fields::{self, Reading, Shop};
use super::kind::Kind;
use super::profile::Profile;
use super::sale::{NotSale, Place, sale};
use super::*;
use crate::domain::sale::{Sale, TransactionType};
use serde_json::{Value, json};

const DE: &str = "BÄCKEREI KRUME\nMarkt 3, 20095 Hamburg\nBeleg-Nr. 4711   Kasse 2\n21.11.2026 08:14:33\n\n\
    2 x Brötchen              1,20 A\nKaffee groß               3,40 B\nZwischensumme             4,60\n\
    SUMME EUR                 4,60\nGegeben bar               5,00\nRückgeld                  0,40\nMwSt 7%                   0,30\nVielen Dank!\n";
const EN: &str = "HARBOUR BOOKS\nReceipt No: A-1029  Till 4\n11/21/2026 3:07 PM\nNovel                    12.00\nMap                       8.00\n\
    Subtotal                 20.00\nSales tax                 1.60\nTOTAL                   $21.60\nVISA ************4242   21.60\nAuth 093311\nThank you\n";
const ES: &str = "BAR LA PLAZA\nFactura simplificada 00-3321\nFecha 21/11/2026 14:05 Caja 1\n2 Café con leche          3,00\nTostada                   2,20\n\
    TOTAL                     5,20\nEfectivo                 10,00\nCambio                    4,80\nGracias por su visita\n";
const FR: &str = "LIBRAIRIE DU PORT\nTicket N° 8812  Caisse 1\n21/11/2026 à 10:31\nRoman                    18,50\nCarnet                    4,50\n\
    TOTAL TTC                23,00 €\nCB VISA                  23,00\nDont TVA 5,5%             1,20\nMerci de votre visite\n";

fn job(text: &str) -> Job {
    let mut jobs = decode(&[text.as_bytes(), b"\x1dV\x00"].concat(), Settings::default());
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

fn shop(country: &str, currency: &str, zone: &str) -> Shop {
    Shop { country: country.into(), currency: currency.into(), timezone: zone.into() }
}

fn read(text: &str, shop: &Shop) -> (Job, Reading) {
    let job = job(text);
    let reading = fields::read(&job, &[], &Profile::built_in(), shop);
    (job, reading)
}

fn place(country: &str) -> Place {
    Place { unit_id: "unit-1".into(), unit_name: "Shop".into(), till: "t1".into(), country: country.into(), purchase: "Purchase".into() }
}

#[test]
fn layouts_of_four_languages_become_sales() {
    for (text, shop, total, number, at, lines, tender) in [
        (DE, shop("DE", "EUR", "Europe/Berlin"), 460, "4711", "2026-11-21T08:14:33+01:00", 2, "Cash"),
        (EN, shop("US", "USD", "America/New_York"), 2160, "A-1029", "2026-11-21T15:07:00-05:00", 2, "CreditDebit"),
        (ES, shop("ES", "EUR", "Europe/Madrid"), 520, "00-3321", "2026-11-21T14:05:00+01:00", 2, "Cash"),
        (FR, shop("FR", "EUR", "Europe/Paris"), 2300, "8812", "2026-11-21T10:31:00+01:00", 2, "CreditDebit"),
    ] {
        let (job, reading) = read(text, &shop);
        assert_eq!(reading.kind, Kind::Sale, "{text}");
        assert!(reading.checks.len() >= 2 && reading.checks.iter().all(|check| check.ok), "{text}: {:?}", reading.checks);
        let value = sale(&job, &reading, &place(&shop.country)).unwrap_or_else(|why| panic!("{text}: {why}: {:?}", reading.fields));
        let sale = Sale::parse(&value).unwrap();
        assert_eq!((sale.totals.grand, sale.receipt_number.as_str(), sale.at_text.as_str()), (total, number, at), "{text}");
        assert_eq!((sale.lines.len(), sale.tenders[0].tender_type.as_str(), sale.tenders[0].amount), (lines, tender, total), "{text}");
        assert!(sale.transaction_id.starts_with("2026-11-21-") && sale.transaction_id.ends_with(number));
    }
}

/// A counter's list of a supermarket, with the weight and the count on lines of their own.
const COUNTED: &str = "FRISCHMARKT\n                         EUR\nBANANEN                 1,49 B\n  0,935 kg x  1,59 EUR/kg\n\
    PFAND 0,25 EURO         0,25 A *\nJOGHURT                 2,37 B\n   3 Stk x    0,79\n--------------\nSUMME         EUR       4,11\n\
    Geg. EC-Cash  EUR       4,11\nDatum: 21.11.2026\nUhrzeit: 18:03:11 Uhr\nBeleg-Nr. 8861\n";

#[test]
fn counts_and_weights_join_their_item() {
    let (_, reading) = read(COUNTED, &Shop::default());
    assert_eq!(
        reading.fields["items"],
        json!([{"name": "BANANEN", "amount": "1.49", "qty": "0.935", "unit_name": "kg", "unit": "1.59"},
            {"name": "PFAND 0,25 EURO", "amount": "0.25"}, {"name": "JOGHURT", "amount": "2.37", "qty": "3", "unit": "0.79"}])
    );
    assert!(reading.checks.len() == 2 && reading.checks.iter().all(|check| check.ok), "{:?}", reading.checks);
}

#[test]
fn a_count_that_does_not_fit_the_item_before_is_left() {
    let text = FR.replace("Roman                    18,50", "2 X 9,25\nRoman                    18,50\n3 X 1,50");
    let items = read(&text, &Shop::default()).1.fields["items"].clone();
    assert_eq!(items[0], json!({"name": "Roman", "amount": "18.50"}));
}

#[test]
fn kinds_are_told_from_each_other() {
    for (text, kind) in [
        ("\x1b!\x10KÜCHE\nTisch 7\x1b!\x00\n2 Suppe\n1 Brot\n", Kind::Kitchen),
        ("X-REPORT\nSales 120.00\n", Kind::XReport),
        ("TAGESABSCHLUSS\nUmsatz 1.200,00\n", Kind::ZReport),
        ("*** DUPLICATA ***\nTOTAL 5,00\n", Kind::Copy),
        ("WIN A CAR\nScan and play\n", Kind::Unknown),
    ] {
        assert_eq!(read(text, &Shop::default()).1.kind, kind, "{text}");
    }
}

#[test]
fn the_language_is_found_by_its_words() {
    let it = "ALIMENTARI ROSSI\nDOCUMENTO COMMERCIALE N. 0017-0042\n21/11/2026 10:31\nTOTALE COMPLESSIVO   12,40\nContante   20,00\nResto   7,60\nGrazie\n";
    let nl = "BAKKER JANSEN\nBonnr: 1182\n21-11-2026 09:15\nTotaal   3,20\nPin   3,20\nBTW 9%   0,26\nBedankt en tot ziens\n";
    let pt =
        "CAFE LISBOA\nFatura simplificada FS 12/4410\n21/11/2026 16:20\nTOTAL A PAGAR   4,10\nNumerário   5,00\nTroco   0,90\nObrigado\n";
    for (text, total) in [(it, "12.40"), (nl, "3.20"), (pt, "4.10")] {
        let fields = read(text, &Shop::default()).1.fields;
        assert_eq!(
            (&fields["total"], fields.contains_key("datetime"), fields.contains_key("receipt_no")),
            (&json!(total), true, true),
            "{text}"
        );
    }
    for (text, name) in [(DE, "de"), (EN, "en"), (ES, "es"), (FR, "fr"), (it, "it"), (nl, "nl"), (pt, "pt")] {
        assert_eq!(read(text, &Shop::default()).1.profile.as_deref(), Some(name));
    }
    assert_eq!(read("1234\n", &Shop::default()).1.profile, None);
}

#[test]
fn days_are_read_as_the_country_writes_them() {
    let text = EN.replace("11/21/2026", "03/04/2026");
    assert_eq!(read(&text, &shop("US", "USD", "")).1.fields["datetime"], "2026-03-04T15:07");
    assert_eq!(read(&text, &shop("GB", "GBP", "")).1.fields["datetime"], "2026-04-03T15:07");
}

#[test]
fn day_and_time_apart_are_put_together() {
    let text = DE.replace("21.11.2026 08:14:33", "Datum: 21.11.2026\nUhrzeit: 08:14 Uhr");
    let (_, reading) = read(&text, &Shop::default());
    assert_eq!(reading.fields["datetime"], "2026-11-21T08:14");
    assert!(!reading.fields.contains_key("date") && !reading.fields.contains_key("time"));
}

#[test]
fn what_is_not_proven_stays_a_print() {
    let shop = shop("DE", "EUR", "Europe/Berlin");
    let why = |text: &str, shop: &Shop| {
        let (job, reading) = read(text, shop);
        sale(&job, &reading, &place("DE")).map(|_| ()).unwrap_err()
    };
    assert_eq!(why(&DE.replace("0,40", "0,50"), &shop), NotSale::Check("payment"));
    assert_eq!(why(&DE.replace("Zwischensumme             4,60", "Zwischensumme             4,10"), &shop), NotSale::Check("subtotal"));
    assert_eq!(why(&DE.replace("Beleg-Nr. 4711", "Guten Tag"), &shop), NotSale::Missing("receipt_no".into()));
    assert_eq!(why(&DE.replace("21.11.2026 08:14:33", ""), &shop), NotSale::Missing("datetime".into()));
    assert_eq!(why(&format!("*** KOPIE ***\n{DE}"), &shop), NotSale::Kind(Kind::Copy));
    assert_eq!(why(&format!("HÄNDLERBELEG\n{DE}"), &shop), NotSale::Kind(Kind::MerchantCopy));
    assert_eq!(why("Z-BON 17\nUmsatz   1.200,00\n", &shop), NotSale::Kind(Kind::ZReport));
    assert_eq!(why(DE, &Shop { timezone: String::new(), ..shop.clone() }), NotSale::Missing("timezone".into()));
    let (mut job, reading) = read(DE, &shop);
    job.lost_bytes = true;
    assert_eq!(sale(&job, &reading, &place("DE")), Err(NotSale::Incomplete));
}

#[test]
fn lines_that_do_not_add_up_are_left_out_of_a_guess() {
    let shop = shop("DE", "EUR", "Europe/Berlin");
    let (job, reading) = read(&DE.replace("3,40 B", "3,00 B"), &shop);
    assert!(!reading.fields.contains_key("items"));
    let value = sale(&job, &reading, &place("DE")).unwrap();
    assert_eq!(value["line_items"], json!([{"description": "Purchase", "quantity": "1", "extended_amount": "4.60"}]));
}

#[test]
fn a_failed_sum_lowers_confidence_and_changes_nothing() {
    let (_, good) = read(DE, &Shop::default());
    let (_, bad) = read(&DE.replace("0,40", "0,50"), &Shop::default());
    let total = |reading: &Reading| reading.origins.iter().find(|(name, _)| name == "total").unwrap().1.clone();
    assert!(total(&bad).confidence < total(&good).confidence);
    assert_eq!((total(&good).line, bad.fields["total"].as_str()), (9, Some("4.60")));
}

#[test]
fn a_tip_below_the_total_is_paid_too() {
    let shop = shop("US", "USD", "America/New_York");
    let tip = EN.replace("VISA ************4242   21.60", "Tip                       4.00\nVISA ************4242   25.60");
    let (job, reading) = read(&tip, &shop);
    let below = Sale::parse(&sale(&job, &reading, &place("US")).unwrap()).unwrap();
    assert_eq!((below.totals.grand, below.totals.tip, below.totals.net, below.tenders[0].amount), (2560, Some(400), Some(2000), 2560));
    let within = EN.replace("TOTAL                   $21.60", "Tip  4.00\nTOTAL  $25.60").replace("4242   21.60", "4242   25.60");
    let (job, reading) = read(&within, &shop);
    let within = Sale::parse(&sale(&job, &reading, &place("US")).unwrap()).unwrap();
    assert_eq!((within.totals.grand, within.totals.tip, within.totals.net), (2560, Some(400), Some(2000)));
}

#[test]
fn a_refund_is_a_return() {
    let shop = shop("ES", "EUR", "Europe/Madrid");
    let text = "BAR LA PLAZA\nDEVOLUCIÓN\nTicket 3322\n21/11/2026 14:09\nTOTAL                    -5,20\n";
    let (job, reading) = read(text, &shop);
    assert_eq!(reading.kind, Kind::Refund);
    let sale = Sale::parse(&sale(&job, &reading, &place("ES")).unwrap()).unwrap();
    assert_eq!((sale.transaction_type, sale.totals.grand), (TransactionType::Return, 520));
}

const RULES: &str = r#"
name = "corner"
match = ['^CORNER']
locale = "en-GB"
currency = "GBP"
timezone = "Europe/London"
[[field]]
name = "receipt_no"
re = '^No (?P<v>\d+)'
required = true
[[field]]
name = "datetime"
type = "datetime"
re = '(?P<d>\d+ \w+ \d{4}) (?P<t>\d+:\d+)'
format = ["%d %b %Y %H:%M"]
[[field]]
name = "total"
type = "money"
style = "height>=2"
re = '(?P<v>[\d.]+)$'
[[field]]
name = "note"
after = '^---'
before = '^==='
re = '^(?P<v>.+)$'
[[field]]
name = "last"
lines = "-1.."
re = '^(?P<v>.+)$'
[[field]]
name = "phone"
type = "phone"
re = '^Tel (?P<v>.+)$'
[[field]]
name = "qr"
from_symbol = "qr"
re = 'id=(?P<v>\w+)'
[[field]]
name = "source"
const = "tap"
[[field]]
name = "payment"
many = true
re = '^(?P<scheme>VISA|AMEX) (?P<amount>[\d.]+)'
set = { method = "card" }
[[field]]
name = "auth"
into = "payment"
re = '^Auth (?P<v>\d+)'
"#;

#[test]
fn every_part_of_a_rule_works() {
    let profile = Profile::parse(RULES).unwrap();
    let text = "CORNER\nNo 17\n21 Nov 2026 20:30\nThing 3.00\n\x1b!\x10TOTAL 3.00\x1b!\x00\nVISA 1.00\nAuth 11\nAMEX 2.00\nAuth 22\n---\nmiddle\n===\n\
        Tel 07700 900123\n\x1d(k\x0b\x001P0id=abc;x\x1d(k\x03\x001Q0bye\n";
    let job = job(text);
    let own = [profile];
    let reading = fields::read(&job, &own, &[], &Shop::default());
    assert_eq!(
        Value::Object(reading.fields.clone()),
        json!({"receipt_no": "17", "datetime": "2026-11-21T20:30", "total": "3.00", "note": "middle", "last": "bye", "currency": "GBP",
            "phone": "+447700900123", "qr": "abc", "source": "tap",
            "payment": [{"method": "card", "scheme": "visa", "amount": "1.00", "auth": "11"},
                {"method": "card", "scheme": "amex", "amount": "2.00", "auth": "22"}]})
    );
    let canonical = sale(&job, &reading, &place("GB")).unwrap();
    assert_eq!(canonical["customer"], json!({"phone": "+447700900123"}));
    assert_eq!(canonical["fiscal"], json!({"scheme": "print", "qr": "id=abc;x", "fields": {}}));
    let without = fields::read(&self::job("CORNER\nTOTAL 3.00\n"), &own, &[], &Shop::default());
    assert_eq!(without.missing, ["receipt_no"]);
}
