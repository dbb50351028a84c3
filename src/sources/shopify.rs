//! Shopify: orders, refunds, shipments and the three privacy topics, by webhooks of an app or of the admin.
//!
//! The body is signed with the app's client secret; headers are not, so the topic and the shop are hints
//! and the shop is held against the allow-list. Everything of a sale is in the webhook. Amounts are
//! decimal text in the shop's currency; the plain members tell the order as it was sold, whatever was
//! edited or refunded since.

use crate::config::checked::Rate;
use crate::config::key::{default, optional};
use crate::config::secret::Secret;
use crate::config::{Key, Shape, TypeKeys};
use crate::domain::fault::Fault;
use crate::domain::money::Currency;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request};
use crate::sources::canonical::{self, Keys, Taxes, document, event, local};
use crate::sources::value::{clean, flag, id, json as read_json, list, major, moment, percent, quantity, set, text, words};
use crate::sources::*;
use serde_json::{Value, json};

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "shopify",
        doc: "Orders of a Shopify shop, its POS included.",
        channels: &[],
        keys: KEYS,
        example: "client_secrets = [\"shpss_secret-of-the-app\"]\nshops = [\"corner-market.myshopify.com\"]",
    },
    check,
    verify,
    delivery_id,
    decode,
    // 2 a second on the standard plan.
    api: Some(Api { base, headers, rate: Rate::per_second(2), concurrency: 2, fixed_token, renewal: Some(RENEWAL), pull: Some(PULL) }),
};

const KEYS: &[Key] = &[
    optional(
        "client_secrets",
        Shape::List(&Shape::Secret),
        "The app's client secret, and during a change the previous one. Webhooks made by hand in the admin have another, shown there.",
    ),
    optional("shops", Shape::List(&Shape::Text), "Shops (NAME.myshopify.com) that are ours; without it all that the secret signs for."),
    optional("access_token", Shape::Secret, "Access token of an app of the admin (shpat_…)."),
    optional(
        "client_id",
        Shape::Text,
        "Client id of an app of the Dev Dashboard: with the first client secret it fetches a token each day.",
    ),
    default("api_version", Shape::Text, "\"2026-07\"", "Version of the API that is asked."),
    API_BASE,
    PULL_EVERY,
    LOOKUP_WAIT,
    ENRICH_WAIT,
    RECEIPTS,
    TEST,
];

fn check(setup: &Setup<'_>) -> Result<(), String> {
    let asks = has_token(setup);
    match (setup.secrets("client_secrets").is_empty() && !asks, asks && setup.texts("shops").len() != 1) {
        (true, _) => Err("client_secrets (for webhooks) or access_token (for pulling) is missing".to_owned()),
        (_, true) => Err("a source that asks the API belongs to one shop: name it alone in shops".to_owned()),
        _ if !setup.texts("shops").iter().all(|shop| is_host(shop)) => {
            Err("shops must be names such as corner-market.myshopify.com".to_owned())
        }
        _ => Ok(()),
    }
}

fn has_token(setup: &Setup<'_>) -> bool {
    !setup.source.settings.secret("access_token").is_empty() || !setup.text("client_id").is_empty()
}

fn is_host(text: &str) -> bool {
    text.contains('.') && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
}

/// The newer names have no prefix.
fn hint<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    let old = header(headers, &format!("x-shopify-{name}"));
    old.or_else(|| header(headers, &format!("shopify-{name}"))).unwrap_or_default()
}

fn verify(setup: &Setup<'_>, given: &Given<'_>, _: Moment) -> Verdict {
    let names = ["x-shopify-hmac-sha256", "shopify-hmac-sha256"];
    match sign::hmac_base64(given, &names, &setup.secrets("client_secrets"), &[given.body]) {
        Verdict::Accepted if hint(given.headers, "topic").is_empty() => Verdict::Unusable("no_topic"),
        Verdict::Accepted if read_json(given.body).is_err() => Verdict::Unusable("not_json"),
        verdict => verdict,
    }
}

