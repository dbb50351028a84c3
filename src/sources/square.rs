//! Square: payments and refunds by webhooks, their orders and customers by look-ups.
//!
//! Signed are the notification URL, exactly as it was registered, and the body. A payment knows no line
//! and no tax: the order has them, and its id is the key of the receipt, as one order may be paid by
//! several payments. It counts as sold when nothing is due any more. Orders without any payment event are
//! never a trigger; what is pending, approved only, failed or partly paid sends nothing.

use crate::config::checked::Rate;
use crate::config::key::{default, optional};
use crate::config::secret::Secret;
use crate::config::{Key, Shape, TypeKeys};
use crate::domain::fault::Fault;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request};
use crate::sources::canonical::{self, Keys, Taxes, document, event, local};
use crate::sources::value::{clean, decimal, flag, id, int, json as read_json, list, minor, moment, quantity, set, text, words};
use crate::sources::*;
use serde_json::{Value, json};

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "square",
        doc: "Sales of Square's Point of Sale and its payments API.",
        channels: &[],
        keys: KEYS,
        example: "signature_keys = [\"key-of-the-subscription\"]\nnotification_url = \"https://shop.example.org/hooks/square\"\naccess_token = \"token-of-the-account\"",
    },
    check,
    verify,
    delivery_id,
    decode,
    // Limits are not published.
    api: Some(Api {
        base: |_| Ok("https://connect.squareup.com".to_owned()),
        headers,
        rate: Rate::per_second(10),
        concurrency: 5,
        fixed_token,
        renewal: Some(RENEWAL),
        pull: Some(PULL),
    }),
};

const KEYS: &[Key] = &[
    optional(
        "signature_keys",
        Shape::List(&Shape::Secret),
        "Signature keys of the webhook subscription, the current and the previous one.",
    ),
    optional("notification_url", Shape::Url, "The URL exactly as it was registered: it is part of what is signed."),
    optional("access_token", Shape::Secret, "Token that may read orders and customers. Without it receipts have no lines."),
    optional("client_id", Shape::Text, "Application id, where tokens run out."),
    optional("client_secret", Shape::Secret, "Its secret."),
    optional("refresh_token", Shape::Secret, "The first refresh token; the newest is kept by the agent."),
    optional("locations", Shape::List(&Shape::Text), "Locations that are ours; without it all of the account. Pulling needs it."),
    default("api_version", Shape::Text, "\"2026-09-16\"", "Version of the API that is asked."),
    API_BASE,
    PULL_EVERY,
    LOOKUP_WAIT,
    ENRICH_WAIT,
    RECEIPTS,
    TEST,
];

fn check(setup: &Setup<'_>) -> Result<(), String> {
    match (setup.secrets("signature_keys").is_empty(), setup.text("notification_url").is_empty(), asks(setup)) {
        (false, true, _) => Err("notification_url is missing: it is part of what Square signs".to_owned()),
        (true, _, false) => Err("signature_keys (for webhooks) or access_token (for pulling) is missing".to_owned()),
        _ => Ok(()),
    }
}

fn asks(setup: &Setup<'_>) -> bool {
    let settings = &setup.source.settings;
    !settings.secret("access_token").is_empty() || !settings.secret("refresh_token").is_empty()
}

fn verify(setup: &Setup<'_>, given: &Given<'_>, _: Moment) -> Verdict {
    // A configured URL counts; what a proxy makes of the request's own does not.
    let url = Some(setup.text("notification_url")).filter(|url| !url.is_empty()).unwrap_or(given.url);
    let parts: [&[u8]; 2] = [url.as_bytes(), given.body];
    match sign::hmac_base64(given, &["x-square-hmacsha256-signature"], &setup.secrets("signature_keys"), &parts) {
        Verdict::Accepted if read_json(given.body).is_err() => Verdict::Unusable("not_json"),
        verdict => verdict,
    }
}

/// Two types of event have been seen with one id.
fn delivery_id(_: &Setup<'_>, given: &Given<'_>) -> Option<String> {
    let body = read_json(given.body).ok()?;
    let own = id(&body, "/event_id");
    (!own.is_empty()).then(|| format!("{}|{own}", text(&body, "/type")))
}

