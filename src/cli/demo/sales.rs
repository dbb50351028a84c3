//! What the simulated till sells: each kind of sale that a shop knows, in turn.

use crate::domain::time::UnixMs;
use serde_json::{Value, json};

/// What the shelf holds: name, minor units, sold by weight.
const GOODS: &[(&str, i64, bool)] = &[
    ("Rye bread", 450, false),
    ("Oat milk 1 L", 375, false),
    ("Apples, Empire", 249, true),
    ("Goat cheese", 690, false),
    ("Eggs, dozen", 525, false),
    ("Tomatoes on the vine", 399, true),
    ("Coffee, house blend", 1295, false),
    ("Dark chocolate", 425, false),
    ("Basil, potted", 349, false),
    ("Butter, salted", 480, false),
];

/// Who buys: a name, and an address for e-mail or text. Each fits the reserved names for examples.
const PEOPLE: &[(&str, &str)] = &[
    ("Lee", "lee@example.org"),
    ("Ana", "ana.silva@example.com"),
    ("Sam", "+16075550123"),
    ("Noor", "noor@example.net"),
    ("Kim", "kim@example.org"),
];

/// The n-th sale of the day.
pub fn sale(n: u64) -> Value {
    let now = super::super::now();
    let lines = lines(n);
    let net: i64 = lines.iter().filter_map(|l| l.get("extended_amount").and_then(Value::as_i64)).sum();
    let tax = net * 8 / 100;
    let returned = n % 11 == 7;
    let mut sale = json!({
        "schema": "tillpost.sale/1",
        "transaction_type": if returned { "return" } else { "sale" },
        "transaction_id": format!("demo-{}-{n}", now.0),
        "receipt_number": format!("1-{}", 1200 + n),
        "receipt_date_time": local(now),
        "business_unit": {"unit_id": "demo", "name": "Fresh Fields"},
        "workstation_id": "1",
        "currency_code": "USD",
        "tax_included": false,
        "line_items": lines,
        "taxes": [{"tax_type": "Sales", "percent": "8", "taxable_amount": net, "amount": tax}],
        "tenders": [tender(n, net + tax)],
        "totals": {"net_amount": net, "tax_amount": tax, "grand_amount": net + tax},
        "loyalty": {"points_awarded": net / 100, "points_balance": 120 + net / 100},
    });
    if let (Some(customer), Some(map)) = (customer(n), sale.as_object_mut()) {
        map.insert("customer".into(), customer);
    }
    sale
}

fn lines(n: u64) -> Vec<Value> {
    let pick =
        |k: u64| GOODS.get(usize::try_from((n * 7 + k * 3) % GOODS.len() as u64).unwrap_or(0)).copied().unwrap_or(("Tea", 300, false));
    (0..1 + n % 4)
        .map(|k| {
            let (name, price, weighed) = pick(k);
            let (quantity, unit, amount) = if weighed { ("0.750".to_owned(), "LBR", price * 3 / 4) } else { ((1 + k % 2).to_string(), "EA", price * i64::try_from(1 + k % 2).unwrap_or(1)) };
            // A voucher now and then.
            let off = if n % 7 == 3 && k == 0 { amount / 10 } else { 0 };
            let mut line = json!({"sequence_number": k + 1, "description": name, "quantity": quantity, "unit_of_measure_code": unit, "regular_sales_unit_price": price, "extended_amount": amount - off});
            if let (true, Some(map)) = (off > 0, line.as_object_mut()) {
                map.insert("price_modifiers".into(), json!([{"method_code": "Coupon", "description": "Voucher 10 %", "amount": -off}]));
            }
            line
        })
        .collect()
}

fn tender(n: u64, total: i64) -> Value {
    if n % 3 == 1 {
        let given = (total + 999) / 1000 * 1000;
        return json!({"tender_type": "Cash", "amount": total, "amount_tendered": given, "change": given - total});
    }
    json!({"tender_type": "CreditDebit", "amount": total, "card": {"brand": "VISA", "last4": "4242", "entry": "contactless"}})
}

fn customer(n: u64) -> Option<Value> {
    match n % 9 {
        4 => None,
        6 => Some(json!({"email": "bounce@sim.tillpost.test"})),
        8 => Some(json!({"email": "not an address"})),
        k => PEOPLE.get(usize::try_from(k).unwrap_or(0) % PEOPLE.len()).map(|(name, address)| match address.contains('@') {
            true => json!({"name": name, "email": address}),
            false => json!({"name": name, "phone": address, "preferred_channel": "sms"}),
        }),
    }
}

/// In the demo shop's zone, as a till writes it.
fn local(now: UnixMs) -> String {
    let zoned = now.instant().in_tz("America/New_York").map(|z| z.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
    zoned.unwrap_or_else(|_| now.rfc3339())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sale::Sale;

    #[test]
    fn each_is_a_good_sale() {
        for n in 0..200 {
            let sale = sale(n);
            assert_eq!(Sale::parse(&sale).map(|_| ()), Ok(()), "{sale:#}");
        }
    }
}