/// A retry has the same webhook id; a second subscription to a topic the same event id.
fn delivery_id(_: &Setup<'_>, given: &Given<'_>) -> Option<String> {
    let (topic, event_id) = (hint(given.headers, "topic"), hint(given.headers, "event-id"));
    let own = hint(given.headers, "webhook-id");
    Some(if event_id.is_empty() { own.to_owned() } else { format!("{topic}|{event_id}") }).filter(|id| !id.is_empty())
}

fn decode(setup: &Setup<'_>, raw: &Raw<'_>, answers: &Answers) -> Decoded {
    let body = match read_json(raw.body) {
        Ok(body) => body,
        Err(faults) => return Decoded::Unusable(faults),
    };
    let shop = match hint(raw.headers, "shop-domain") {
        "" if raw.via == Via::Pull => setup.texts("shops").first().copied().unwrap_or_default(),
        "" => text(&body, "/shop_domain"),
        shop => shop,
    };
    if !setup.allows("shops", shop) {
        return Decoded::Nothing("foreign_shop");
    }
    if flag(&body, "/test") && !setup.is_test() {
        return Decoded::Nothing("test_order");
    }
    let event_id = [hint(raw.headers, "event-id"), hint(raw.headers, "webhook-id")].into_iter().find(|i| !i.is_empty()).unwrap_or_default();
    let mut reading = Reading {
        setup,
        answers,
        shop: clean(&shop.to_ascii_lowercase(), 200),
        event_id: event_id.to_owned(),
        at: raw.at,
        told: Told::default(),
    };
    let done = match (raw.via, hint(raw.headers, "topic")) {
        (Via::Pull, _) => reading.pulled(&body),
        (_, "orders/paid" | "orders/create" | "orders/updated") => reading.paid(&body),
        (_, "orders/cancelled") => reading.cancelled(&body),
        (_, "orders/partially_fulfilled" | "orders/fulfilled") => reading.shipped(&body),
        (_, "fulfillments/create" | "fulfillments/update") => reading.fulfilment(&body),
        (_, "refunds/create") => reading.refund(&body, None),
        (_, "customers/redact" | "shop/redact" | "customers/data_request") => reading.privacy(hint(raw.headers, "topic"), &body),
        _ => return Decoded::Nothing("other_topic"),
    };
    match done {
        Ok(()) => reading.told.or_nothing("not_final"),
        Err(faults) => Decoded::Unusable(faults),
    }
}

struct Reading<'a> {
    setup: &'a Setup<'a>,
    answers: &'a Answers,
    shop: String,
    event_id: String,
    at: UnixMs,
    told: Told,
}

type Done = Result<(), Vec<Fault>>;

