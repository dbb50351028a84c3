//! What sends and what does not, a row each.

use super::*;

#[test]
fn what_sends_shopify() {
    let bench = bench("shopify");
    let row = |topic: &str, changes: &[(&str, Value)]| {
        let headers = pairs(&[("X-Shopify-Topic", topic), ("X-Shopify-Shop-Domain", "Corner-Market.myshopify.com")]);
        outcome(&bench.decode(&headers, &with("shopify/orders-paid.json", changes), &Answers::new()))
    };
    for (topic, status, is) in [
        ("orders/paid", "paid", "sale.completed"),
        ("orders/create", "pending", "not_final"),
        ("orders/create", "authorized", "not_final"),
        ("orders/updated", "partially_paid", "not_final"),
        ("orders/updated", "partially_refunded", "sale.completed"),
        ("orders/paid", "voided", "not_final"),
        ("orders/cancelled", "voided", "sale.voided order.cancelled"),
        ("orders/cancelled", "pending", "order.cancelled"),
        ("products/update", "paid", "other_topic"),
    ] {
        assert_eq!(row(topic, &[("/financial_status", json!(status))]), is, "{topic} {status}");
    }
    assert_eq!(row("orders/paid", &[("/test", json!(true))]), "test_order");
    assert_eq!(row("orders/paid", &[("/id", json!(null))]), "unusable");
    let foreign = pairs(&[("X-Shopify-Topic", "orders/paid"), ("X-Shopify-Shop-Domain", "other.myshopify.com")]);
    assert_eq!(outcome(&bench.decode(&foreign, &sample("shopify/orders-paid.json"), &Answers::new())), "foreign_shop");
    let headers = pairs(&[("X-Shopify-Topic", "refunds/create"), ("X-Shopify-Shop-Domain", "corner-market.myshopify.com")]);
    for (status, is) in [("success", "refund.processed"), ("pending", "not_final"), ("failure", "not_final")] {
        let body = with("shopify/refunds-create.json", &[("/transactions/0/status", json!(status))]);
        assert_eq!(outcome(&bench.decode(&headers, &body, &Answers::new())), is, "{status}");
    }
    assert_eq!(
        outcome(&bench.pulled(&sample("shopify/orders-partially_fulfilled.json"), &Answers::new())),
        "sale.completed order.partially_shipped"
    );
}

#[test]
fn what_sends_stripe() {
    let bench = bench("stripe");
    let row = |name: &str, changes: &[(&str, Value)]| outcome(&bench.decode(&[], &with(name, changes), &Answers::new()));
    let (intent, session, refund) =
        ("stripe/payment_intent.succeeded.json", "stripe/checkout.session.completed.yen.json", "stripe/refund.created.json");
    assert_eq!(row(intent, &[]), "sale.completed");
    assert_eq!(row(intent, &[("/type", json!("payment_intent.payment_failed"))]), "not_a_sale");
    assert_eq!(row(intent, &[("/type", json!("payment_intent.canceled"))]), "not_a_sale");
    assert_eq!(row(intent, &[("/type", json!("payment_intent.amount_capturable_updated"))]), "not_a_sale");
    assert_eq!(row(intent, &[("/data/object/status", json!("requires_capture"))]), "not_final");
    assert_eq!(row(intent, &[("/livemode", json!(false))]), "test_mode");
    assert_eq!(row(intent, &[("/object", json!("v2.core.event"))]), "thin_event");
    assert_eq!(row(intent, &[("/data/object", json!(null))]), "unusable");
    assert_eq!(row(session, &[]), "sale.completed");
    assert_eq!(row(session, &[("/data/object/payment_status", json!("unpaid"))]), "not_final");
    assert_eq!(row(refund, &[]), "refund.processed");
    assert_eq!(row(refund, &[("/data/object/status", json!("pending"))]), "not_final");
    assert_eq!(row(refund, &[("/data/object/status", json!("failed"))]), "not_final");
    assert_eq!(row(refund, &[("/type", json!("refund.failed"))]), "not_a_sale");
}