fn decode(setup: &Setup<'_>, raw: &Raw<'_>, answers: &Answers) -> Decoded {
    let body = match read_json(raw.body) {
        Ok(body) => body,
        Err(faults) => return Decoded::Unusable(faults),
    };
    let mut reading = Reading {
        setup,
        answers,
        account: id(&body, "/merchant_id"),
        event_id: id(&body, "/event_id"),
        at: moment(text(&body, "/created_at")).unwrap_or(raw.at),
        told: Told::default(),
    };
    let object = |name: &str| body.pointer(&format!("/data/object/{name}")).filter(|o| o.is_object()).cloned().unwrap_or_default();
    let done = match text(&body, "/type") {
        "" if raw.via == Via::Pull => reading.pulled(&body),
        "payment.created" | "payment.updated" => reading.payment(&object("payment")),
        "refund.created" | "refund.updated" => reading.refund(&object("refund")),
        "order.updated" => reading.order_updated(&object("order_updated")),
        "order.fulfillment.updated" => reading.fulfilment(&object("order_fulfillment_updated")),
        "customer.updated" | "customer.created" => reading.customer(&object("customer"), "contact.added"),
        "customer.deleted" => reading.customer(&object("customer"), "contact.erasure_requested"),
        "" => return Decoded::Unusable(vec![Fault::new("/type", "missing", "the event has no type")]),
        _ => return Decoded::Nothing("other_event"),
    };
    match done {
        Ok(()) => reading.told.or_nothing("not_final"),
        Err(Stop::Nothing(why)) => Decoded::Nothing(why),
        Err(Stop::Faults(faults)) => Decoded::Unusable(faults),
    }
}

enum Stop {
    Nothing(&'static str),
    Faults(Vec<Fault>),
}

impl From<Vec<Fault>> for Stop {
    fn from(faults: Vec<Fault>) -> Stop {
        Stop::Faults(faults)
    }
}

type Done = Result<(), Stop>;

/// The answer to a question about one object.
enum Known {
    /// It has to be asked first.
    Open,
    /// It is not to be had.
    Absent,
    Is(Value),
}

struct Reading<'a> {
    setup: &'a Setup<'a>,
    answers: &'a Answers,
    account: String,
    event_id: String,
    at: UnixMs,
    told: Told,
}

