//! Orders in parcels, tolerance, secrets, and our own news there and back.

use super::*;
use serde_json::json;

fn read(kind: Kind, event: &str, data: &Value) -> Result<About, Unreadable> {
    About::read(kind, event, "S-1", data.as_object().unwrap(), Currency::parse("USD"))
}

fn order(event: &str, data: &Value) -> Order {
    match read(Kind::OrderStatus, event, data).unwrap() {
        About::Order(order) => order,
        other => panic!("{other:?}"),
    }
}

/// Now, before, remaining of each line, as text.
fn steps(order: &Order) -> Vec<String> {
    let said = |i: &Item| i.progress.map_or("-".to_owned(), |p| format!("{}/{}/{}", p.now, p.before, p.remaining));
    order.items.iter().map(said).collect()
}

#[test]
fn each_line_says_what_went_what_goes_and_what_remains() {
    let lines = json!([
        {"description": "Tea", "quantity": 3, "shipped": 2},
        {"description": "Pot", "quantity": "1"},
        {"description": "Tea", "quantity": 1, "item_id": "t2"},
        {"description": "Rope", "quantity": "2.5", "remaining": "1"},
    ]);
    let parcels = json!([{"carrier": "DHL", "tracking_number": "42", "tracking_url": "https://dhl.example/42", "line_items": [
        {"description": "Tea", "quantity": 1}, {"description": "other", "quantity": 1, "item_id": "t2"}, {"description": "Rope", "quantity": 1.5}]}]);
    let data = json!({"order": {"number": "7", "line_items": lines}, "fulfillment": {"shipments": parcels}});
    let some = order("order.partially_shipped", &data);
    assert_eq!(steps(&some), ["1/1/1", "0/0/1", "1/0/0", "1.5/0/1"]);
    assert_eq!((some.parcels.len(), some.parcels[0].items.len(), some.stage.word()), (1, 3, "partially_shipped"));

    let bare = json!({"order": {"number": "7", "line_items": [{"description": "Tea", "quantity": 3}]}});
    assert_eq!(steps(&order("order.confirmed", &bare)), ["-"]);
    assert_eq!(steps(&order("order.shipped", &bare)), ["3/0/0"]);
    let twice = json!({"order": {"number": "7", "line_items": [{"description": "A", "quantity": 1}, {"description": "A", "quantity": 2}]},
        "fulfillment": {"shipments": [{"line_items": [{"description": "A", "quantity": 2}]}, {"line_items": [{"description": "A"}]}]}});
    assert_eq!(steps(&order("order.updated", &twice)), ["1/0/0", "2/0/0"]);
}

#[test]
fn what_makes_no_sense_is_as_if_it_were_missing() {
    let data = json!({"order": {"number": 12, "url": "javascript:alert(1)", "total": 12.5, "currency": "EUR",
        "line_items": ["x", {"description": "a\r\nb", "quantity": "-1"}, 5]}, "fulfillment": "none", "reason": ["x"]});
    let read_one = order("order.x", &data);
    assert_eq!((read_one.number.as_str(), read_one.url.as_str(), read_one.total, read_one.stage), ("12", "", None, OrderStage::Updated));
    assert_eq!((read_one.items.len(), read_one.items[0].text.as_str(), read_one.items[0].quantity), (1, "a b", None));
    let total =
        |total: Value| order("order.confirmed", &json!({"order": {"total": total, "currency": "EUR"}})).total.map(|m| m.to_string());
    assert_eq!(total(json!(1820)), Some("18.20 EUR".to_owned()));
    assert_eq!(total(json!("18.20")), Some("18.20 EUR".to_owned()));
    assert_eq!(order("order.confirmed", &json!({})).number, "S-1", "the event names it");
    let nameless = About::read(Kind::OrderStatus, "order.confirmed", "", &Map::new(), None);
    assert_eq!(nameless, Err(Unreadable("order.number")));
    let many: Vec<Value> = (0..5_000).map(|i| json!({"description": format!("i{i}"), "quantity": 1})).collect();
    assert_eq!(order("order.confirmed", &json!({"order": {"line_items": many}})).items.len(), LIST);
}