impl Reading<'_> {
    fn keys(&self, business_key: String, order: &Value, order_id: String) -> Keys {
        Keys {
            business_key,
            version: moment(text(order, "/updated_at")).map_or(0, |at| at.0),
            account: self.shop.clone(),
            location: id(order, "/location_id"),
            order_id,
            payment_ids: Vec::new(),
            event_ids: Some(self.event_id.clone()).into_iter().filter(|i| !i.is_empty()).collect(),
        }
    }

    /// An order as the API gives it: the sale, its refunds, its end.
    fn pulled(&mut self, order: &Value) -> Done {
        self.paid(order)?;
        for refund in list(order, "/refunds").iter().take(100) {
            self.refund(refund, Some(order))?;
        }
        if !text(order, "/cancelled_at").is_empty() {
            self.cancelled(order)?;
        }
        if !list(order, "/fulfillments").is_empty() { self.shipped(order) } else { Ok(()) }
    }

    fn paid(&mut self, order: &Value) -> Done {
        // What was refunded since was paid before.
        if !matches!(text(order, "/financial_status"), "paid" | "partially_refunded" | "refunded")
            || !text(order, "/cancelled_at").is_empty()
        {
            return Ok(());
        }
        let own = order_id(order)?;
        let sale = self.sale(order, "sale");
        let keys = self.keys(own.clone(), order, own);
        self.told.events.push(document(self.setup, "sale.completed", keys, sale)?);
        Ok(())
    }

    fn cancelled(&mut self, order: &Value) -> Done {
        let own = order_id(order)?;
        let was_paid = matches!(text(order, "/financial_status"), "paid" | "partially_refunded" | "refunded" | "voided");
        if was_paid {
            let mut sale = self.sale(order, "void");
            set(&mut sale, "transaction_id", json!(format!("{own}-void")));
            set(&mut sale, "related", json!({"transaction_id": own, "receipt_number": words(order, "/name"), "type": "corrects"}));
            // The customer hears of it by the order's own news.
            set(&mut sale, "customer", Value::Null);
            let keys = self.keys(format!("void:{own}"), order, own.clone());
            self.told.events.push(document(self.setup, "sale.voided", keys, sale)?);
        }
        let keys = self.keys(format!("cancelled:{own}"), order, own.clone());
        let data = json!({"order": self.news(order), "fulfillment": {"status": "cancelled"}, "reason": words(order, "/cancel_reason"), "customer": customer(order)});
        let at = moment(text(order, "/cancelled_at")).unwrap_or(self.at);
        self.told.events.push(event(self.setup, "order.cancelled", keys, at, &own, data));
        Ok(())
    }

    /// One message for each shipment: its key is the shipment's, whichever topic tells it first.
    fn shipped(&mut self, order: &Value) -> Done {
        let own = order_id(order)?;
        let Some(last) = list(order, "/fulfillments").iter().rev().find(|f| text(f, "/status") != "cancelled") else { return Ok(()) };
        let (kind, status) = match text(order, "/fulfillment_status") {
            "fulfilled" => ("order.fulfilled", "fulfilled"),
            "partial" => ("order.partially_shipped", "partially_shipped"),
            _ => return Ok(()),
        };
        let fulfilment = json!({"status": status, "shipments": [shipment(last)]});
        let data = json!({"order": self.news(order), "fulfillment": fulfilment, "customer": customer(order)});
        let keys = self.keys(format!("{own}/{}", id(last, "/id")), order, own.clone());
        let at = moment(text(last, "/updated_at")).unwrap_or(self.at);
        self.told.events.push(event(self.setup, kind, keys, at, &own, data));
        Ok(())
    }

    fn fulfilment(&mut self, fulfilment: &Value) -> Done {
        let (own, order) = (id(fulfilment, "/id"), id(fulfilment, "/order_id"));
        if own.is_empty() || order.is_empty() || text(fulfilment, "/status") != "success" {
            return Ok(());
        }
        let customer = json!({"email": words(fulfilment, "/email")});
        let (kind, key, status) = match text(fulfilment, "/shipment_status") {
            "delivered" => ("order.updated", format!("{order}/{own}/delivered"), "delivered"),
            "out_for_delivery" => ("order.updated", format!("{order}/{own}/out"), "out_for_delivery"),
            _ => ("order.shipped", format!("{order}/{own}"), "shipped"),
        };
        let keys = self.keys(key, fulfilment, order.clone());
        let at = moment(text(fulfilment, "/updated_at")).unwrap_or(self.at);
        let number = text(fulfilment, "/name").rsplit_once('.').map(|(number, _)| clean(number, 100));
        let data = json!({"order": {"id": order, "number": number}, "fulfillment": {"status": status, "shipments": [shipment(fulfilment)]}, "customer": customer});
        self.told.events.push(event(self.setup, kind, keys, at, &order, data));
        Ok(())
    }

    /// The order as a notice shows it: each line with what is still to come.
    fn news(&self, order: &Value) -> Value {
        let currency = canonical::currency(text(order, "/currency"), self.setup);
        let lines = list(order, "/line_items").iter().take(500).map(|l| {
            json!({"description": title(l, "Item"), "item_id": id(l, "/id"), "quantity": quantity(l.get("quantity")),
                "remaining": quantity(l.get("fulfillable_quantity"))})
        });
        json!({"id": id(order, "/id"), "number": words(order, "/name"), "line_items": lines.collect::<Vec<_>>(),
            "currency": currency.code(), "total": major(order, "/total_price", currency)})
    }

    fn sale(&self, order: &Value, transaction_type: &str) -> Value {
        let currency = canonical::currency(text(order, "/currency"), self.setup);
        let money = |pointer: &str| major(order, pointer, currency);
        let included = flag(order, "/taxes_included");
        let lines: Vec<Value> = list(order, "/line_items").iter().take(20_000).map(|l| line(l, order, included, currency)).collect();
        let mut taxes = Taxes::default();
        for tax in list(order, "/tax_lines") {
            taxes.add(&words(tax, "/title"), percent(tax.get("rate")), 0, major(tax, "/price", currency).unwrap_or(0));
        }
        let shipping = list(order, "/shipping_lines").iter().filter_map(|s| {
            let off: i64 =
                list(s, "/discount_allocations").iter().filter_map(|d| major(d, "/amount", currency)).fold(0, i64::saturating_add);
            let amount = major(s, "/price", currency)?.saturating_sub(off);
            (amount > 0).then(|| json!({"description": title(s, "Shipping"), "amount": amount}))
        });
        let total = money("/total_price").unwrap_or(0);
        let tip = money("/total_tip_received").filter(|t| *t > 0);
        let rounding = money("/total_cash_rounding_payment_adjustment_set/shop_money/amount").filter(|r| *r != 0);
        let at_text = [text(order, "/processed_at"), text(order, "/created_at")].into_iter().find(|t| moment(t).is_some());
        json!({
            "transaction_type": transaction_type, "receipt_number": clean(text(order, "/name"), 100),
            "receipt_date_time": at_text.map_or_else(|| local(self.at, self.setup), str::to_owned),
            "workstation_id": id(order, "/device_id"), "operator_id": id(order, "/user_id"),
            "currency_code": currency.code(), "tax_included": included,
            "line_items": lines, "taxes": taxes.json(included), "service_charges": shipping.collect::<Vec<_>>(),
            "tenders": tenders(order, total, tip),
            "totals": {"gross_amount": money("/total_line_items_price"), "discount_amount": money("/total_discounts"), "tax_amount": money("/total_tax"),
                "tip_amount": tip, "rounding_amount": rounding, "grand_amount": total},
            "customer": customer(order),
            "tax_exempt": flag(order, "/tax_exempt").then(|| json!({"reason": "exempt"})),
        })
    }

    fn refund(&mut self, refund: &Value, order: Option<&Value>) -> Done {
        let (own, order_id) = (id(refund, "/id"), id(refund, "/order_id"));
        let paid =
            |t: &&Value| text(t, "/kind") == "refund" && text(t, "/status") == "success" && (!flag(t, "/test") || self.setup.is_test());
        let paid: Vec<&Value> = list(refund, "/transactions").iter().filter(paid).collect();
        let Some(first) = paid.first().filter(|_| is_number(&own)) else { return Ok(()) };
        let currency = canonical::currency(text(first, "/currency"), self.setup);
        let money = |v: &Value, pointer: &str| major(v, pointer, currency).unwrap_or(0);
        let amount = paid.iter().map(|t| money(t, "/amount")).fold(0i64, i64::saturating_add);
        let goods = list(refund, "/refund_line_items");
        let (net, tax) = goods
            .iter()
            .fold((0i64, 0i64), |(net, tax), l| (net.saturating_add(money(l, "/subtotal")), tax.saturating_add(money(l, "/total_tax"))));
        let included = net.saturating_add(tax) != amount || tax == 0;
        let mut lines: Vec<Value> = goods.iter().take(20_000).map(|l| refund_line(l, included, currency)).collect();
        if lines.is_empty() {
            lines.push(json!({"description": "Refund", "quantity": "1", "extended_amount": amount, "note": words(refund, "/note")}));
        }
        // Shipping, restocking and what else is no article.
        let rest = if goods.is_empty() { 0 } else { amount.saturating_sub(net).saturating_sub(if included { 0 } else { tax }) };
        let order = match order {
            Some(order) => order.clone(),
            None => self.order(&own, &order_id),
        };
        let tenders: Vec<Value> =
            paid.iter().map(|t| json!({"tender_type": tender_type(text(t, "/gateway")), "amount": money(t, "/amount")})).collect();
        let at_text = [text(refund, "/processed_at"), text(refund, "/created_at")].into_iter().find(|t| moment(t).is_some());
        let sale = json!({
            "transaction_type": "return", "receipt_number": clean(text(&order, "/name"), 100),
            "receipt_date_time": at_text.map_or_else(|| local(self.at, self.setup), str::to_owned),
            "currency_code": currency.code(), "tax_included": included, "line_items": lines,
            "service_charges": (rest > 0).then(|| vec![json!({"description": "Adjustment", "amount": rest})]),
            "taxes": (tax > 0).then(|| vec![json!({"tax_type": canonical::tax_type("", included), "amount": tax})]),
            "tenders": tenders, "totals": {"tax_amount": tax, "grand_amount": amount},
            "related": {"transaction_id": order_id, "receipt_number": words(&order, "/name"), "type": "return_of"},
            "customer": customer(&order),
        });
        let mut keys = self.keys(own, refund, order_id);
        keys.location = id(first, "/location_id");
        keys.payment_ids = paid.iter().map(|t| id(t, "/parent_id")).filter(|i| !i.is_empty()).collect();
        self.told.events.push(document(self.setup, "refund.processed", keys, sale)?);
        Ok(())
    }

    /// The order behind a refund: it knows the customer and the number.
    fn order(&mut self, of: &str, order_id: &str) -> Value {
        if !is_number(order_id) || !has_token(self.setup) {
            return Value::Null;
        }
        let key = format!("order:{order_id}");
        match self.answers.get(&key) {
            Some(Answered::Found(body)) => {
                let mut answer: Value = serde_json::from_slice(body).unwrap_or_default();
                answer.get_mut("order").map(Value::take).unwrap_or_default()
            }
            Some(Answered::Absent) => Value::Null,
            None => {
                let path = format!("/admin/api/{}/orders/{order_id}.json", self.setup.text("api_version"));
                self.told.lookups.push(LookUp::new(key, of, Need::Enriches, path));
                Value::Null
            }
        }
    }

    /// The law's topics: what is to be erased at once, and what a person has to see.
    fn privacy(&mut self, topic: &str, body: &Value) -> Done {
        let orders: Vec<String> =
            ["/orders_to_redact", "/orders_requested"].iter().flat_map(|p| list(body, p)).take(10_000).map(|o| id(o, "")).collect();
        let customer =
            json!({"id": id(body, "/customer/id"), "email": words(body, "/customer/email"), "phone": words(body, "/customer/phone")});
        let (kind, scope) = match topic {
            "customers/data_request" => ("contact.export_requested", "customer"),
            "shop/redact" => ("contact.erasure_requested", "shop"),
            _ => ("contact.erasure_requested", "customer"),
        };
        let data = json!({"scope": scope, "customer": customer, "orders": orders, "request_id": id(body, "/data_request/id")});
        let who = [id(body, "/customer/id"), id(body, "/shop_id")].into_iter().find(|i| !i.is_empty()).unwrap_or_default();
        let key = format!("{topic}:{who}:{}", self.event_id);
        let keys = self.keys(key, body, String::new());
        self.told.events.push(event(self.setup, kind, keys, self.at, "", data));
        Ok(())
    }
}