impl Reading<'_> {
    fn ask(&mut self, what: &str, one: &str, of: &str, need: Need) -> Known {
        let (key, name) = (format!("{what}:{one}"), what.trim_end_matches('s'));
        match self.answers.get(&key) {
            Some(Answered::Found(body)) => {
                let mut answer: Value = serde_json::from_slice(body).unwrap_or_default();
                answer.get_mut(name).map(Value::take).filter(Value::is_object).map_or(Known::Absent, Known::Is)
            }
            Some(Answered::Absent) => Known::Absent,
            None if !is_id(one) || !asks(self.setup) => Known::Absent,
            None => {
                self.told.lookups.push(LookUp::new(key, of, need, format!("/v2/{what}/{one}")));
                Known::Open
            }
        }
    }

    /// The customer, as far as it is known by now.
    fn buyer(&mut self, one: &str, of: &str) -> Value {
        match self.ask("customers", one, of, Need::Enriches) {
            Known::Is(customer) => person(&customer),
            _ => json!({"id": one}),
        }
    }

    fn here(&self, location: &str) -> Done {
        if self.setup.allows("locations", location) { Ok(()) } else { Err(Stop::Nothing("foreign_location")) }
    }

    fn payment(&mut self, payment: &Value) -> Done {
        self.here(text(payment, "/location_id"))?;
        let (own, order_id) = (id(payment, "/id"), id(payment, "/order_id"));
        if !is_id(&own) {
            return Err(Stop::Faults(vec![Fault::new("/data/object/payment/id", "missing", "the payment has no id")]));
        }
        let cancelled = match text(payment, "/status") {
            "COMPLETED" => false,
            "CANCELED" => true,
            _ => return Err(Stop::Nothing("not_final")),
        };
        let of = if is_id(&order_id) { order_id.clone() } else { own };
        match self.ask("orders", &order_id, &of, Need::Required) {
            Known::Open => Ok(()),
            Known::Is(order) if cancelled && text(&order, "/state") != "CANCELED" => Err(Stop::Nothing("paid_another_way")),
            Known::Is(order) => self.order(&order, Some(payment)),
            Known::Absent if cancelled => self.slip(payment, &of, "void"),
            Known::Absent => self.slip(payment, &of, "sale"),
        }
    }

    /// It tells neither lines nor payments. Only its end is worth a question.
    fn order_updated(&mut self, update: &Value) -> Done {
        self.here(text(update, "/location_id"))?;
        if !matches!(text(update, "/state"), "COMPLETED" | "CANCELED") {
            return Err(Stop::Nothing("not_final"));
        }
        let own = id(update, "/order_id");
        match self.ask("orders", &own, &own, Need::Required) {
            Known::Open => Ok(()),
            Known::Is(order) => self.order(&order, None),
            Known::Absent => Err(Stop::Nothing("order_unknown")),
        }
    }

    /// An order of the search; what it returns is told by its own refund order.
    fn pulled(&mut self, order: &Value) -> Done {
        self.here(text(order, "/location_id"))?;
        self.event_id = String::new();
        if list(order, "/line_items").is_empty() && !list(order, "/returns").is_empty() {
            for refund in list(order, "/refunds").iter().take(100) {
                let status = if text(refund, "/status") == "APPROVED" { "COMPLETED" } else { text(refund, "/status") };
                let refund = json!({"id": refund.get("id"), "status": status, "amount_money": refund.get("amount_money"), "payment_id": refund.get("tender_id"),
                    "order_id": order.get("id"), "location_id": order.get("location_id"), "created_at": refund.get("created_at"),
                    "updated_at": order.get("updated_at"), "reason": refund.get("reason")});
                self.refund_of(&refund, order)?;
            }
            return Ok(());
        }
        if list(order, "/tenders").is_empty() && text(order, "/state") != "CANCELED" {
            return Err(Stop::Nothing("not_paid"));
        }
        self.order(order, None)
    }

    fn order(&mut self, order: &Value, payment: Option<&Value>) -> Done {
        let of = id(order, "/id");
        let void = text(order, "/state") == "CANCELED";
        if list(order, "/line_items").is_empty() {
            return Err(Stop::Nothing("no_sale_in_it"));
        }
        if !void && minor(order, "/net_amount_due_money/amount").unwrap_or(0) > 0 {
            return Err(Stop::Nothing("partly_paid"));
        }
        if !void && text(order, "/state") == "DRAFT" {
            return Err(Stop::Nothing("not_final"));
        }
        let customer_id = [id(order, "/customer_id"), payment.map(|p| id(p, "/customer_id")).unwrap_or_default()];
        let customer_id = customer_id.into_iter().find(|c| !c.is_empty()).unwrap_or_default();
        let mut buyer = if void { json!({"id": customer_id}) } else { self.buyer(&customer_id, &of) };
        if let Some(payment) = payment.filter(|_| text(&buyer, "/email").is_empty()) {
            set(&mut buyer, "email", words(payment, "/buyer_email_address"));
        }
        let mut sale = sale(order, payment, self.setup, self.at);
        set(&mut sale, "customer", buyer);
        let mut keys = self.keys(&of, order, &of);
        keys.payment_ids = list(order, "/tenders").iter().map(|t| id(t, "/payment_id")).filter(|p| !p.is_empty()).collect();
        if let Some(own) = payment.map(|p| id(p, "/id")).filter(|own| !keys.payment_ids.contains(own)) {
            keys.payment_ids.push(own);
        }
        if void {
            set(&mut sale, "transaction_type", "void");
            set(&mut sale, "transaction_id", format!("{of}-void"));
            set(&mut sale, "related", json!({"transaction_id": of, "type": "corrects"}));
            keys.business_key = format!("void:{of}");
        }
        self.told.events.push(document(self.setup, if void { "sale.voided" } else { "sale.completed" }, keys, sale)?);
        Ok(())
    }

    fn keys(&self, business_key: &str, object: &Value, order_id: &str) -> Keys {
        Keys {
            business_key: business_key.to_owned(),
            version: int(object, "/version").or_else(|| moment(text(object, "/updated_at")).map(|at| at.0)).unwrap_or(0),
            account: self.account.clone(),
            location: id(object, "/location_id"),
            order_id: order_id.to_owned(),
            payment_ids: Vec::new(),
            event_ids: Some(self.event_id.clone()).into_iter().filter(|e| !e.is_empty()).collect(),
        }
    }

    /// What a payment alone tells: total, tip, tender, time.
    fn slip(&mut self, payment: &Value, of: &str, transaction_type: &str) -> Done {
        let currency = canonical::currency(text(payment, "/total_money/currency"), self.setup);
        let total = minor(payment, "/total_money/amount").unwrap_or(0);
        let tip = minor(payment, "/tip_money/amount").unwrap_or(0);
        let customer_id = id(payment, "/customer_id");
        let mut buyer = self.buyer(&customer_id, of);
        if text(&buyer, "/email").is_empty() {
            set(&mut buyer, "email", words(payment, "/buyer_email_address"));
        }
        let note = Some(words(payment, "/note")).filter(|n| !n.is_empty());
        let mut sale = json!({
            "transaction_type": transaction_type, "receipt_number": words(payment, "/receipt_number"),
            "receipt_date_time": local(time_of(payment).unwrap_or(self.at), self.setup),
            "workstation_id": words(payment, "/device_details/device_name"), "operator_id": words(payment, "/team_member_id"),
            "currency_code": currency.code(), "tax_included": true,
            "line_items": [{"description": "Payment", "quantity": "1", "extended_amount": total.saturating_sub(tip).max(0), "note": note}],
            "tenders": [tender_of_payment(payment)],
            "totals": {"tip_amount": (tip > 0).then_some(tip), "grand_amount": total.max(0)}, "customer": buyer,
        });
        let mut keys = self.keys(of, payment, &id(payment, "/order_id"));
        // A payment's own count of changes does not compare with the order's version.
        keys.version = 0;
        keys.payment_ids = vec![id(payment, "/id")];
        let mut kind = "sale.completed";
        if transaction_type == "void" {
            kind = "sale.voided";
            set(&mut sale, "transaction_id", format!("{of}-void"));
            set(&mut sale, "related", json!({"transaction_id": of, "type": "corrects"}));
            keys.business_key = format!("void:{of}");
        }
        self.told.events.push(document(self.setup, kind, keys, sale)?);
        Ok(())
    }

    fn refund(&mut self, refund: &Value) -> Done {
        self.here(text(refund, "/location_id"))?;
        if text(refund, "/status") != "COMPLETED" {
            return Err(Stop::Nothing("not_final"));
        }
        let (own, order_id) = (id(refund, "/id"), id(refund, "/order_id"));
        let order = match self.ask("orders", &order_id, &own, Need::Enriches) {
            Known::Is(order) => order,
            _ => Value::Null,
        };
        self.refund_of(refund, &order)
    }

    fn refund_of(&mut self, refund: &Value, order: &Value) -> Done {
        let (own, amount) = (id(refund, "/id"), minor(refund, "/amount_money/amount").unwrap_or(0));
        if text(refund, "/status") != "COMPLETED" || own.is_empty() || amount <= 0 {
            return Err(Stop::Nothing("not_final"));
        }
        let returned: Vec<&Value> = list(order, "/returns").iter().flat_map(|r| list(r, "/return_line_items")).take(20_000).collect();
        let sum = |pointer: &str| returned.iter().filter_map(|l| minor(l, pointer)).fold(0i64, i64::saturating_add);
        // The lines are told where they are all of it: several refunds may share one order.
        let whole = !returned.is_empty() && sum("/total_money/amount") == amount;
        let tax = if whole { sum("/total_tax_money/amount").max(0) } else { 0 };
        let source_order = list(order, "/returns").first().map(|r| id(r, "/source_order_id")).unwrap_or_default();
        let reason = words(refund, "/reason");
        let lines: Vec<Value> = if whole {
            returned.iter().map(|l| return_line(l)).collect()
        } else {
            vec![json!({"description": "Refund", "quantity": "1", "extended_amount": amount, "note": reason})]
        };
        let sale = json!({
            "transaction_type": "return", "receipt_date_time": local(moment(text(refund, "/created_at")).unwrap_or(self.at), self.setup),
            "currency_code": canonical::currency(text(refund, "/amount_money/currency"), self.setup).code(), "tax_included": tax == 0,
            "line_items": lines, "taxes": (tax > 0).then(|| vec![json!({"tax_type": "Sales", "amount": tax})]),
            "tenders": [{"tender_type": "CreditDebit", "amount": amount}],
            "totals": {"tax_amount": (tax > 0).then_some(tax), "grand_amount": amount},
            "related": {"transaction_id": if source_order.is_empty() { id(refund, "/payment_id") } else { source_order.clone() }, "type": "return_of"},
            "trailer_text": Some(reason).filter(|_| whole).filter(|r| !r.is_empty()).map(|r| vec![r]),
        });
        let mut keys = self.keys(&own, refund, &source_order);
        keys.payment_ids = Some(id(refund, "/payment_id")).into_iter().filter(|p| !p.is_empty()).collect();
        self.told.events.push(document(self.setup, "refund.processed", keys, sale)?);
        Ok(())
    }

    fn fulfilment(&mut self, update: &Value) -> Done {
        self.here(text(update, "/location_id"))?;
        let order_id = id(update, "/order_id");
        for one in list(update, "/fulfillment_update").iter().take(50) {
            let (kind, status) = match text(one, "/new_state") {
                "PROPOSED" => ("order.confirmed", "proposed"),
                "RESERVED" => ("order.updated", "in_preparation"),
                "PREPARED" => ("order.updated", "ready"),
                "COMPLETED" => ("order.fulfilled", "completed"),
                "CANCELED" => ("order.cancelled", "cancelled"),
                "FAILED" => ("order.cancelled", "failed"),
                _ => continue,
            };
            let keys = self.keys(&format!("{order_id}/{}/{status}", id(one, "/fulfillment_uid")), update, &order_id);
            let at = moment(text(update, "/updated_at")).unwrap_or(self.at);
            let was = text(one, "/old_state").to_ascii_lowercase();
            let data = json!({"order": {"id": order_id}, "fulfillment": {"status": status, "was": was}});
            self.told.events.push(event(self.setup, kind, keys, at, &order_id, data));
        }
        Ok(())
    }

    fn customer(&mut self, customer: &Value, kind: &str) -> Done {
        let own = id(customer, "/id");
        if own.is_empty() {
            return Err(Stop::Nothing("not_final"));
        }
        let keys = self.keys(&format!("{kind}:{own}:{}", self.event_id), customer, "");
        let data = person(customer);
        self.told.events.push(event(self.setup, kind, keys, self.at, "", data));
        Ok(())
    }
}

