//! What every notice must keep: golden files of all kinds in all languages, and the budgets of each way.

use super::tests::{brand, composer, golden, shop};
use super::*;
use crate::domain::content::{Chat, Push, Whatsapp};
use crate::domain::message::Kind;
use crate::domain::notice::{Made, NAMES, Staff};
use crate::domain::text::many_lines;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

const LANGUAGES: [&str; 4] = ["en", "de", "es", "fr"];
const FROM: &str = "Fresh Fields <hello@freshfields.example>";

fn at() -> UnixMs {
    UnixMs::parse_rfc3339("2026-03-03T19:02:00Z").unwrap()
}

fn map(value: Json) -> Map<String, Json> {
    value.as_object().unwrap().clone()
}

/// One of each, in the order of [`NAMES`].
fn samples() -> Vec<(&'static str, Kind, &'static str, Map<String, Json>)> {
    use Kind::*;
    let lines = json!([{"description": "Enamel teapot, blue", "quantity": 1, "shipped": 1}, {"description": "Assam, loose", "quantity": "3", "shipped": 2},
        {"description": "Rope", "quantity": "2.5", "note": "cut to length"}]);
    let parcel = json!({"carrier": "DHL", "tracking_number": "JD014600", "tracking_url": "https://dhl.example/t/JD014600", "expected": "2026-03-05",
        "line_items": [{"description": "Assam, loose", "quantity": 2}]});
    let second = json!({"carrier": "UPS", "expected": "2026-03-06T10:00:00-05:00", "line_items": [{"description": "Enamel teapot, blue", "quantity": 1},
        {"description": "Assam, loose", "quantity": 1}, {"description": "Rope", "quantity": 2.5}]});
    let order = json!({"number": "W-1042", "url": "https://shop.example/o/1042", "total": 6410, "currency": "USD", "line_items": lines});
    let bare = json!({"number": "W-1042", "total": "64.10", "line_items": [{"description": "Enamel teapot, blue", "quantity": 1}, {"description": "Assam, loose", "quantity": 3}]});
    let back = json!({"number": "RT-7", "order_number": "W-1042", "line_items": [{"description": "Enamel teapot, blue", "quantity": 1, "reason": "chipped"}],
        "refund_amount": "29.90", "instructions": "Wrap it well.\nBring it to any DHL shop.", "label_url": "https://shop.example/label/7"});
    let rejected = json!({"number": "RT-7", "line_items": [{"description": "Rope", "quantity": "2.5"}], "reason": "cut to length"});
    let hostile = json!({"number": "1\r\nBcc: x@y.example", "url": "javascript:alert(1)", "line_items": [
        {"description": "<script>alert(1)</script> {{ 7 * 7 }} \u{202e}evil", "quantity": 2, "note": "<img src=x onerror=alert(1)>\n{% raw %}"}]});
    let day = |date: &str, sales: u64| {
        json!({"date": date, "sales": {"n": sales, "total": sales * 1_150}, "refunds": {"n": 2, "total": 1990}, "voids": 1,
        "by_channel": [{"channel": "email", "delivered": 21, "accepted": 4, "bounced": 1}, {"channel": "sms", "accepted": 9}], "waiting": 3, "dead": 1,
        "offline_minutes": 95, "corrections": [{"date": "2026-03-01", "n": 2, "total": 3100}], "top_errors": [["550 mailbox unavailable", 3], ["timeout", 1]]})
    };
    let refund = Staff {
        number: "1-1288".into(),
        amount: crate::domain::money::Currency::parse("USD").map(|currency| crate::domain::money::Money { minor: 15_000, currency }),
        object: "3".into(),
        cashier: "7".into(),
        ..Staff::new(Made::RefundOver)
    };
    let down = json!({"alert": "provider_down", "object": "main", "state": "raised", "since": "2026-03-03T18:40:00Z", "n": 12, "text": "503 try later"});
    vec![
        ("order_confirmed", OrderStatus, "order.confirmed", map(json!({"order": bare}))),
        ("order_updated", OrderStatus, "order.updated", map(json!({"order": hostile, "reason": "\"><b>late</b>\u{2066}"}))),
        ("order_partial", OrderStatus, "order.partially_shipped", map(json!({"order": order, "fulfillment": {"shipments": [parcel]}}))),
        ("order_shipped", OrderStatus, "order.shipped", map(json!({"order": order, "fulfillment": {"shipments": [parcel, second]}}))),
        ("order_fulfilled", OrderStatus, "order.fulfilled", map(json!({"order": order}))),
        ("order_cancelled", OrderStatus, "order.cancelled", map(json!({"order": bare, "reason": "sold out"}))),
        ("return_initiated", OrderStatus, "return.initiated", map(json!({"return": {"number": "RT-7", "order_number": "W-1042"}}))),
        ("return_approved", OrderStatus, "return.approved", map(json!({"return": back}))),
        ("return_rejected", OrderStatus, "return.rejected", map(json!({"return": rejected}))),
        (
            "password_reset",
            PasswordReset,
            "account.password_reset",
            map(json!({"url": "https://shop.example/reset/Zk3x9", "expires_at": "2026-03-03T19:17:00Z"})),
        ),
        (
            "review_request",
            ReviewRequest,
            "sale.completed",
            map(json!({"url": "https://shop.example/review/8", "receipt_number": "1-1288"})),
        ),
        (
            "feedback",
            StaffEvent,
            "feedback.received",
            map(json!({"rating": 2, "text": "The queue was long.\nTea was good.", "number": "1-1288"})),
        ),
        ("staff_event", StaffEvent, "refund.processed", refund.data()),
        (
            "digest",
            Digest,
            "digest",
            map(json!({"store": "Fresh Fields", "business_date": "2026-03-03", "version": 1, "days": [day("2026-03-03", 41)]})),
        ),
        ("alert", Alert, "alert", map(json!({"incidents": [down]}))),
        (
            "offer",
            Campaign,
            "campaign.started",
            map(json!({"title": "Tea week", "text": "All loose teas 20 % off until Saturday.", "link": "https://shop.example/tea"})),
        ),
    ]
}