fn order_id(order: &Value) -> Result<String, Vec<Fault>> {
    let own = id(order, "/id");
    if is_number(&own) { Ok(own) } else { Err(vec![Fault::new("/id", "missing", "the order has no id")]) }
}

/// Ids are put into paths: nothing else passes.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit())
}

fn title(value: &Value, otherwise: &str) -> String {
    let found = ["/name", "/title", "/code"].iter().map(|p| words(value, p)).find(|t| !t.is_empty());
    found.unwrap_or_else(|| otherwise.to_owned())
}

fn line(line: &Value, order: &Value, included: bool, currency: Currency) -> Value {
    let count = line.get("quantity").and_then(Value::as_i64).unwrap_or(1).clamp(0, 1_000_000);
    let price = major(line, "/price", currency).unwrap_or(0);
    let mut left = price.saturating_mul(count);
    let mut modifiers = Vec::new();
    for allocation in list(line, "/discount_allocations") {
        let amount = major(allocation, "/amount", currency).unwrap_or(0);
        let n = allocation.get("discount_application_index").and_then(Value::as_u64).unwrap_or(0);
        let application = order.pointer(&format!("/discount_applications/{n}")).cloned().unwrap_or_default();
        let name = ["/title", "/code", "/description"].iter().map(|p| words(&application, p)).find(|t| !t.is_empty());
        let method = if text(&application, "/type") == "discount_code" { "Coupon" } else { "GeneralDiscount" };
        modifiers.extend(canonical::discount(method, &name.unwrap_or_default(), amount));
        left = left.saturating_sub(amount);
    }
    let taxes = list(line, "/tax_lines").iter().filter_map(|t| {
        let amount = major(t, "/price", currency).filter(|a| *a >= 0)?;
        Some(json!({"tax_type": canonical::tax_type(text(t, "/title"), included), "percent": percent(t.get("rate")), "amount": amount}))
    });
    let (member, number) = canonical::item(text(line, "/sku"));
    let mut out = json!({"description": title(line, "Item"), "quantity": count.to_string(), "regular_sales_unit_price": price.max(0),
        "extended_amount": left.max(0), "price_modifiers": modifiers, "taxes": taxes.collect::<Vec<_>>()});
    set(&mut out, member, number);
    out
}