fn person(customer: &Value) -> Value {
    let name = clean(&format!("{} {}", words(customer, "/given_name"), words(customer, "/family_name")), 200);
    json!({"id": id(customer, "/id"), "name": if name.is_empty() { words(customer, "/company_name") } else { name },
        "email": words(customer, "/email_address"), "phone": words(customer, "/phone_number"),
        "marketing_consent": flag(customer, "/preferences/email_unsubscribed").then_some(false)})
}

/// When a payment was made; one made offline has its true time apart.
fn time_of(payment: &Value) -> Option<UnixMs> {
    moment(text(payment, "/offline_payment_details/client_created_at")).or_else(|| moment(text(payment, "/created_at")))
}

fn amount(value: &Value, name: &str) -> i64 {
    minor(value, &format!("/{name}/amount")).unwrap_or(0)
}

/// The order as a sale. With lines that come back it is an exchange.
fn sale(order: &Value, payment: Option<&Value>, setup: &Setup<'_>, at: UnixMs) -> Value {
    let currency = canonical::currency(text(order, "/total_money/currency"), setup);
    let rates = list(order, "/taxes");
    let inclusive = |uid: &str| rates.iter().any(|t| text(t, "/uid") == uid && text(t, "/type") == "INCLUSIVE");
    let included = !rates.is_empty() && rates.iter().all(|t| text(t, "/type") == "INCLUSIVE");
    let mut taxes = Taxes::default();
    let mut lines: Vec<Value> = list(order, "/line_items").iter().take(20_000).map(|l| line(l, order, included, &inclusive)).collect();
    for rate in rates {
        taxes.add(&words(rate, "/name"), decimal(text(rate, "/percentage")), 0, amount(rate, "applied_money"));
    }
    let returned: Vec<Value> =
        list(order, "/returns").iter().flat_map(|r| list(r, "/return_line_items")).take(20_000).map(return_line).collect();
    let exchange = !returned.is_empty();
    lines.extend(returned.into_iter().map(|mut l| {
        set(&mut l, "line_type", "return");
        l
    }));
    let total = |name: &str, net: &str| {
        if exchange { amount(order.pointer("/net_amounts").unwrap_or(&Value::Null), net) } else { amount(order, name) }
    };
    let (tax, tip) = (total("total_tax_money", "tax_money"), total("total_tip_money", "tip_money"));
    let charges = list(order, "/service_charges").iter().filter_map(|c| {
        let amount = minor(c, "/applied_money/amount").or_else(|| minor(c, "/amount_money/amount")).filter(|a| *a > 0)?;
        let name = Some(words(c, "/name")).filter(|n| !n.is_empty()).unwrap_or_else(|| "Service".to_owned());
        Some(json!({"description": name, "amount": amount, "taxable": minor(c, "/total_tax_money/amount").is_some_and(|t| t > 0)}))
    });
    let when = payment.and_then(time_of).or_else(|| moment(text(order, "/closed_at"))).or_else(|| moment(text(order, "/created_at")));
    let gross = list(order, "/line_items").iter().map(|l| amount(l, "gross_sales_money")).fold(0i64, i64::saturating_add);
    let ticket = words(order, "/ticket_name");
    let number = payment.map(|p| words(p, "/receipt_number")).filter(|n| !n.is_empty()).unwrap_or_else(|| ticket.clone());
    json!({
        "transaction_type": if exchange { "exchange" } else { "sale" }, "receipt_number": clean(&number, 100),
        "receipt_date_time": local(when.unwrap_or(at), setup),
        "workstation_id": payment.map(|p| words(p, "/device_details/device_name")), "operator_id": payment.map(|p| words(p, "/team_member_id")),
        "currency_code": currency.code(), "tax_included": included, "line_items": lines, "taxes": taxes.json(included),
        "service_charges": charges.collect::<Vec<_>>(), "tenders": tenders(order, payment),
        "totals": {"gross_amount": (gross > 0).then_some(gross), "discount_amount": Some(amount(order, "total_discount_money")).filter(|d| *d > 0),
            "tax_amount": Some(tax).filter(|t| *t >= 0), "tip_amount": (tip > 0).then_some(tip),
            "rounding_amount": minor(order, "/rounding_adjustment/amount_money/amount").filter(|r| *r != 0),
            "grand_amount": total("total_money", "total_money")},
        "header_text": Some(ticket).filter(|t| !t.is_empty() && *t != number).map(|t| vec![t]),
    })
}