fn notice<'a>(kind: Kind, event: &'a str, data: &'a Map<String, Json>, shop: &'a Shop, brand: &'a Brand) -> Notice<'a> {
    Notice { unsubscribe: Some("https://r.fresh.example/u/x1"), ..Notice::new(kind, event, data, at(), shop, brand) }
}

/// Subject, text, text message, card, notification and WhatsApp of a notice, for people to compare.
fn shown(c: &Composer, n: &Notice<'_>) -> (content::Email, String) {
    let mail = c.notice_email(n, FROM, "").unwrap();
    let sms = c.notice_sms(n, "Fresh", false).unwrap();
    let count = sms::count(&sms.text);
    let mut all = format!("Subject: {}\n", mail.subject);
    all.extend(mail.headers.iter().map(|(name, value)| format!("{name}: {value}\n")));
    all += &format!("\n{}\n=== sms, {} {} in {}\n{}\n", mail.text, count.encoding.word(), count.units, count.segments, sms.text);
    if n.kind == Kind::PasswordReset {
        for refused in [c.notice_chat(n).err(), c.notice_push(n).err(), c.notice_whatsapp(n).err(), c.notice_data(n, "x", &[]).err()] {
            assert!(matches!(refused, Some(ComposeError::Unfit(_))), "{refused:?}");
        }
        return (mail, all);
    }
    let (chat, push, whatsapp) = (c.notice_chat(n).unwrap(), c.notice_push(n).unwrap(), c.notice_whatsapp(n).unwrap());
    fits(&chat, &push, &whatsapp);
    all += &format!("\n=== chat\n{}\n\n=== push\n{}\n{}\n{}\n", chat.plain(), push.title, push.body, push.link);
    all += &format!("\n=== whatsapp {} {}\n{}\n", whatsapp.template, whatsapp.language, whatsapp.variables.join(" | "));
    (mail, all)
}