fn refund_line(line: &Value, included: bool, currency: Currency) -> Value {
    let (amount, tax) = (major(line, "/subtotal", currency).unwrap_or(0), major(line, "/total_tax", currency).unwrap_or(0));
    let goods = line.get("line_item").cloned().unwrap_or_default();
    json!({"description": title(&goods, "Item"), "item_id": words(&goods, "/sku"), "quantity": quantity(line.get("quantity")).unwrap_or_else(|| "1".into()),
        "regular_sales_unit_price": major(&goods, "/price", currency).filter(|p| *p >= 0), "extended_amount": amount.max(0),
        "taxes": (tax > 0).then(|| vec![json!({"tax_type": canonical::tax_type(text(&goods, "/tax_lines/0/title"), included), "amount": tax})])})
}

/// The webhook names the ways to pay but not how much went by each: several become one.
fn tenders(order: &Value, total: i64, tip: Option<i64>) -> Vec<Value> {
    let names: Vec<String> = list(order, "/payment_gateway_names").iter().filter_map(Value::as_str).map(tender_type).collect();
    let name = if names.is_empty() { "Other".to_owned() } else { clean(&names.join(" + "), 100) };
    vec![json!({"tender_type": name, "amount": total.max(0), "tip_amount": tip})]
}

fn tender_type(gateway: &str) -> String {
    match gateway.to_ascii_lowercase().as_str() {
        "cash" => "Cash".to_owned(),
        "gift_card" => "GiftCard".to_owned(),
        "shopify_store_credit" | "store_credit" => "StoreCredit".to_owned(),
        "shopify_payments" | "bogus" | "stripe" | "authorize_net" | "card" | "external_credit_card" => "CreditDebit".to_owned(),
        "paypal" | "apple_pay" | "google_pay" | "shop_pay" => "Mobile".to_owned(),
        _ => Some(clean(gateway, 60)).filter(|g| !g.is_empty()).unwrap_or_else(|| "Other".to_owned()),
    }
}