fn line(line: &Value, order: &Value, included: bool, inclusive: &dyn Fn(&str) -> bool) -> Value {
    let applied = list(line, "/applied_taxes");
    let all = amount(line, "total_tax_money");
    let on_top: i64 =
        applied.iter().filter(|t| !inclusive(text(t, "/tax_uid"))).map(|t| amount(t, "applied_money")).fold(0, i64::saturating_add);
    let on_top = if applied.is_empty() && !included { all } else { on_top };
    let named = |list_name: &str, uid: &str| {
        list(order, list_name).iter().find(|d| text(d, "/uid") == uid && !uid.is_empty()).cloned().unwrap_or_default()
    };
    let mut discounts: Vec<Value> = list(line, "/applied_discounts")
        .iter()
        .filter_map(|d| {
            let name = words(&named("/discounts", text(d, "/discount_uid")), "/name");
            let method = if name.to_ascii_lowercase().contains("coupon") { "Coupon" } else { "GeneralDiscount" };
            canonical::discount(method, &name, amount(d, "applied_money"))
        })
        .collect();
    if discounts.is_empty() {
        discounts.extend(canonical::discount("GeneralDiscount", "", amount(line, "total_discount_money")));
    }
    let modifiers =
        list(line, "/modifiers").iter().map(|m| json!({"description": title(m), "amount": minor(m, "/total_price_money/amount")}));
    let taxes = applied.iter().filter_map(|t| {
        let rate = named("/taxes", text(t, "/tax_uid"));
        let kind = canonical::tax_type(text(&rate, "/name"), included);
        (amount(t, "applied_money") >= 0)
            .then(|| json!({"tax_type": kind, "percent": decimal(text(&rate, "/percentage")), "amount": amount(t, "applied_money")}))
    });
    let variation = Some(words(line, "/variation_name")).filter(|v| !v.is_empty() && v != "Regular");
    let name = match variation {
        Some(variation) => clean(&format!("{}, {variation}", title(line)), 1000),
        None => title(line),
    };
    json!({"description": name, "item_id": id(line, "/catalog_object_id"), "quantity": quantity(line.get("quantity")).unwrap_or_else(|| "1".into()),
        "unit_of_measure_code": unit(line), "regular_sales_unit_price": minor(line, "/base_price_money/amount").filter(|p| *p >= 0),
        "extended_amount": amount(line, "total_money").saturating_sub(on_top).max(0), "price_modifiers": discounts,
        "modifiers": modifiers.collect::<Vec<_>>(), "taxes": taxes.collect::<Vec<_>>(), "note": words(line, "/note")})
}