#[track_caller]
fn fits(chat: &Chat, push: &Push, whatsapp: &Whatsapp) {
    assert!(chat.fields.len() <= 10 && chat.text.lines().count() <= 21 && chat.plain().len() <= Chat::BYTES, "{}", chat.plain());
    assert!(push.title.chars().count() <= 40 && push.body.chars().count() <= 110 && push.bytes() <= 3_500, "{} {}", push.title, push.body);
    assert!(whatsapp.text.chars().count() <= 1_024, "{}", whatsapp.text);
    let (link, others) = whatsapp.variables.split_last().unwrap();
    assert!(others.iter().all(|v| !v.is_empty() && v.chars().count() <= 60) && !link.is_empty(), "{:?}", whatsapp.variables);
}

#[test]
fn notices_look_as_they_did() {
    let (c, shop, brand) = (composer(), shop(), brand());
    let (mut wrong, samples) = (Vec::new(), samples());
    assert_eq!(samples.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), NAMES);
    for (name, kind, event, data) in &samples {
        for language in LANGUAGES {
            let n = Notice { language: Some(language), ..notice(*kind, event, data, &shop, &brand) };
            assert_eq!(n.about().unwrap().name(), *name);
            let (mail, all) = shown(&c, &n);
            golden(&format!("notice/{name}.{language}.txt"), &all, &mut wrong);
            if language == "en" {
                golden(&format!("notice/{name}.html"), &mail.html, &mut wrong);
            }
            holds(name, &mail, &all);
        }
    }
    assert!(wrong.is_empty(), "no longer the same: {wrong:?}; look at them, then run with TILLPOST_BLESS=1");
}

#[track_caller]
fn holds(name: &str, mail: &content::Email, all: &str) {
    for part in [mail.subject.as_str(), &mail.html, all] {
        assert!(!part.contains("undefined") && !part.contains("{number}") && !part.contains("\u{202e}"), "{name}: left over in {part}");
        assert_eq!(part, many_lines(part), "{name}");
    }
    assert!(engine::encoded_len(&mail.html) <= MAIL_HTML_MAX);
    for bad in ["<script", "<img", "<b>", "javascript:", "<link"] {
        assert!(!mail.html.contains(bad), "{name}: {bad}");
    }
    assert_eq!(mail.html.matches("<table").count(), mail.html.matches("</table>").count(), "{name}");
    assert_eq!((mail.subject.lines().count(), mail.html.matches("<h1").count()), (1, 1), "{name}");
    for line in mail.text.lines() {
        assert!(layout::width(line) <= layout::WIDEST || !line.trim().contains(' '), "{name}: too wide: {line}");
    }
}

#[test]
fn our_own_words_fit_into_one_text_message() {
    let (c, shop, brand) = (composer(), shop(), brand());
    for (name, kind, event, data) in samples().iter().filter(|(name, ..)| *name != "order_updated" && *name != "alert") {
        for language in LANGUAGES {
            let n = Notice { language: Some(language), ..notice(*kind, event, data, &shop, &brand) };
            let text = c.notice_sms(&n, "", false).unwrap().text;
            let count = sms::count(&text);
            assert_eq!((count.encoding, count.segments), (sms::Encoding::Gsm7, 1), "{name} {language}: {text}");
        }
    }
}