#[test]
fn what_sends_square() {
    let bench = bench("square");
    let payment = "square/payment.updated.json";
    let row = |name: &str, changes: &[(&str, Value)], order: Option<Vec<u8>>| {
        let mut answers = Answers::new();
        if let Some(order) = order {
            let id = "orders:CRnf694KwdspqfCQSLHvJ8XYuIpZY".to_owned();
            answers.insert(id, if order.is_empty() { Answered::Absent } else { Answered::Found(order) });
        }
        outcome(&bench.decode(&[], &with(name, changes), &answers))
    };
    let status = |word: &str| row(payment, &[("/data/object/payment/status", json!(word))], None);
    assert_eq!(status("COMPLETED"), "?");
    for word in ["PENDING", "APPROVED", "FAILED", "SOMETHING_NEW"] {
        assert_eq!(status(word), "not_final", "{word}");
    }
    let order = |changes: &[(&str, Value)]| row(payment, &[], Some(with("square/order.response.json", changes)));
    assert_eq!(order(&[]), "sale.completed");
    assert_eq!(order(&[("/order/net_amount_due_money/amount", json!(1))]), "partly_paid");
    assert_eq!(order(&[("/order/net_amount_due_money", json!(null))]), "sale.completed");
    assert_eq!(order(&[("/order/state", json!("CANCELED"))]), "sale.voided");
    assert_eq!(order(&[("/order/line_items", json!([]))]), "no_sale_in_it");
    // The order cannot be had: total, tender and time are known.
    assert_eq!(row(payment, &[], Some(Vec::new())), "sale.completed");
    let cancelled = [("/data/object/payment/status", json!("CANCELED"))];
    assert_eq!(row(payment, &cancelled, Some(sample("square/order.response.json"))), "paid_another_way");
    assert_eq!(row(payment, &cancelled, Some(Vec::new())), "sale.voided");
    assert_eq!(row(payment, &[("/data/object/payment/location_id", json!("ELSEWHERE"))], None), "foreign_location");
    assert_eq!(row(payment, &[("/type", json!("order.created"))], None), "other_event");
    let refund = "square/refund.updated.json";
    assert_eq!(row(refund, &[], None), "refund.processed");
    for word in ["PENDING", "FAILED", "REJECTED"] {
        assert_eq!(row(refund, &[("/data/object/refund/status", json!(word))], None), "not_final", "{word}");
    }
    assert_eq!(row("square/order.updated.voided.json", &[("/data/object/order_updated/state", json!("OPEN"))], None), "not_final");
    let pulled = |name: &str| outcome(&bench.pulled(sample_json(name)["order"].to_string().as_bytes(), &Answers::new()));
    assert_eq!(pulled("square/order.response.json"), "sale.completed");
    assert_eq!(pulled("square/order.split-half-paid.response.json"), "partly_paid");
    assert_eq!(pulled("square/order.voided.response.json"), "sale.voided");
    assert_eq!(pulled("square/refund-order.response.json"), "refund.processed");
}