fn title(value: &Value) -> String {
    Some(words(value, "/name")).filter(|n| !n.is_empty()).unwrap_or_else(|| "Item".to_owned())
}

fn return_line(line: &Value) -> Value {
    let tax = amount(line, "total_tax_money");
    json!({"description": title(line), "quantity": quantity(line.get("quantity")).unwrap_or_else(|| "1".into()),
        "regular_sales_unit_price": minor(line, "/base_price_money/amount").filter(|p| *p >= 0),
        "extended_amount": amount(line, "total_money").saturating_sub(tax).max(0),
        "taxes": (tax > 0).then(|| vec![json!({"tax_type": "Sales", "amount": tax})])})
}

/// UN/CEFACT codes of what is sold by weight, volume or length.
fn unit(line: &Value) -> &'static str {
    let unit = line.pointer("/quantity_unit/measurement_unit").cloned().unwrap_or_default();
    let name = ["/weight_unit", "/volume_unit", "/length_unit"].iter().map(|p| text(&unit, p)).find(|n| !n.is_empty()).unwrap_or_default();
    match name {
        "IMPERIAL_POUND" => "LBR",
        "IMPERIAL_WEIGHT_OUNCE" => "ONZ",
        "METRIC_KILOGRAM" => "KGM",
        "METRIC_GRAM" => "GRM",
        "METRIC_LITER" => "LTR",
        "METRIC_MILLILITER" => "MLT",
        "GENERIC_GALLON" => "GLL",
        "METRIC_METER" => "MTR",
        "IMPERIAL_FOOT" => "FOT",
        _ => "EA",
    }
}