fn customer(order: &Value) -> Value {
    let first = |places: &[&str]| places.iter().map(|p| words(order, p)).find(|t| !t.is_empty()).unwrap_or_default();
    let consent = match text(order, "/customer/email_marketing_consent/state") {
        "subscribed" => Some(true),
        "unsubscribed" => Some(false),
        _ => None,
    };
    json!({
        "id": id(order, "/customer/id"),
        "name": clean(&format!("{} {}", words(order, "/customer/first_name"), words(order, "/customer/last_name")), 200),
        "email": first(&["/email", "/contact_email", "/customer/email"]), "phone": first(&["/phone", "/customer/phone"]),
        "language": words(order, "/customer_locale"), "marketing_consent": consent,
    })
}

fn shipment(fulfilment: &Value) -> Value {
    let lines = list(fulfilment, "/line_items").iter().take(500);
    let lines: Vec<Value> =
        lines.map(|l| json!({"description": title(l, "Item"), "item_id": id(l, "/id"), "quantity": quantity(l.get("quantity"))})).collect();
    json!({"id": id(fulfilment, "/id"), "carrier": words(fulfilment, "/tracking_company"), "tracking_number": words(fulfilment, "/tracking_number"),
        "tracking_url": words(fulfilment, "/tracking_urls/0"), "line_items": lines})
}