#[test]
fn what_sends_clover() {
    let bench = bench("clover");
    let hint = |object: &str, kind: &str| {
        json!({"appId": "A", "merchants": {"C7ZKQ4TN0V3M1": [{"objectId": object, "type": kind, "ts": 1}]}}).to_string().into_bytes()
    };
    let order = |changes: &[(&str, Value)]| {
        let mut answers = Answers::new();
        let full = with("clover/order.response.json", changes);
        for (key, body) in [("order", full.clone()), ("order+", full), ("lines", sample("clover/line_items.response.json"))] {
            let page = if key == "lines" { ":0" } else { "" };
            answers.insert(format!("C7ZKQ4TN0V3M1:{key}:0BJ5YJ28QGYJK{page}"), Answered::Found(body));
        }
        outcome(&bench.decode(&[], &hint("O:0BJ5YJ28QGYJK", "UPDATE"), &answers))
    };
    for (state, is) in [
        ("PAID", "sale.completed"),
        ("REFUNDED", "sale.completed"),
        ("OPEN", "not_final"),
        ("PARTIALLY_PAID", "not_final"),
        ("", "not_final"),
    ] {
        assert_eq!(order(&[("/paymentState", json!(state))]), is, "{state}");
    }
    assert_eq!(order(&[("/testMode", json!(true))]), "not_final");
    let voided = |state: &str| {
        let answers = Answers::from([
            (
                "C7ZKQ4TN0V3M1:payment:AGDVY3KYT59NJ".to_owned(),
                Answered::Found(with("clover/payment.response.json", &[("/result", json!("VOIDED"))])),
            ),
            (
                "C7ZKQ4TN0V3M1:order:0BJ5YJ28QGYJK".to_owned(),
                Answered::Found(with("clover/order.response.json", &[("/paymentState", json!(state))])),
            ),
        ]);
        outcome(&bench.decode(&[], &hint("P:AGDVY3KYT59NJ", "UPDATE"), &answers))
    };
    assert_eq!(voided("OPEN"), "sale.voided");
    assert_eq!(voided("PAID"), "? ?", "paid another way: the sale stands");
    // Nothing is believed without the fetch.
    assert_eq!(outcome(&bench.decode(&[], &hint("P:AGDVY3KYT59NJ", "CREATE"), &Answers::new())), "?");
    let absent = Answers::from([("C7ZKQ4TN0V3M1:payment:AGDVY3KYT59NJ".to_owned(), Answered::Absent)]);
    assert_eq!(outcome(&bench.decode(&[], &hint("P:AGDVY3KYT59NJ", "CREATE"), &absent)), "not_final");
    assert_eq!(outcome(&bench.decode(&[], &hint("O:0BJ5YJ28QGYJK", "DELETE"), &Answers::new())), "sale.voided");
    for object in ["I:1", "C:1", "SH:1", "O:../../x", "O:", "nonsense"] {
        assert_eq!(outcome(&bench.decode(&[], &hint(object, "CREATE"), &Answers::new())), "not_final", "{object}");
    }
    let verify = |headers: &[(&str, &str)], body: &[u8]| {
        let headers = pairs(headers);
        (bench.kind.verify)(&bench.setup(), &Given { headers: &headers, url: "", body }, Moment { now: UnixMs(0), good: false })
    };
    let code = "9d0e5f0c-41ab-4a51-9d3c-2f6b7a8c9e10";
    assert_eq!(verify(&[], &sample("clover/verification.json")), Verdict::Handshake(code.to_owned()));
    assert_eq!(verify(&[], br#"{"verificationCode":"x","merchants":{}}"#), Verdict::Refused("no_signature"));
    assert_eq!(verify(&[], &sample("clover/webhook.json")), Verdict::Refused("no_signature"));
    assert_eq!(verify(&[("X-Clover-Auth", "guess")], &sample("clover/verification.json")), Verdict::Refused("bad_signature"));
}

#[test]
fn lines_of_clover_beyond_a_page_are_read() {
    let bench = bench("clover");
    let body = sample("clover/webhook.json");
    let line = sample_json("clover/line_items.response.json")["elements"][2].clone();
    let mut answers = Answers::new();
    let key = |what: &str| format!("C7ZKQ4TN0V3M1:{what}");
    answers.insert(key("payment:AGDVY3KYT59NJ"), Answered::Found(sample("clover/payment.response.json")));
    answers.insert(key("order:0BJ5YJ28QGYJK"), Answered::Found(sample("clover/order.response.json")));
    answers.insert(key("order+:0BJ5YJ28QGYJK"), Answered::Absent);
    answers.insert(key("lines:0BJ5YJ28QGYJK:0"), Answered::Found(json!({"elements": vec![line.clone(); 1000]}).to_string().into_bytes()));
    let Decoded::Told(told) = bench.decode(&[], &body, &answers) else { panic!() };
    assert_eq!((told.events.len(), told.lookups.len()), (0, 1));
    assert!(told.lookups[0].path.contains("offset=1000&"), "{}", told.lookups[0].path);
    answers.insert(key("lines:0BJ5YJ28QGYJK:1"), Answered::Found(json!({"elements": vec![line; 3]}).to_string().into_bytes()));
    let Decoded::Told(told) = bench.decode(&[], &body, &answers) else { panic!() };
    assert_eq!(told.events[0].event.data["line_items"][0]["quantity"], "1003");
}

#[test]
fn what_sends_toast() {
    let bench = bench("toast");
    let check = |changes: &[(&str, Value)]| outcome(&bench.decode(&[], &with("toast/order_updated.paid.json", changes), &Answers::new()));
    let at = |name: &str| format!("/details/order/{name}");
    for (status, is) in [("CLOSED", "sale.completed"), ("PAID", "sale.completed"), ("OPEN", "not_final"), ("", "not_final")] {
        assert_eq!(check(&[(&at("checks/0/paymentStatus"), json!(status))]), is, "{status}");
    }
    assert_eq!(check(&[(&at("voided"), json!(true))]), "sale.voided");
    assert_eq!(check(&[(&at("checks/0/voided"), json!(true))]), "sale.voided");
    assert_eq!(check(&[(&at("checks/0/voided"), json!(true)), (&at("checks/0/payments"), json!([]))]), "not_final");
    assert_eq!(check(&[(&at("checks/0/deleted"), json!(true))]), "not_final");
    assert_eq!(check(&[(&at("createdInTestMode"), json!(true))]), "not_final");
    assert_eq!(check(&[("/details/restaurantGuid", json!("another"))]), "foreign_restaurant");
    assert_eq!(check(&[("/eventCategory", json!("stock"))]), "other_category");
    assert_eq!(outcome(&bench.decode(&[], &sample("toast/order_updated.refund.json"), &Answers::new())), "sale.completed refund.processed");
    // Paid but not closed: the tip may still come.
    let Decoded::Told(told) = bench.decode(&[], &sample("toast/order_updated.split-checks-odd.json"), &Answers::new()) else { panic!() };
    assert_eq!(told.events[0].not_before, UnixMs::parse_rfc3339("2026-10-03T19:25:00Z"));
    let status = |word: &str| {
        let body = json!({"guid": "g", "timestamp": "2026-10-03T17:45:12.007Z", "eventCategory": "guest_order_fulfillment_status_updated",
            "details": {"restaurantGuid": "0b7b3a55-6a0e-4b6e-9a42-1f3d5c7e9b10", "orderGuid": "o", "fulfillmentStatus": word}});
        outcome(&bench.decode(&[], body.to_string().as_bytes(), &Answers::new()))
    };
    assert_eq!(status("READY_FOR_PICKUP"), "order.updated");
    assert_eq!(status("CLOSED"), "order.fulfilled");
    assert_eq!(status("LOST"), "not_final");
}

#[test]
fn what_sends_zapier() {
    let bench = bench("zapier");
    let row = |changes: &[(&str, Value)]| outcome(&bench.decode(&[], &with("zapier/sale.json", changes), &Answers::new()));
    assert_eq!(row(&[]), "sale.completed");
    assert_eq!(row(&[("/transaction_type", json!("return"))]), "refund.processed");
    assert_eq!(row(&[("/transaction_type", json!("void"))]), "sale.voided");
    assert_eq!(row(&[("/totals/grand_amount", json!(1))]), "unusable");
    // A batch is taken whole or not at all, and each fault has its place.
    let mut batch = json!([sample_json("zapier/sale.json"), sample_json("zapier/sale.json")]);
    batch[1]["currency_code"] = json!("usd!");
    let Decoded::Unusable(faults) = bench.decode(&[], batch.to_string().as_bytes(), &Answers::new()) else { panic!() };
    assert_eq!(faults[0].pointer, "/1/currency_code");
}