fn tenders(order: &Value, payment: Option<&Value>) -> Vec<Value> {
    let mine = payment.map(|p| id(p, "/id")).unwrap_or_default();
    let of_order = list(order, "/tenders").iter().take(100).map(|t| match payment {
        Some(payment) if !mine.is_empty() && id(t, "/payment_id") == mine => tender_of_payment(payment),
        _ => {
            let as_payment = json!({"source_type": t.get("type"), "total_money": t.get("amount_money"), "tip_money": t.get("tip_money"),
                "card_details": t.get("card_details"), "cash_details": t.get("cash_details")});
            tender_of_payment(&as_payment)
        }
    });
    let all: Vec<Value> = of_order.collect();
    if all.is_empty() { payment.map(tender_of_payment).into_iter().collect() } else { all }
}

fn tender_of_payment(payment: &Value) -> Value {
    let card = payment.get("card_details").cloned().unwrap_or_default();
    let brand = words(&card, "/card/card_brand");
    let kind = match text(payment, "/source_type") {
        "CARD" if brand == "EBT" || brand.contains("SNAP") => "SNAP",
        "CARD" | "NO_SALE" | "BUY_NOW_PAY_LATER" => "CreditDebit",
        "CASH" => "Cash",
        "SQUARE_GIFT_CARD" => "GiftCard",
        "WALLET" => "Mobile",
        "SQUARE_ACCOUNT" => "StoredValue",
        "HOUSE_ACCOUNT" => "HouseAccount",
        _ => "Other",
    };
    let positive = |pointer: &str| minor(payment, pointer).filter(|a| *a >= 0);
    let emv = json!({"application_id": words(&card, "/application_identifier"), "application_name": words(&card, "/application_name"),
        "verification": words(&card, "/verification_method"), "cryptogram": words(&card, "/application_cryptogram"),
        "account_type": words(&card, "/card/card_type")});
    let shown = json!({"brand": brand, "last4": canonical::last4(text(&card, "/card/last_4")), "auth_code": words(&card, "/auth_result_code"),
        "entry": words(&card, "/entry_method"), "emv": emv});
    json!({"tender_type": kind, "amount": positive("/total_money/amount").unwrap_or(0), "tip_amount": positive("/tip_money/amount").filter(|t| *t > 0),
        "amount_tendered": positive("/cash_details/buyer_supplied_money/amount").or_else(|| positive("/cash_details/buyer_tendered_money/amount")),
        "change": positive("/cash_details/change_back_money/amount"),
        "card": (!canonical::is_benefit(kind)).then_some(shown)})
}

