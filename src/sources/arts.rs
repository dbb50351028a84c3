//! ARTS POSLog and Digital Receipt as canonical sales.
//!
//! Only elements of the ARTS namespace (or of none) count: what vendors add is passed over. There are no
//! document types and no entities besides the five of XML and numbers. Depth and number of elements are
//! bounded. Prices hold the tax where the lines alone make the total; a time without an offset is the shop's.

use crate::domain::fault::Fault;
use crate::domain::money::Currency;
use crate::sources::canonical::{self, discount};
use crate::sources::value::{clean, decimal, decimal_major};
use crate::sources::{Setup, text};
use quick_xml::NsReader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use serde_json::{Value, json};

const NAMESPACE: &str = "http://www.nrf-arts.org/IXRetail/namespace";
const DEPTH: usize = 64;
const ELEMENTS: usize = 400_000;

/// An element with what is in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.name == name)
    }

    fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// Text at a path of names, made harmless.
    fn at(&self, path: &str) -> String {
        let found = path.split('/').try_fold(self, |e, name| e.child(name));
        found.map(|e| clean(&e.text, 1000)).unwrap_or_default()
    }

    fn attribute(&self, name: &str) -> String {
        self.attributes.iter().find(|(n, _)| n == name).map(|(_, v)| clean(v, 200)).unwrap_or_default()
    }

    fn is(&self, attribute: &str) -> bool {
        matches!(self.attribute(attribute).as_str(), "true" | "1")
    }
}

fn fault(code: &'static str, say: &str) -> Vec<Fault> {
    vec![Fault::new("", code, say)]
}

/// Whether the bytes look like XML.
pub fn is_xml(bytes: &[u8]) -> bool {
    bytes.iter().find(|b| !b" \t\r\n\xef\xbb\xbf\xff\xfe\0".contains(b)) == Some(&b'<')
}

/// What a document holds, in its order: canonical sales, not yet checked, and `None` for each transaction
/// that is no receipt (voided or suspended at the till, or no sale at all).
pub fn transactions(bytes: &[u8], setup: &Setup<'_>) -> Result<Vec<Option<Value>>, Vec<Fault>> {
    let root = read(bytes)?;
    if !matches!(root.name.as_str(), "POSLog" | "DigitalReceipt" | "Transaction") {
        return Err(fault("not_arts", "the document is neither a POSLog nor a DigitalReceipt of ARTS"));
    }
    let all: Vec<&Element> = if root.name == "Transaction" { vec![&root] } else { root.all("Transaction").collect() };
    if all.is_empty() {
        return Err(fault("not_arts", "the document holds no Transaction"));
    }
    Ok(all.into_iter().map(|t| sale(t, setup)).collect())
}

