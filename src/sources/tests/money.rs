//! Sums of every kind of sale, to the cent: prices with and without tax, service, tips, rounding, discounts
//! of the whole, exchanges; and a difference that is recorded.

use super::*;

fn only_sale(decoded: &Decoded) -> (Sale, Value) {
    let Decoded::Told(told) = decoded else { panic!("{decoded:?}") };
    let data = Value::Object(told.events.iter().find(|m| m.event.kind == "sale.completed").unwrap().event.data.clone());
    (Sale::parse(&data).unwrap(), data)
}

#[track_caller]
fn adds_up(decoded: &Decoded, grand: i64) -> Sale {
    let (sale, data) = only_sale(decoded);
    assert_eq!((sale.totals.grand, data.pointer("/source/differences")), (grand, None), "{data:#}");
    sale
}

fn usd(amount: i64) -> Value {
    json!({"amount": amount, "currency": "USD"})
}

fn square(order: &Value) -> Decoded {
    bench("square").pulled(order.to_string().as_bytes(), &Answers::new())
}

fn square_line(name: &str, total: i64, tax: i64, uid: &str) -> Value {
    json!({"name": name, "quantity": "1", "base_price_money": usd(total - tax), "total_money": usd(total), "total_tax_money": usd(tax),
        "applied_taxes": [{"tax_uid": uid, "applied_money": usd(tax)}]})
}

fn square_order(kind: &str, lines: &Value, total: i64, tax: i64) -> Value {
    json!({"id": "O1", "location_id": "L9K3V7D2M5XQ8", "state": "COMPLETED", "version": 2, "closed_at": "2026-10-03T15:04:19Z", "line_items": lines,
        "taxes": [{"uid": "t", "name": "VAT", "percentage": "20", "type": kind, "applied_money": usd(tax)}], "total_money": usd(total),
        "total_tax_money": usd(tax), "tenders": [{"type": "CASH", "amount_money": usd(total), "payment_id": "P1",
            "cash_details": {"buyer_tendered_money": usd(total + 100), "change_back_money": usd(100)}}]})
}

#[test]
fn square_with_tax_inside_service_rounding_and_exchange() {
    let inside = square_order("INCLUSIVE", &json!([square_line("Tea", 1200, 200, "t")]), 1200, 200);
    let sale = adds_up(&square(&inside), 1200);
    assert!(sale.tax_included && sale.lines[0].amount == 1200);
    assert_eq!((sale.tenders[0].amount_tendered, sale.tenders[0].change), (Some(1300), Some(100)));

    let mut on_top = square_order("ADDITIVE", &json!([square_line("Tea", 1200, 200, "t")]), 1350, 200);
    on_top["service_charges"] = json!([{"name": "Gratuity", "applied_money": usd(148)}]);
    on_top["rounding_adjustment"] = json!({"amount_money": usd(2)});
    let sale = adds_up(&square(&on_top), 1350);
    assert_eq!((sale.lines[0].amount, sale.service_charges[0].amount, sale.totals.rounding), (1000, 148, Some(2)));

    let mut exchange = square_order("ADDITIVE", &json!([square_line("Shirt", 3600, 600, "t")]), 3600, 600);
    exchange["returns"] =
        json!([{"return_line_items": [{"name": "Shirt M", "quantity": "1", "total_money": usd(2400), "total_tax_money": usd(400)}]}]);
    exchange["net_amounts"] = json!({"total_money": usd(1200), "tax_money": usd(200), "tip_money": usd(0)});
    let sale = adds_up(&square(&exchange), 1200);
    assert_eq!((sale.transaction_type.word(), sale.lines[1].line_type.word(), sale.lines[1].amount), ("exchange", "return", 2000));
}

#[test]
fn a_difference_stands_recorded_and_the_vendors_total_is_kept() {
    let odd = square_order("ADDITIVE", &json!([square_line("Tea", 1200, 200, "t")]), 1234, 200);
    let (sale, data) = only_sale(&square(&odd));
    assert_eq!((sale.totals.grand, data["source"]["differences"][0]["sum"].as_str()), (1234, Some("12.00")));
}