#[test]
fn a_line_says_what_is_in_the_parcel_what_went_and_what_remains() {
    let (c, shop, brand) = (composer(), shop(), brand());
    let (_, kind, event, data) = samples().swap_remove(2);
    let mail = c.notice_email(&notice(kind, event, &data, &shop, &brand), FROM, "").unwrap();
    let lines: Vec<&str> = mail.text.lines().map(str::trim).collect();
    let after = |what: &str| {
        lines
            .iter()
            .skip_while(|l| !l.starts_with(what))
            .skip(1)
            .take_while(|l| l.contains(' ') && !l.ends_with('3'))
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(after("Enamel teapot")[..1], ["1 sent before"]);
    assert_eq!(after("Assam")[..2], ["2 on the way now", "1 still to come"]);
    assert_eq!(after("Rope")[..1], ["2.5 still to come"]);
}

#[test]
fn long_ones_are_shortened_and_say_so() {
    let (c, mut shop, brand) = (composer(), shop(), brand());
    shop.name = "The Extraordinarily Long Named Emporium of Fruits and Fields of Upper Springfield".into();
    let lines: Vec<Json> =
        (0..400).map(|i| json!({"description": format!("{} number {i}", "Long article ".repeat(15)), "quantity": i + 1})).collect();
    let data = map(
        json!({"order": {"number": "N".repeat(200), "total": 100, "line_items": lines, "url": format!("https://x.example/{}", "a".repeat(200))},
        "reason": "r".repeat(5_000)}),
    );
    let n = notice(Kind::OrderStatus, "order.confirmed", &data, &shop, &brand);
    let mail = c.notice_email(&n, FROM, "").unwrap();
    assert!(engine::encoded_len(&mail.html) <= MAIL_HTML_MAX && mail.html.contains("more") && mail.text.contains("number 399"));
    let text = c.notice_sms(&n, "", false).unwrap().text;
    assert!(text.starts_with("The Extraordinarily: ") && text.contains("Total $1.00.") && text.ends_with(&"a".repeat(200)), "{text}");
    fits(&c.notice_chat(&n).unwrap(), &c.notice_push(&n).unwrap(), &c.notice_whatsapp(&n).unwrap());
    assert!(c.notice_chat(&n).unwrap().text.ends_with(" more"));
    let fields: Vec<Json> = (0..30).map(|i| json!([format!("f{i}"), "v".repeat(500)])).collect();
    let data = map(json!({"title": "x".repeat(500), "text": "line\n".repeat(200), "fields": fields, "link": "https://x.example/"}));
    let n = notice(Kind::StaffEvent, "x.mine", &data, &shop, &brand);
    fits(&c.notice_chat(&n).unwrap(), &c.notice_push(&n).unwrap(), &c.notice_whatsapp(&n).unwrap());
    let data = map(json!({"text": "Very much text. ".repeat(60), "link": "https://x.example/"}));
    let long = c.notice_sms(&notice(Kind::Campaign, "x", &data, &shop, &brand), "", false);
    assert!(matches!(long, Err(ComposeError::TooLong { segments: 3.. })), "{long:?}");
}

#[test]
fn a_missed_day_makes_one_digest_of_each_and_an_outage_one_alert() {
    let (c, shop, brand) = (composer(), shop(), brand());
    let day = |date: &str, n: u64| json!({"date": date, "sales": {"n": n, "total": n * 100}, "waiting": 1});
    let data = map(json!({"days": [day("2026-03-01", 1), day("2026-03-02", 20)]}));
    let n = notice(Kind::Digest, "digest", &data, &shop, &brand);
    let chat = c.notice_chat(&n).unwrap();
    assert_eq!(chat.title.replace('\u{a0}', " "), "Reports for Mar 1, 2026 to Mar 2, 2026");
    let said = chat.text.replace('\u{a0}', " ");
    assert_eq!(said, "Mar 1, 2026: 1 sale, $1.00; 1 waiting, 0 need attention\nMar 2, 2026: 20 sales, $20.00; 1 waiting, 0 need attention");
    let text = c.notice_email(&n, FROM, "").unwrap().text;
    assert!(text.contains("Mar 1, 2026\n") && text.contains("Mar 2, 2026\n") && text.contains("20, $20.00"));
    let one = |alert: &str, state: &str| json!({"alert": alert, "object": "main", "state": state, "since": "2026-03-03T18:40:00Z"});
    let data =
        map(json!({"incidents": [one("TillpostProviderDown", "resolved"), one("offline_long", "raised"), one("own_thing", "raised")]}));
    let chat = c.notice_chat(&notice(Kind::Alert, "alert", &data, &shop, &brand)).unwrap();
    let said = chat.text.replace('\u{a0}', " ");
    assert_eq!(chat.title, "3 alerts");
    assert!(
        said.starts_with("Resolved: main does not answer, since Mar 3, 2026 at 1:40 PM\nThe shop was offline for long, since"),
        "{said}"
    );
    assert!(said.contains("own_thing main, since"));
}

#[test]
fn advertising_has_a_way_out() {
    let (c, mut shop, brand) = (composer(), shop(), brand());
    let data = map(json!({"text": "Tea week."}));
    let of = |shop: &Shop, unsubscribe: Option<&str>, reply_to: &str| {
        c.notice_email(&Notice { unsubscribe, ..notice(Kind::Campaign, "x", &data, shop, &brand) }, FROM, reply_to)
    };
    let mail = of(&shop, Some("https://r.x.example/u/1"), "").unwrap();
    let header = |mail: &content::Email, name: &str| mail.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    assert_eq!(
        header(&mail, "List-Unsubscribe").unwrap(),
        "<https://r.x.example/u/1>, <mailto:hello@freshfields.example?subject=Unsubscribe>"
    );
    assert_eq!(header(&mail, "List-Unsubscribe-Post").unwrap(), "List-Unsubscribe=One-Click");
    assert!(mail.text.contains("Unsubscribe:\nhttps://r.x.example/u/1") && mail.html.contains("href=\"https://r.x.example/u/1\""));
    let mail = of(&shop, None, "Shop <a@b.example>").unwrap();
    assert_eq!(header(&mail, "List-Unsubscribe").unwrap(), "<mailto:a@b.example?subject=Unsubscribe>");
    assert_eq!(header(&mail, "List-Unsubscribe-Post"), None, "one click needs a page");
    assert!(mail.text.contains("To unsubscribe, write to a@b.example"));
    shop.email = String::new();
    assert!(matches!(of(&shop, Some("https://x.example/\r\nX: y"), ""), Err(ComposeError::Unfit(_))));
    let sms = c.notice_sms(&notice(Kind::Campaign, "x", &data, &shop, &brand), "", false).unwrap();
    assert!(sms.text.ends_with("Reply STOP to opt out"), "{}", sms.text);
    let order = samples().swap_remove(0).3;
    let status = c.notice_email(&notice(Kind::OrderStatus, "order.confirmed", &order, &shop, &brand), FROM, "").unwrap();
    assert_eq!(header(&status, "List-Unsubscribe"), None);
}

#[test]
fn a_route_names_its_own_template() {
    let (shop, brand) = (shop(), brand());
    let files = [
        ("spring.html.j2", "{% extends \"notice.html.j2\" %}{% block head %}<tr><td><h1>Spring, {{ title }}</h1></td></tr>{% endblock %}"),
        ("spring.subject.txt.j2", "Spring at {{ store.name }}"),
        ("sms/spring.txt.j2", "Spring! {{ link }} {{ t(\"sms.stop\") }}"),
        ("chat/staff_event.txt.j2", "own: {{ title }}"),
        ("order_confirmed.txt.j2", "Order {{ number }}: {{ goods|length }}"),
    ];
    let c = Composer::new(&files.map(|(name, text)| (name.to_owned(), text.to_owned())).into()).unwrap();
    let data = map(json!({"text": "Tea week.", "link": "https://x.example/t", "template": "spring"}));
    let n = notice(Kind::Campaign, "x", &data, &shop, &brand);
    let mail = c.notice_email(&n, FROM, "").unwrap();
    assert_eq!(mail.subject, "Spring at Fresh Fields");
    assert!(mail.html.contains("<h1>Spring, An offer from Fresh Fields</h1>") && mail.html.contains("Unsubscribe"));
    assert!(mail.text.contains("Tea week."), "a form that it lacks is the built-in one");
    assert_eq!(c.notice_sms(&n, "", false).unwrap().text, "Spring! https://x.example/t Reply STOP to opt out");
    let none = c.notice_email(&Notice { template: Some("winter"), ..n }, FROM, "");
    assert_eq!(none.unwrap_err(), ComposeError::NoTemplate("winter".into()));
    let news = map(json!({"title": "Hello"}));
    assert_eq!(c.notice_chat(&notice(Kind::StaffEvent, "x.y", &news, &shop, &brand)).unwrap().text, "own: Hello");
    let order = samples().swap_remove(0).3;
    assert_eq!(
        c.notice_email(&notice(Kind::OrderStatus, "order.confirmed", &order, &shop, &brand), FROM, "").unwrap().text,
        "Order W-1042: 2\n"
    );
}

#[test]
fn a_password_link_stands_in_its_message_and_in_no_debug() {
    let (c, shop, brand) = (composer(), shop(), brand());
    let data = map(json!({"token": "Zk3x9", "url_template": "https://shop.example/reset?t={token}"}));
    let n = notice(Kind::PasswordReset, "account.password_reset", &data, &shop, &brand);
    let mail = c.notice_email(&n, FROM, "").unwrap();
    assert!(mail.text.contains("https://shop.example/reset?t=Zk3x9") && !mail.subject.contains("Zk3x9"));
    assert!(c.notice_sms(&n, "", false).unwrap().text.ends_with("https://shop.example/reset?t=Zk3x9"));
    assert!(!format!("{n:?} {:?}", n.about()).contains("Zk3x9"));
    let missing = c.notice_email(&Notice { data: &Map::new(), ..n }, FROM, "").unwrap_err();
    assert_eq!(missing.to_string(), "`url` is missing in the event's data, or makes no sense");
}

#[test]
fn late_and_test_ones_say_so() {
    let (c, shop, brand) = (composer(), shop(), brand());
    let order = samples().swap_remove(0).3;
    let n = Notice { late: Some(at()), test: true, ..notice(Kind::OrderStatus, "order.confirmed", &order, &shop, &brand) };
    let mail = c.notice_email(&n, FROM, "").unwrap();
    let flat = mail.text.replace(['\n', '\u{a0}'], " ");
    assert!(
        mail.subject.starts_with("[TEST] Order W-1042") && flat.contains("News of Mar 3, 2026 at 2:02 PM, sent late because"),
        "{flat}"
    );
    assert!(mail.text.contains("TEST: not real") && c.notice_sms(&n, "", false).unwrap().text.starts_with("TEST Fresh Fields: "));
    assert!(c.notice_chat(&n).unwrap().title.starts_with("TEST: ") && c.notice_push(&n).unwrap().title.starts_with("TEST "));
}

/// JSON that uses the names of the shapes for anything.
fn odd() -> impl Strategy<Value = Json> {
    let texts =
        ["2026-03-05", "https://x.example/a", "9".repeat(30).as_str(), "1.5", "\u{202e}\r\n<b>{{ x }}", "raised", ""].map(str::to_owned);
    let text = prop_oneof![any::<String>(), prop::sample::select(texts.to_vec())];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        text.prop_map(Json::from)
    ];
    let names = [
        "order",
        "return",
        "number",
        "line_items",
        "quantity",
        "shipped",
        "remaining",
        "description",
        "fulfillment",
        "shipments",
        "total",
        "currency",
        "expected",
        "url",
        "tracking_url",
        "fields",
        "title",
        "text",
        "days",
        "incidents",
        "alert",
        "since",
        "made",
        "amount",
        "n",
        "sales",
        "by_channel",
        "date",
        "link",
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        let object = prop::collection::vec((prop::sample::select(names.to_vec()), inner.clone()), 0..8);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Json::from),
            object.prop_map(|all| all.into_iter().map(|(n, v)| (n.to_owned(), v)).collect::<Map<_, _>>().into())
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_is_composed_within_its_budget_or_refused(data in odd(), which in 0..16usize) {
        let (c, shop, brand) = (composer(), shop(), brand());
        let (_, kind, event, _) = samples().swap_remove(which);
        let data = map(if data.is_object() { data } else { json!({"order": data, "days": [], "incidents": []}) });
        let n = Notice { subject: "S-1", ..notice(kind, event, &data, &shop, &brand) };
        if let Ok(mail) = c.notice_email(&n, FROM, "") {
            holds(event, &mail, &mail.text);
        }
        if let Ok(text) = c.notice_sms(&n, "", false) {
            prop_assert!(sms::count(&text.text).segments <= 2);
        }
        if let (Ok(chat), Ok(push), Ok(whatsapp)) = (c.notice_chat(&n), c.notice_push(&n), c.notice_whatsapp(&n)) {
            fits(&chat, &push, &whatsapp);
        }
    }
}