/// Ids are put into paths: nothing else passes.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 200 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

fn headers(setup: &Setup<'_>, token: &Secret) -> Vec<(String, String)> {
    let version = setup.text("api_version").to_owned();
    vec![("Authorization".to_owned(), format!("Bearer {}", token.expose())), ("Square-Version".to_owned(), version)]
}

fn fixed_token(setup: &Setup<'_>) -> Option<Secret> {
    Some(setup.source.settings.secret("access_token")).filter(|token| !token.is_empty())
}

/// A token lives 30 days and is renewed every 7; its refresh token stays.
const RENEWAL: Renewal = Renewal { request: token_request, read: token, renew_at: 23 };

fn token_request(setup: &Setup<'_>, tokens: Option<&Tokens>) -> Option<Result<Request, String>> {
    let settings = &setup.source.settings;
    let refresh = tokens.map(|t| t.refresh.clone()).filter(|t| !t.is_empty()).unwrap_or_else(|| settings.secret("refresh_token"));
    if refresh.is_empty() || setup.text("client_id").is_empty() {
        return None;
    }
    let body = json!({"client_id": setup.text("client_id"), "client_secret": settings.secret("client_secret").expose(), "grant_type": "refresh_token", "refresh_token": refresh.expose()});
    let named = |n: &str, v: &str| (n.to_owned(), v.to_owned());
    let headers = vec![named("Content-Type", "application/json"), named("Square-Version", setup.text("api_version"))];
    let body = body.to_string().into_bytes();
    Some(super::base(&KIND, setup).map(|base| Request { method: "POST", url: format!("{base}/oauth2/token"), headers, body }))
}

fn token(answer: &Answer, before: Option<&Tokens>, now: UnixMs) -> Renewed {
    renewed(answer, before, now, |body| {
        (text(body, "/access_token").to_owned(), text(body, "/refresh_token").to_owned(), moment(text(body, "/expires_at")), None)
    })
}

/// Orders by the time of their last change, oldest first, over all configured locations.
const PULL: Pull = Pull { begin, request: page_request, read: page };

fn begin(_: &Setup<'_>, now: UnixMs) -> Vec<Cursor> {
    vec![Cursor { since: now.0.saturating_sub(OVERLAP), ..Cursor::default() }]
}

const LONGEST: i64 = 30 * 86_400_000;

fn page_request(setup: &Setup<'_>, cursor: &Cursor, token: &Secret, now: UnixMs) -> Result<Request, String> {
    let window = cursor.window(now, LONGEST);
    let locations = setup.texts("locations");
    if locations.is_empty() {
        return Err("locations names no location to ask for".to_owned());
    }
    let range = json!({"start_at": UnixMs(window.since).rfc3339(), "end_at": UnixMs(window.until).rfc3339()});
    let query = json!({"filter": {"date_time_filter": {"updated_at": range}, "state_filter": {"states": ["OPEN", "COMPLETED", "CANCELED"]}},
        "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"}});
    let mut body = json!({"location_ids": locations, "limit": 500, "query": query});
    if !cursor.page.is_empty() {
        set(&mut body, "cursor", cursor.page.as_str());
    }
    let mut headers = headers(setup, token);
    headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
    let url = format!("{}/v2/orders/search", super::base(&KIND, setup)?);
    Ok(Request { method: "POST", url, headers, body: body.to_string().into_bytes() })
}

fn page(_: &Setup<'_>, cursor: &Cursor, answer: &Answer, asked: UnixMs) -> Result<Page, String> {
    let window = cursor.window(asked, LONGEST);
    let body = read_json(&answer.body).map_err(|_| "the list of orders is not JSON")?;
    if !body.is_object() || body.get("errors").is_some() {
        return Err("the answer is not a list of orders".to_owned());
    }
    let key = |order: &Value| format!("pull|{}|{}", id(order, "/id"), int(order, "/version").unwrap_or(0));
    let items = list(&body, "/orders").iter().map(|o| (key(o), o.to_string().into_bytes())).collect();
    Ok(match text(&body, "/cursor") {
        "" => Page { items, next: window.closed(asked), more: window.until.saturating_add(OVERLAP) < asked.0 },
        page => Page { items, next: Cursor { page: page.to_owned(), ..window }, more: true },
    })
}