#[test]
fn benefit_cards_carry_no_digits() {
    let mut order = square_order("ADDITIVE", &json!([square_line("Bread", 400, 0, "t")]), 400, 0);
    order["tenders"][0] = json!({"type": "CARD", "amount_money": usd(400), "payment_id": "P1", "card_details": {"card": {"card_brand": "EBT", "last_4": "6789"}}});
    let sale = adds_up(&square(&order), 400);
    assert!(sale.is_benefit() && sale.tenders[0].card.is_none());
}

fn toast(changes: &[(&str, Value)]) -> Decoded {
    let changes: Vec<(String, Value)> = changes.iter().map(|(p, v)| (format!("/details/order/checks/0/{p}"), v.clone())).collect();
    let changes: Vec<(&str, Value)> = changes.iter().map(|(p, v)| (p.as_str(), v.clone())).collect();
    bench("toast").decode(&[], &with("toast/order_updated.paid.json", &changes), &Answers::new())
}

#[test]
fn toast_with_a_discount_of_the_check_and_service() {
    let sale = adds_up(
        &toast(&[
            ("appliedDiscounts", json!([{"name": "Happy hour", "discountAmount": 4.05}])),
            ("appliedServiceCharges", json!([{"name": "Service", "chargeAmount": 3.0, "taxable": false}])),
            ("amount", json!(39.45)),
            ("totalAmount", json!(41.99)),
        ]),
        4199 + 780,
    );
    assert_eq!(sale.lines.iter().map(|l| l.amount).sum::<i64>(), 4050 - 405);
    assert_eq!((sale.service_charges[0].amount, sale.totals.discount), (300, Some(605)));
    let voided = toast(&[("payments/0/paymentStatus", json!("VOIDED"))]);
    assert!(only_sale(&voided).0.tenders.is_empty());
}

#[test]
fn clover_with_tax_inside_and_service() {
    let mut order = sample_json("clover/order.response.json");
    order["isVat"] = json!(true);
    order["total"] = json!(2587 + 200);
    order["serviceCharge"] = json!({"name": "Table", "percentageDecimal": 100_000});
    order["payments"]["elements"][0]["tender"] = json!({"label": "Cash", "labelKey": "com.clover.tender.cash"});
    order["payments"]["elements"][0].as_object_mut().unwrap().remove("cardTransaction");
    order["payments"]["elements"][0]["amount"] = json!(2787);
    order["payments"]["elements"][0]["tipAmount"] = json!(0);
    order["payments"]["elements"][0]["cashTendered"] = json!(3000);
    let body = json!({"merchant": "C7ZKQ4TN0V3M1", "order": {"id": "0BJ5YJ28QGYJK"}}).to_string();
    let key = |what: &str| format!("C7ZKQ4TN0V3M1:{what}:0BJ5YJ28QGYJK");
    let found = |v: &Value| Answered::Found(v.to_string().into_bytes());
    let answers = Answers::from([
        (key("order"), found(&order)),
        (key("order+"), found(&json!({"serviceCharge": order["serviceCharge"]}))),
        (format!("{}:0", key("lines")), Answered::Found(sample("clover/line_items.response.json"))),
    ]);
    let sale = adds_up(&bench("clover").pulled(body.as_bytes(), &answers), 2787);
    assert!(sale.tax_included);
    assert_eq!((sale.service_charges[0].amount, sale.tenders[0].tender_type.as_str(), sale.tenders[0].change), (200, "Cash", Some(213)));
}

#[test]
fn shopify_with_shipping_tip_and_cash_rounding() {
    let headers = pairs(&[("X-Shopify-Topic", "orders/paid"), ("X-Shopify-Shop-Domain", "corner-market.myshopify.com")]);
    let decode = |name: &str, changes: &[(&str, Value)]| bench("shopify").decode(&headers, &with(name, changes), &Answers::new());
    let sale = adds_up(&decode("shopify/orders-partially_fulfilled.json", &[]), 2394);
    assert_eq!(sale.service_charges[0].amount, 490);
    let changes = [
        ("/total_tip_received", json!("2.00")),
        ("/total_cash_rounding_payment_adjustment_set/shop_money/amount", json!("0.05")),
        ("/total_price", json!("21.00")),
        ("/payment_gateway_names", json!(["cash", "gift_card"])),
    ];
    let sale = adds_up(&decode("shopify/orders-paid.json", &changes), 2100);
    assert_eq!((sale.totals.tip, sale.totals.rounding, sale.tenders[0].tender_type.as_str()), (Some(200), Some(5), "Cash + GiftCard"));
    let yen = [("/currency", json!("JPY")), ("/total_price", json!("1895")), ("/total_tax", json!("204"))];
    assert_eq!(only_sale(&decode("shopify/orders-paid.json", &yen)).0.currency.code(), "JPY");
}