fn base(setup: &Setup<'_>) -> Result<String, String> {
    let shop = setup.texts("shops").first().copied().filter(|shop| is_host(shop));
    shop.map(|shop| format!("https://{}", shop.to_ascii_lowercase())).ok_or_else(|| "shops names no shop to ask".to_owned())
}

fn headers(_: &Setup<'_>, token: &Secret) -> Vec<(String, String)> {
    vec![("X-Shopify-Access-Token".to_owned(), token.expose().to_owned())]
}

fn fixed_token(setup: &Setup<'_>) -> Option<Secret> {
    Some(setup.source.settings.secret("access_token")).filter(|token| !token.is_empty())
}

/// Client credentials: a token of 24 h, without one for renewal.
const RENEWAL: Renewal = Renewal { request: token_request, read: token, renew_at: 95 };

fn token_request(setup: &Setup<'_>, _: Option<&Tokens>) -> Option<Result<Request, String>> {
    let secret = setup.secrets("client_secrets").into_iter().next()?;
    let client = Some(setup.text("client_id")).filter(|id| !id.is_empty())?;
    let body = form(&[("grant_type", "client_credentials"), ("client_id", client), ("client_secret", secret.expose())]);
    let headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
    let url = super::base(&KIND, setup).map(|base| format!("{base}/admin/oauth/access_token"));
    Some(url.map(|url| Request { method: "POST", url, headers, body }))
}

fn token(answer: &Answer, before: Option<&Tokens>, now: UnixMs) -> Renewed {
    renewed(answer, before, now, |body| {
        let life = body.get("expires_in").and_then(Value::as_i64);
        (text(body, "/access_token").to_owned(), String::new(), life.map(|s| UnixMs(now.0.saturating_add(s.saturating_mul(1000)))), None)
    })
}

/// Orders by the time of their last change, oldest first.
const PULL: Pull = Pull { begin, request: page_request, read: page };

fn begin(_: &Setup<'_>, now: UnixMs) -> Vec<Cursor> {
    vec![Cursor { since: now.0.saturating_sub(OVERLAP), ..Cursor::default() }]
}

const LONGEST: i64 = 30 * 86_400_000;

fn page_request(setup: &Setup<'_>, cursor: &Cursor, token: &Secret, now: UnixMs) -> Result<Request, String> {
    let window = cursor.window(now, LONGEST);
    let query = if cursor.page.is_empty() {
        let (since, until) = (UnixMs(window.since).rfc3339(), UnixMs(window.until).rfc3339());
        format!("status=any&order=updated_at+asc&updated_at_min={since}&updated_at_max={until}")
    } else {
        format!("page_info={}", cursor.page)
    };
    let path = format!("/admin/api/{}/orders.json?limit=250&{query}", setup.text("api_version"));
    request(&KIND, setup, &LookUp::new("", "", Need::Enriches, path), token)
}

fn page(_: &Setup<'_>, cursor: &Cursor, answer: &Answer, asked: UnixMs) -> Result<Page, String> {
    let window = cursor.window(asked, LONGEST);
    let body = read_json(&answer.body).map_err(|_| "the list of orders is not JSON")?;
    let orders = body.get("orders").and_then(Value::as_array).ok_or("the answer is not a list of orders")?;
    let key = |order: &Value| format!("pull|{}|{}", id(order, "/id"), text(order, "/updated_at"));
    let items = orders.iter().map(|o| (key(o), o.to_string().into_bytes())).collect();
    let next = answer.header("link").into_iter().flat_map(|link| link.split(',')).find(|part| part.contains("rel=\"next\""));
    let next = next.and_then(|part| part.split("page_info=").nth(1)).map(|rest| rest.split(['&', '>']).next().unwrap_or_default());
    Ok(
        match next.filter(|page| {
            !page.is_empty() && page.len() < 4000 && page.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.=%~".contains(&b))
        }) {
            Some(page) => Page { items, next: Cursor { page: page.to_owned(), ..window }, more: true },
            None => Page { items, next: window.closed(asked), more: window.until.saturating_add(OVERLAP) < asked.0 },
        },
    )
}