#[test]
fn a_password_link_is_whole_and_never_shown() {
    let reset = |data: Value| read(Kind::PasswordReset, "account.password_reset", &data);
    let Ok(About::PasswordReset(p)) =
        reset(json!({"token": "a b/ü", "url_template": "https://x.example/r?t={token}", "expires_at": "2026-03-03T14:20:00Z"}))
    else {
        panic!()
    };
    assert_eq!(p.url, "https://x.example/r?t=a%20b%2F%C3%BC");
    assert_eq!(p.expires.map(UnixMs::rfc3339), Some("2026-03-03T14:20:00Z".to_owned()));
    assert!(!format!("{:?}", About::PasswordReset(p)).contains("x.example"));
    for bad in [json!({}), json!({"url": "http://x.example/"}), json!({"url": "https://x.example/\r\nBcc: y"}), json!({"token": "t"})] {
        assert_eq!(reset(bad), Err(Unreadable("url")));
    }
}

#[test]
fn our_own_news_come_back_as_they_were_written() {
    let since = UnixMs::parse_rfc3339("2026-03-03T14:00:00Z");
    let amount = Currency::parse("USD").map(|currency| Money { minor: 12_000, currency });
    let news =
        Staff { number: "R-1".into(), amount, object: "3".into(), cashier: "7".into(), n: Some(2), since, ..Staff::new(Made::RefundOver) };
    assert_eq!(read(Kind::StaffEvent, "x.refund", &Value::Object(news.data())), Ok(About::Staff(news)));
    let digest = Digest {
        store: "Fresh Fields".into(),
        business_date: "2026-03-03".into(),
        version: 1,
        days: vec![Day {
            date: "2026-03-03".into(),
            sales: Tally { n: 2, total: 500 },
            by_channel: vec![ChannelTally { channel: "sms".into(), states: [("delivered".to_owned(), 2)].into() }],
            corrections: vec![Correction { date: "2026-03-02".into(), sales: Tally { n: 1, total: 100 } }],
            top_errors: vec![("mailbox full".into(), 3)],
            ..Day::default()
        }],
    };
    let json = serde_json::to_value(&digest).unwrap();
    assert_eq!(json["days"][0]["by_channel"][0], json!({"channel": "sms", "delivered": 2}));
    assert_eq!(json["days"][0]["corrections"][0], json!({"date": "2026-03-02", "n": 1, "total": 100}));
    assert_eq!(read(Kind::Digest, "digest", &json), Ok(About::Digest(digest)));
    let alert = json!({"incidents": [{"alert": "provider_down", "object": "main", "state": "raised", "since": "2026-03-03T14:00:00Z"}]});
    assert!(matches!(read(Kind::Alert, "alert", &alert), Ok(About::Alert(a)) if !a.incidents[0].resolved()));
    assert_eq!(read(Kind::Alert, "alert", &json!({"incidents": 5})), Err(Unreadable("incidents")));
}

#[test]
fn every_name_is_on_the_list() {
    let sample = json!({"order": {"number": "1"}, "return": {"number": "1"}, "url": "https://x.example/", "days": [], "incidents": []});
    let stages = OrderStage::ALL.iter().map(|s| (Kind::OrderStatus, format!("order.{s}")));
    let returns = ReturnStage::ALL.iter().map(|s| (Kind::OrderStatus, format!("return.{s}")));
    let others = [
        (Kind::PasswordReset, "account.password_reset"),
        (Kind::ReviewRequest, "sale.completed"),
        (Kind::StaffEvent, "feedback.received"),
        (Kind::StaffEvent, "x.mine"),
        (Kind::Digest, "digest"),
        (Kind::Alert, "alert"),
        (Kind::Campaign, "campaign.started"),
    ];
    let all = stages.chain(returns).chain(others.map(|(kind, event)| (kind, event.to_owned())));
    let names: Vec<&str> = all.map(|(kind, event)| read(kind, &event, &sample).unwrap().name()).collect();
    assert_eq!(names, NAMES);
}

#[test]
fn staff_fields_keep_their_order_in_a_list() {
    let About::Staff(s) =
        read(Kind::StaffEvent, "x.till", &json!({"fields": [["b", 2], ["a", "x"], ["", "y"], 5], "link": "ftp://x"})).unwrap()
    else {
        panic!()
    };
    assert_eq!(s.fields, [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "x".to_owned())]);
    assert_eq!((s.title.as_str(), s.link.as_str()), ("x.till", ""));
}

#[test]
fn quantities() {
    for (text, said) in [("3", "3"), ("1.50", "1.5"), ("0.125", "0.125"), ("0", "0"), ("2.0005", "2")] {
        assert_eq!(Quantity::parse(text).map(|q| q.to_string()).as_deref(), Some(said), "{text}");
    }
    for bad in ["", "-1", "1e3", "1,5", "12345678901", "."] {
        assert_eq!(Quantity::parse(bad), None, "{bad}");
    }
}