#[test]
fn stripe_without_lines_is_a_slip_that_adds_up() {
    let bench = Bench::new("stripe", "endpoint_secrets = [\"s\"]");
    let decode = |changes: &[(&str, Value)]| bench.decode(&[], &with("stripe/payment_intent.succeeded.json", changes), &Answers::new());
    let sale = adds_up(&decode(&[]), 3478);
    assert_eq!((sale.lines[0].amount, sale.totals.tax, sale.totals.tip, sale.tax_included), (3125, Some(153), Some(200), false));
    let plain = adds_up(&decode(&[("/data/object/amount_details", json!({}))]), 3478);
    assert_eq!((plain.lines[0].amount, plain.tax_included), (3478, true));
    let session = bench.decode(&[], &sample("stripe/checkout.session.completed.yen.json"), &Answers::new());
    assert_eq!(adds_up(&session, 1580).currency.code(), "JPY");
}

#[test]
fn stripe_invoices_and_charges() {
    let bench = Bench::new("stripe", "endpoint_secrets = [\"s\"]");
    let event = |kind: &str, object: Value| json!({"id": "evt_1", "object": "event", "type": kind, "created": 1_791_040_001, "livemode": true, "data": {"object": object}});
    let invoice = json!({"id": "in_1", "status": "paid", "total": 1190, "tax": 190, "currency": "eur", "number": "R-7", "created": 1_791_040_000,
        "customer_email": "ola@example.org", "lines": {"data": [{"description": "Plan", "quantity": 1, "amount": 1000}]}});
    let sale = adds_up(&bench.decode(&[], event("invoice.paid", invoice).to_string().as_bytes(), &Answers::new()), 1190);
    assert_eq!((sale.receipt_number.as_str(), sale.tax_included), ("R-7", false));
    let charge = event("charge.succeeded", sample_json("stripe/charge.response.json"));
    let sale = adds_up(&bench.decode(&[], charge.to_string().as_bytes(), &Answers::new()), 3478);
    assert_eq!((sale.transaction_id.as_str(), sale.last4()), ("pi_3YkhaAkjTKiuAWYC9ksxhQ76", Some("9969")));
    let zero = json!({"id": "in_1", "status": "paid", "total": 0});
    assert_eq!(outcome(&bench.decode(&[], event("invoice.paid", zero).to_string().as_bytes(), &Answers::new())), "not_final");
}

#[test]
fn deliveries_are_known_by_ids_of_their_own() {
    let mut seen = std::collections::BTreeMap::new();
    for case in CASES {
        let bench = bench(case.kind);
        let (headers, body) = (pairs(case.headers), sample(case.body));
        let id = |headers: &[(String, String)], body: &[u8]| (bench.kind.delivery_id)(&bench.setup(), &Given { headers, url: "", body });
        let own = id(&headers, &body);
        assert_eq!(own, id(&headers, &body));
        let Some(own) = own else { continue };
        let before = seen.insert((case.kind, own), case.body);
        assert_eq!(before, None, "{} and {before:?}", case.body);
    }
    assert!(seen.len() > 25, "{}", seen.len());
    let shopify = |topic: &str, webhook: &str, event: &str| {
        let headers = pairs(&[("X-Shopify-Topic", topic), ("X-Shopify-Webhook-Id", webhook), ("X-Shopify-Event-Id", event)]);
        (shopify::KIND.delivery_id)(&bench("shopify").setup(), &Given { headers: &headers, url: "", body: b"{}" })
    };
    assert_eq!(shopify("orders/paid", "w1", "e1"), shopify("orders/paid", "w2", "e1"), "a second subscription");
    assert_ne!(shopify("orders/paid", "w1", "e1"), shopify("orders/updated", "w1", "e1"), "another message");
    assert_eq!(shopify("orders/paid", "", ""), None);
}