fn read(bytes: &[u8]) -> Result<Element, Vec<Fault>> {
    let not = |why: &str| fault("not_xml", &format!("the body is not XML that can be read: {why}"));
    let head = bytes.get(..bytes.len().min(200)).unwrap_or_default();
    let label =
        String::from_utf8_lossy(head).split("encoding=").nth(1).map(|rest| rest.split(['"', '\'']).nth(1).unwrap_or_default().to_owned());
    let document = text::decode(bytes, &label.unwrap_or_default());
    let mut reader = NsReader::from_str(&document);
    let (mut open, mut count): (Vec<(bool, Element)>, usize) = (Vec::new(), 0);
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|_| not("a tag is not closed, or not well formed"))?;
        let ours = match &namespace {
            ResolveResult::Bound(ns) => ns.as_ref().starts_with(NAMESPACE),
            ResolveResult::Unbound => true,
            ResolveResult::Unknown(_) => false,
        };
        match event {
            Event::Start(start) => {
                count += 1;
                if open.len() >= DEPTH || count > ELEMENTS {
                    return Err(not("it is too deep or too long"));
                }
                open.push((ours, element(&start)));
            }
            Event::Empty(start) => {
                count += 1;
                let made = element(&start);
                match open.last_mut() {
                    Some((_, parent)) if ours => parent.children.push(made),
                    Some(_) => {}
                    None => return Ok(made),
                }
            }
            Event::End(_) => {
                let Some((ours, done)) = open.pop() else { return Err(not("an element ends that did not begin")) };
                match open.last_mut() {
                    Some((_, parent)) if ours => parent.children.push(done),
                    Some(_) => {}
                    None => return Ok(done),
                }
            }
            Event::Text(part) => {
                if let Some((_, element)) = open.last_mut() {
                    element.text.push_str(&part);
                }
            }
            Event::CData(part) => {
                if let Some((_, element)) = open.last_mut() {
                    element.text.push_str(&part);
                }
            }
            Event::GeneralRef(reference) => {
                let c = character(&reference).ok_or_else(|| not("it has an entity of its own"))?;
                if let Some((_, element)) = open.last_mut() {
                    element.text.push(c);
                }
            }
            Event::DocType(_) => return Err(not("document types are not taken")),
            Event::Eof => return Err(not("it ends too early")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

/// The five names of XML, and numbers.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Some(c);
    }
    match reference.as_ref() {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

fn element(start: &BytesStart<'_>) -> Element {
    let local = |name: &str| name.to_owned();
    let attributes = start.attributes().filter_map(Result::ok).take(50);
    let attributes = attributes.map(|a| (local(a.key.local_name().as_ref()), unescaped(&a.value))).collect();
    Element { name: local(start.local_name().as_ref()), attributes, ..Element::default() }
}

/// An attribute's value; one with anything but the five names and numbers in it stays as it is written.
fn unescaped(raw: &str) -> String {
    quick_xml::escape::unescape(raw).map_or_else(|_| raw.to_owned(), |text| text.into_owned())
}

/// A transaction as a canonical sale; `None` where it is no receipt.
fn sale(transaction: &Element, setup: &Setup<'_>) -> Option<Value> {
    let retail = transaction.child("RetailTransaction")?;
    let status = retail.attribute("TransactionStatus");
    if transaction.is("CancelFlag") || matches!(status.as_str(), "Voided" | "Suspended" | "Failed" | "InProcess") {
        return None;
    }
    let both = |name: &str| [retail.at(name), transaction.at(name)].into_iter().find(|t| !t.is_empty()).unwrap_or_default();
    let code = both("CurrencyCode");
    let currency = canonical::currency(&code, setup);
    let mut items = Vec::new();
    let (mut tenders, mut taxes, mut off, mut gross) = (Vec::new(), Vec::new(), 0i64, 0i64);
    for entry in retail.all("LineItem").take(20_000) {
        let (sold, back) = (entry.child("Sale"), entry.child("Return"));
        if let Some(goods) = sold.or(back) {
            let item = item(entry, goods, back.is_some(), currency);
            if item.line_type != "void" {
                off = off.saturating_add(item.off);
                gross = gross.saturating_add(item.amount.saturating_add(item.off));
            }
            items.push(item);
        } else if let Some(tax) = entry.child("Tax").filter(|_| !entry.is("VoidFlag")) {
            taxes.push(tax_of(tax, currency));
        } else if let Some(tender) = entry.child("Tender").filter(|_| !entry.is("VoidFlag")) {
            tenders.push(tender_of(tender, currency));
        }
    }
    let totals = |kind: &str| {
        let total = retail.all("Total").find(|t| t.attribute("TotalType") == kind)?;
        decimal_major(&total.text.trim().replace(',', ""), currency)
    };
    let net = items.iter().fold(0i64, |sum, i| match i.line_type {
        "sale" => sum.saturating_add(i.amount),
        "return" => sum.saturating_sub(i.amount),
        _ => sum,
    });
    let tax = totals("TransactionTaxAmount");
    let grand = totals("TransactionGrandAmount").or_else(|| totals("TransactionTotalAmount")).unwrap_or(net);
    let only_back = !items.is_empty() && items.iter().all(|i| i.line_type != "sale");
    let mixed = !only_back && items.iter().any(|i| i.line_type == "return");
    let link = retail.child("TransactionLink");
    let kind = match (status.as_str(), only_back, mixed) {
        ("PostVoided", ..) => "void",
        (_, true, _) => "return",
        (_, _, true) => "exchange",
        _ => "sale",
    };
    // In a return everything goes one way: its lines are plain, and its sums without a sign.
    let (net, grand) = if only_back { (net.saturating_abs(), grand.saturating_abs()) } else { (net, grand) };
    let included = net == grand || tax.is_none_or(|t| t == 0);
    let number = [both("ReceiptNumber"), both("SequenceNumber")].into_iter().find(|n| !n.is_empty()).unwrap_or_default();
    let at = ["ReceiptDateTime", "EndDateTime", "BeginDateTime", "POSLogDateTime"]
        .iter()
        .map(|n| both(n))
        .find(|t| !t.is_empty())
        .unwrap_or_default();
    let at = zoned(&at, setup);
    let unit = transaction.child("BusinessUnit").and_then(|u| u.child("UnitID"));
    let unit_id = unit.map(|u| clean(&u.text, 200)).unwrap_or_default();
    let day = transaction.at("BusinessDayDate");
    let own = both("TransactionID");
    let own = if own.is_empty() {
        let date = if day.is_empty() { at.chars().take(10).collect() } else { day.clone() };
        format!("{unit_id}-{}-{}-{number}", transaction.at("WorkstationID"), date.replace('-', ""))
    } else {
        own
    };
    let customer = retail.child("Customer").or(transaction.child("Customer"));
    let who = |names: &[&str]| names.iter().map(|n| customer.map(|c| c.at(n)).unwrap_or_default()).find(|t| !t.is_empty());
    let positive = |amount: Option<i64>| amount.map(i64::saturating_abs);
    let related = link.map(|l| {
        let number = ["ReceiptNumber", "SequenceNumber"].iter().map(|n| l.at(n)).find(|t| !t.is_empty());
        json!({"transaction_id": l.at("TransactionID"), "receipt_number": number})
    });
    Some(canonical::prune(json!({
        "schema": crate::domain::sale::SCHEMA, "transaction_type": kind, "transaction_id": clean(&own, 200), "receipt_number": clean(&number, 100),
        "receipt_date_time": at, "business_day_date": day,
        "business_unit": {"unit_id": unit_id, "name": unit.map(|u| u.attribute("Name"))},
        "workstation_id": transaction.at("WorkstationID"), "sequence_number": transaction.at("SequenceNumber").parse::<i64>().ok(),
        "operator_id": both("OperatorID"), "currency_code": currency.code(), "tax_included": included,
        "line_items": items.into_iter().map(|i| i.json(only_back)).collect::<Vec<_>>(), "taxes": taxes, "tenders": tenders,
        "totals": {"gross_amount": positive(totals("TransactionGrossAmount")), "discount_amount": (off > 0).then_some(off), "net_amount": net,
            "tax_amount": positive(tax), "tip_amount": totals("TransactionTipAmount"), "grand_amount": grand},
        "customer": {"id": who(&["CustomerID"]), "name": who(&["Name", "CustomerName"]), "email": who(&["eMail", "Email", "EMail"]),
            "phone": who(&["Telephone", "TelephoneNumber", "Phone"]), "language": who(&["Language"])},
        "related": related,
        "trailer_text": retail.all("TrailerText").take(100).map(|t| clean(&t.text, 1000)).collect::<Vec<_>>(),
    })))
}

/// RFC 3339 as it is; without an offset the time of the shop's zone.
fn zoned(text: &str, setup: &Setup<'_>) -> String {
    if crate::domain::time::UnixMs::parse_rfc3339(text).is_some() {
        return text.to_owned();
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok();
    let zoned = civil.and_then(|c| c.in_tz(&setup.shop.timezone).ok());
    zoned.map_or_else(|| text.to_owned(), |z| z.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

fn amount(element: Option<&Element>, currency: Currency) -> Option<i64> {
    decimal_major(element?.text.trim(), currency)
}

struct Item {
    line_type: &'static str,
    amount: i64,
    off: i64,
    json: Value,
}

impl Item {
    fn json(self, plain: bool) -> Value {
        let mut json = self.json;
        if let Some(map) = json.as_object_mut().filter(|_| self.line_type == "void" || (self.line_type == "return" && !plain)) {
            map.insert("line_type".into(), self.line_type.into());
        }
        json
    }
}

fn item(entry: &Element, goods: &Element, is_return: bool, currency: Currency) -> Item {
    let void = entry.is("VoidFlag") || goods.is("VoidFlag");
    let extended = amount(goods.child("ExtendedAmount"), currency).unwrap_or(0);
    // A negative sale is a return.
    let line_type = match (void, is_return || extended < 0) {
        (true, _) => "void",
        (false, true) => "return",
        (false, false) => "sale",
    };
    let mut modifiers = Vec::new();
    let mut off = 0i64;
    for modifier in goods.all("RetailPriceModifier").take(50) {
        let value = modifier.child("Amount");
        let size = amount(value, currency).unwrap_or(0).saturating_abs();
        let takes = value.is_none_or(|v| v.attribute("Action") != "Add");
        let method = Some(modifier.attribute("MethodCode")).filter(|m| !m.is_empty()).unwrap_or_else(|| "GeneralDiscount".to_owned());
        let name = [modifier.at("Description"), modifier.at("ReasonCode")].into_iter().find(|t| !t.is_empty());
        if takes {
            off = off.saturating_add(size);
            modifiers.extend(discount(&method, &name.unwrap_or_default(), size));
        } else {
            modifiers.push(json!({"method_code": method, "description": name, "amount": size}));
        }
    }
    if modifiers.is_empty() {
        off = amount(goods.child("ExtendedDiscountAmount"), currency).unwrap_or(0).saturating_abs();
        modifiers.extend(discount("GeneralDiscount", "", off));
    }
    let number = goods.child("ItemID").or(goods.child("POSIdentity"));
    let gtin = number.is_some_and(|n| matches!(n.attribute("Type").as_str(), "GTIN" | "EAN" | "UPC" | "GTIN13"));
    let code = number.map(|n| clean(&n.text, 100)).unwrap_or_default();
    let gtin = gtin && (8..=14).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_digit());
    let quantity = goods.child("Quantity");
    let unit = quantity.map(|q| q.attribute("UnitOfMeasureCode")).unwrap_or_default();
    let count = quantity.and_then(|q| decimal(q.text.trim())).unwrap_or_else(|| "1".to_owned());
    let name = Some(goods.at("Description"))
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| if code.is_empty() { "Item".into() } else { code.clone() });
    let taxes = goods.all("Tax").filter(|t| t.child("Amount").is_some()).take(20).map(|t| tax_of(t, currency));
    let json = json!({
        "sequence_number": entry.at("SequenceNumber").parse::<i64>().ok(), "description": name,
        "gtin": gtin.then(|| code.clone()), "item_id": (!gtin).then_some(code), "quantity": count, "unit_of_measure_code": unit,
        "regular_sales_unit_price": amount(goods.child("RegularSalesUnitPrice"), currency).filter(|p| *p >= 0),
        "extended_amount": extended.saturating_abs(), "price_modifiers": modifiers, "taxes": taxes.collect::<Vec<_>>(),
        "department": goods.at("MerchandiseHierarchy"),
    });
    Item { line_type, amount: extended.saturating_abs(), off, json }
}

fn tax_of(tax: &Element, currency: Currency) -> Value {
    const TYPES: &[&str] = &["Sales", "VAT", "GST", "PST", "HST", "Excise", "UseTax"];
    let kind = tax.attribute("TaxType");
    let kind = TYPES.iter().find(|t| t.eq_ignore_ascii_case(&kind)).copied().unwrap_or("Sales");
    let positive = |name: &str| amount(tax.child(name), currency).map(i64::saturating_abs);
    json!({"tax_type": kind, "percent": decimal(&tax.at("Percent")), "taxable_amount": positive("TaxableAmount"), "amount": positive("Amount").unwrap_or(0)})
}

fn tender_of(tender: &Element, currency: Currency) -> Value {
    let kind = Some(tender.attribute("TenderType")).filter(|k| !k.is_empty()).unwrap_or_else(|| "Other".to_owned());
    let given = amount(tender.child("Amount"), currency).unwrap_or(0).saturating_abs();
    let applied = amount(tender.child("AmountAppliedToBill"), currency).map(i64::saturating_abs);
    let paid = applied.unwrap_or(given);
    let change =
        tender.child("TenderChange").and_then(|c| amount(c.child("Amount"), currency)).or_else(|| applied.map(|a| given.saturating_sub(a)));
    let card = tender.child("CreditDebit").filter(|_| !canonical::is_benefit(&kind)).map(|card| {
        let number: Vec<char> = card.at("PrimaryAccountNumber").chars().collect();
        let tail: String = number.iter().rev().take(4).rev().collect();
        json!({"brand": card.at("IssuerIdentificationNumber"), "last4": canonical::last4(&tail), "auth_code": tender.at("Authorization/AuthorizationCode")})
    });
    json!({"tender_type": clean(&kind, 100), "amount": paid, "amount_tendered": applied.map(|_| given),
        "change": change.filter(|c| *c > 0), "card": card})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::checked::{Settings, Source};
    use crate::domain::sale::Sale;
    use crate::domain::shop::Shop;

    fn read_all(bytes: &[u8]) -> Result<Vec<Option<Value>>, Vec<Fault>> {
        let source = Source { kind: "lan".into(), sends_receipt_itself: false, strict: false, settings: Settings::default() };
        let shop = Shop { timezone: "Europe/Paris".into(), currency: "EUR".into(), ..Shop::default() };
        transactions(bytes, &Setup { name: "lan", source: &source, shop: &shop, rules: "" })
    }

    const LOG: &str = include_str!("../../tests/fixtures/lan/sale.arts-poslog.xml");

    #[test]
    fn a_poslog_is_what_the_sample_says() {
        let expected: Value = serde_json::from_str(include_str!("../../tests/fixtures/lan/sale.arts-poslog.expected.json")).unwrap();
        assert_eq!(read_all(LOG.as_bytes()).unwrap(), vec![Some(expected)]);
    }

    #[test]
    fn a_digital_receipt_adds_up() {
        let all = read_all(include_bytes!("../../tests/fixtures/lan/sale.arts-digital-receipt.xml")).unwrap();
        let json = all[0].clone().unwrap();
        let sale = Sale::parse(&json).unwrap();
        assert_eq!((sale.transaction_id.as_str(), sale.totals.grand, sale.tax_included), ("17-3-20261003-0912", 2279, true));
        assert_eq!((sale.tenders[0].amount, sale.tenders[0].amount_tendered, sale.tenders[0].change), (2279, Some(5000), Some(2721)));
        assert_eq!(sale.lines[2].price_modifiers[0].amount, Some(-160));
    }

    #[test]
    fn what_is_voided_at_the_till_is_no_receipt() {
        assert_eq!(read_all(include_bytes!("../../tests/fixtures/lan/void.arts-poslog.xml")).unwrap(), vec![None]);
        let suspended = LOG.replace("TransactionStatus=\"Delivered\"", "TransactionStatus=\"Suspended\"");
        assert_eq!(read_all(suspended.as_bytes()).unwrap(), vec![None]);
    }

    #[test]
    fn returns_are_plain_lines() {
        let back = LOG.replace("<Sale ", "<Return ").replace("</Sale>", "</Return>");
        let sale = Sale::parse(&read_all(back.as_bytes()).unwrap()[0].clone().unwrap()).unwrap();
        assert_eq!((sale.transaction_type.word(), sale.totals.grand), ("return", 1784));
    }

    #[test]
    fn entities_types_and_depth_are_refused() {
        let with = |head: &str, body: &str| {
            format!(
                "<?xml version=\"1.0\"?>{head}<POSLog><Transaction><RetailTransaction>{body}</RetailTransaction></Transaction></POSLog>"
            )
        };
        let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        for bad in [
            with("<!DOCTYPE POSLog [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>", "&x;"),
            with("", "&x;"),
            with("", &deep),
            with("", "<open>"),
            "<POSLog>".to_owned(),
            "<html/>".to_owned(),
            String::new(),
            "{}".to_owned(),
        ] {
            let faults = read_all(bad.as_bytes()).unwrap_err();
            assert!(matches!(faults[0].code, "not_xml" | "not_arts"), "{faults:?}");
            assert!(!faults[0].message.contains("passwd"));
        }
        assert!(is_xml(b"\xef\xbb\xbf <?xml?>") && !is_xml(b"{}"));
    }
}
