//! Stripe: payments, Checkout sessions, invoices and refunds by events.
//!
//! The header's `t` is signed and holds for 300 s; while a secret is rolled it carries one `v1` per live
//! secret. The key is the whole text of the secret, `whsec_` included. One sale is told by several events
//! (payment intent, charge, session): its key is the payment intent's id. A payment has no lines unless
//! the till attached them; without any the receipt is a slip of the payment.

use crate::config::checked::Rate;
use crate::config::key::{default, optional};
use crate::config::secret::Secret;
use crate::config::{Key, Shape, TypeKeys};
use crate::domain::fault::Fault;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request};
use crate::sources::canonical::{self, Keys, document, local};
use crate::sources::value::{clean, flag, id, int, json as read_json, list, minor, quantity, text, words};
use crate::sources::*;
use serde_json::{Value, json};
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "stripe",
        doc: "Payments by Stripe: Terminal, Checkout, invoices.",
        channels: &[],
        keys: KEYS,
        example: "endpoint_secrets = [\"whsec_of-the-webhook-endpoint\"]\napi_key = \"rk_live_restricted-key\"",
    },
    check,
    verify,
    delivery_id,
    decode,
    // 100 a second are allowed.
    api: Some(Api {
        base: |_| Ok("https://api.stripe.com".to_owned()),
        headers,
        rate: Rate::per_second(25),
        concurrency: 5,
        fixed_token,
        renewal: None,
        pull: Some(PULL),
    }),
};

const KEYS: &[Key] = &[
    optional("endpoint_secrets", Shape::List(&Shape::Secret), "Signing secrets of the webhook endpoint, the current and the previous one."),
    optional(
        "api_key",
        Shape::Secret,
        "Restricted key that may read charges, payment intents, sessions and events. Without it receipts have no lines and no card.",
    ),
    optional("accounts", Shape::List(&Shape::Text), "Connected accounts (acct_…) that are ours; without it all."),
    default("api_version", Shape::Text, "\"2026-07-29.dahlia\"", "Version of the API that look-ups ask for."),
    API_BASE,
    PULL_EVERY,
    LOOKUP_WAIT,
    ENRICH_WAIT,
    RECEIPTS,
    TEST,
];

fn check(setup: &Setup<'_>) -> Result<(), String> {
    match (setup.secrets("endpoint_secrets").is_empty(), setup.source.settings.secret("api_key").is_empty()) {
        (true, true) => Err("endpoint_secrets (for webhooks) or api_key (for pulling) is missing".to_owned()),
        _ => Ok(()),
    }
}

fn verify(setup: &Setup<'_>, given: &Given<'_>, moment: Moment) -> Verdict {
    let header = match sign::one(given, &["stripe-signature"]) {
        Ok(header) => header,
        Err(verdict) => return verdict,
    };
    let pairs = || header.split(',').take(32).filter_map(|pair| pair.trim().split_once('='));
    let (times, macs): (Vec<&str>, Vec<[u8; 32]>) = (
        pairs().filter(|(k, _)| *k == "t").map(|(_, v)| v).collect(),
        pairs().filter(|(k, _)| *k == "v1").filter_map(|(_, v)| sign::hex_mac(v)).collect(),
    );
    let [at] = times.as_slice() else { return Verdict::Refused("bad_signature") };
    let secrets = setup.secrets("endpoint_secrets");
    if !sign::matches(&sign::characters(&secrets), &[at.as_bytes(), b".", given.body], &macs) {
        return Verdict::Refused("bad_signature");
    }
    match sign::in_time(at, moment, Duration::from_secs(300), false) {
        Verdict::Accepted if read_json(given.body).is_err() => Verdict::Unusable("not_json"),
        verdict => verdict,
    }
}

fn delivery_id(_: &Setup<'_>, given: &Given<'_>) -> Option<String> {
    Some(id(&read_json(given.body).ok()?, "/id")).filter(|id| !id.is_empty())
}

fn decode(setup: &Setup<'_>, raw: &Raw<'_>, answers: &Answers) -> Decoded {
    let event = match read_json(raw.body) {
        Ok(event) => event,
        Err(faults) => return Decoded::Unusable(faults),
    };
    if text(&event, "/object") == "v2.core.event" {
        return Decoded::Nothing("thin_event");
    }
    let Some(object) = event.pointer("/data/object").filter(|o| o.is_object()) else {
        return Decoded::Unusable(vec![Fault::new("/data/object", "missing", "the event has no object")]);
    };
    if event.get("livemode") == Some(&Value::Bool(false)) && !setup.is_test() {
        return Decoded::Nothing("test_mode");
    }
    if !setup.allows("accounts", text(&event, "/account")) && !text(&event, "/account").is_empty() {
        return Decoded::Nothing("foreign_account");
    }
    let mut reading = Reading { setup, answers, event: &event, told: Told::default() };
    let done = match text(&event, "/type") {
        "payment_intent.succeeded" => reading.intent(object),
        "charge.succeeded" => reading.charge(object),
        "checkout.session.completed" | "checkout.session.async_payment_succeeded" => reading.session(object),
        "invoice.paid" => reading.invoice(object),
        "refund.created" | "refund.updated" | "charge.refund.updated" => reading.refund(object),
        "charge.refunded" => list(object, "/refunds/data").iter().take(100).try_for_each(|refund| reading.refund(refund)),
        _ => return Decoded::Nothing("not_a_sale"),
    };
    match done {
        Ok(()) => reading.told.or_nothing("not_final"),
        Err(faults) => Decoded::Unusable(faults),
    }
}

struct Reading<'a> {
    setup: &'a Setup<'a>,
    answers: &'a Answers,
    event: &'a Value,
    told: Told,
}

/// The parts that a sale is put together from, each as far as it is known.
struct Parts<'p> {
    intent: &'p Value,
    charge: &'p Value,
    session: &'p Value,
    lines: Vec<Value>,
}

type Done = Result<(), Vec<Fault>>;

impl Reading<'_> {
    /// The answer of a look-up; where there is none yet, it is listed. `null` without one.
    fn ask(&mut self, key: String, of: &str, path: String) -> Value {
        match self.answers.get(&key) {
            Some(Answered::Found(body)) => serde_json::from_slice(body).unwrap_or(Value::Null),
            Some(Answered::Absent) => Value::Null,
            None => {
                if !self.setup.source.settings.secret("api_key").is_empty() {
                    let mut lookup = LookUp::new(key, of, Need::Enriches, path);
                    let account = text(self.event, "/account");
                    if is_id(account) {
                        lookup.headers.push(("Stripe-Account".to_owned(), account.to_owned()));
                    }
                    self.told.lookups.push(lookup);
                }
                Value::Null
            }
        }
    }

    /// All entries of a list, page by page, at most 1000.
    fn ask_list(&mut self, name: &str, of: &str, path: &str) -> Vec<Value> {
        let (mut all, mut after) = (Vec::new(), String::new());
        for _ in 0..10 {
            let more = if after.is_empty() { String::new() } else { format!("&starting_after={after}") };
            let page = self.ask(format!("{name}:{of}:{after}"), of, format!("{path}?limit=100{more}"));
            all.extend(list(&page, "/data").iter().cloned());
            after = all.last().map(|last| id(last, "/id")).unwrap_or_default();
            if !flag(&page, "/has_more") || !is_id(&after) {
                break;
            }
        }
        all
    }

    fn intent(&mut self, intent: &Value) -> Done {
        let of = id(intent, "/id");
        if text(intent, "/status") != "succeeded" || !is_id(&of) {
            return Ok(());
        }
        let expanded = intent.pointer("/latest_charge").filter(|c| c.is_object()).cloned();
        let charge_id = id(intent, "/latest_charge");
        let charge = match expanded {
            Some(charge) => charge,
            None if is_id(&charge_id) => self.ask(format!("charge:{charge_id}"), &of, format!("/v1/charges/{charge_id}")),
            None => Value::Null,
        };
        let mut lines = Vec::new();
        if intent.pointer("/amount_details/line_items").is_some() {
            lines = self.ask_list("lines", &of, &format!("/v1/payment_intents/{of}/amount_details_line_items"));
        }
        let in_person = list(intent, "/payment_method_types").iter().any(|t| t == "card_present" || t == "interac_present");
        let mut session = Value::Null;
        if lines.is_empty() && !in_person && self.told.lookups.iter().all(|l| !l.key.starts_with("lines:")) {
            let found = self.ask(format!("session_of:{of}"), &of, format!("/v1/checkout/sessions?payment_intent={of}&limit=1"));
            session = found.pointer("/data/0").cloned().unwrap_or_default();
            lines = self.session_lines(&session, &of);
        }
        self.sale(&of, &Parts { intent, charge: &charge, session: &session, lines })
    }

    fn charge(&mut self, charge: &Value) -> Done {
        if text(charge, "/status") != "succeeded" || charge.get("captured") == Some(&Value::Bool(false)) {
            return Ok(());
        }
        let of = id(charge, "/payment_intent");
        if !is_id(&of) {
            let own = id(charge, "/id");
            return self.sale(&own, &Parts { intent: &Value::Null, charge, session: &Value::Null, lines: Vec::new() });
        }
        let intent = self.ask(format!("intent:{of}"), &of, format!("/v1/payment_intents/{of}"));
        let mut lines = Vec::new();
        if intent.pointer("/amount_details/line_items").is_some() {
            lines = self.ask_list("lines", &of, &format!("/v1/payment_intents/{of}/amount_details_line_items"));
        }
        self.sale(&of, &Parts { intent: &intent, charge, session: &Value::Null, lines })
    }

    fn session(&mut self, session: &Value) -> Done {
        if text(session, "/payment_status") != "paid" {
            return Ok(());
        }
        let (intent_id, own) = (id(session, "/payment_intent"), id(session, "/id"));
        let of = if is_id(&intent_id) { intent_id.clone() } else { own };
        let lines = self.session_lines(session, &of);
        let mut intent = Value::Null;
        if is_id(&intent_id) {
            intent = self.ask(format!("intent+charge:{of}"), &of, format!("/v1/payment_intents/{of}?expand[]=latest_charge"));
        }
        let charge = intent.pointer("/latest_charge").cloned().unwrap_or_default();
        self.sale(&of, &Parts { intent: &intent, charge: &charge, session, lines })
    }

    fn session_lines(&mut self, session: &Value, of: &str) -> Vec<Value> {
        let own = id(session, "/id");
        if !is_id(&own) {
            return Vec::new();
        }
        self.ask_list("session_lines", of, &format!("/v1/checkout/sessions/{own}/line_items"))
    }

    fn sale(&mut self, of: &str, parts: &Parts<'_>) -> Done {
        let setup = self.setup;
        let (intent, charge, session) = (parts.intent, parts.charge, parts.session);
        let first = |places: &[(&Value, &str)]| places.iter().map(|(v, p)| words(v, p)).find(|t| !t.is_empty()).unwrap_or_default();
        let code = first(&[(intent, "/currency"), (charge, "/currency"), (session, "/currency")]);
        let amount = minor(intent, "/amount_received").filter(|a| *a > 0).or_else(|| minor(intent, "/amount"));
        let amount = amount.or_else(|| minor(charge, "/amount")).or_else(|| minor(session, "/amount_total")).unwrap_or(0);
        let tip = minor(intent, "/amount_details/tip/amount").unwrap_or(0);
        let tax = minor(intent, "/amount_details/tax/total_tax_amount").or_else(|| minor(session, "/total_details/amount_tax"));
        let shipping =
            minor(intent, "/amount_details/shipping/amount").or_else(|| minor(session, "/total_details/amount_shipping")).unwrap_or(0);
        let on_top = amount.saturating_sub(tip).saturating_sub(shipping);
        let lines: Vec<Line> = parts.lines.iter().filter_map(line).collect();
        let plain = lines.iter().fold(0i64, |sum, l| sum.saturating_add(l.gross.saturating_sub(l.discount)));
        // Prices contain the tax where the lines alone make the sum, and where nothing is said of a tax.
        let included = tax.is_none_or(|t| t == 0) || (!lines.is_empty() && plain == on_top) || lines.iter().any(|l| l.inclusive);
        let mut line_items: Vec<Value> = lines.iter().map(Line::json).collect();
        if line_items.is_empty() {
            let name = Some(first(&[(intent, "/description"), (charge, "/description")])).filter(|t| !t.is_empty());
            let net = on_top.saturating_sub(if included { 0 } else { tax.unwrap_or(0) });
            line_items
                .push(json!({"description": name.unwrap_or_else(|| "Payment".into()), "quantity": "1", "extended_amount": net.max(0)}));
        }
        let discount = lines.iter().fold(0i64, |sum, l| sum.saturating_add(l.discount));
        let at =
            moment_of(charge).or_else(|| int(intent, "/created")).or_else(|| int(charge, "/created")).or_else(|| int(session, "/created"));
        let at = UnixMs(at.or_else(|| int(self.event, "/created")).unwrap_or(0).saturating_mul(1000));
        let number = first(&[
            (intent, "/metadata/receipt_number"),
            (charge, "/metadata/receipt_number"),
            (session, "/metadata/receipt_number"),
            (charge, "/receipt_number"),
        ]);
        let customer = "/customer_details";
        let sale = json!({
            "transaction_type": "sale", "receipt_number": clean(&number, 100), "receipt_date_time": local(at, setup),
            "workstation_id": first(&[(intent, "/metadata/till"), (charge, "/metadata/till"), (session, "/metadata/till")]),
            "currency_code": canonical::currency(&code, setup).code(), "tax_included": included,
            "line_items": line_items,
            "taxes": tax.filter(|t| *t > 0).map(|t| vec![json!({"tax_type": canonical::tax_type("", included), "amount": t})]),
            "service_charges": (shipping > 0).then(|| vec![json!({"description": "Shipping", "amount": shipping})]),
            "tenders": [tender(charge, amount, tip)],
            "totals": {"discount_amount": (discount > 0).then_some(discount), "tax_amount": tax, "tip_amount": (tip > 0).then_some(tip), "grand_amount": amount},
            "customer": {
                "id": first(&[(intent, "/customer"), (charge, "/customer"), (session, "/customer")]),
                "name": first(&[(charge, "/billing_details/name"), (session, &format!("{customer}/name"))]),
                "email": first(&[(intent, "/receipt_email"), (session, &format!("{customer}/email")), (charge, "/receipt_email"), (charge, "/billing_details/email")]),
                "phone": first(&[(session, &format!("{customer}/phone")), (charge, "/billing_details/phone")]),
                "language": Some(words(session, "/locale")).filter(|l| l != "auto"),
            },
        });
        let payment_ids = [
            id(intent, "/id"),
            id(session, "/payment_intent"),
            id(charge, "/payment_intent"),
            id(charge, "/id"),
            id(intent, "/latest_charge"),
            id(session, "/id"),
        ];
        self.tell("sale.completed", of, payment_ids, sale)
    }

    fn tell(&mut self, kind: &str, key: &str, ids: impl IntoIterator<Item = String>, sale: Value) -> Done {
        let mut payment_ids: Vec<String> = Vec::new();
        for id in ids {
            if is_id(&id) && !payment_ids.contains(&id) {
                payment_ids.push(id);
            }
        }
        let keys = Keys {
            business_key: key.to_owned(),
            version: int(self.event, "/created").unwrap_or(0),
            account: id(self.event, "/account"),
            payment_ids,
            event_ids: vec![id(self.event, "/id")],
            ..Keys::default()
        };
        self.told.events.push(document(self.setup, kind, keys, sale)?);
        Ok(())
    }

    fn invoice(&mut self, invoice: &Value) -> Done {
        let total = minor(invoice, "/total").unwrap_or(0);
        if text(invoice, "/status") != "paid" || total <= 0 {
            return Ok(());
        }
        let setup = self.setup;
        let (intent, own) = (id(invoice, "/payment_intent"), id(invoice, "/id"));
        let of = if is_id(&intent) { intent.clone() } else { own.clone() };
        let lines: Vec<Value> = list(invoice, "/lines/data").iter().take(1000).map(invoice_line).collect();
        let taxes = |v: &Value| {
            ["/tax_amounts", "/total_tax_amounts", "/total_taxes"]
                .iter()
                .flat_map(|p| list(v, p))
                .filter_map(|t| minor(t, "/amount"))
                .sum::<i64>()
        };
        let tax = minor(invoice, "/tax").unwrap_or_else(|| taxes(invoice));
        let net = list(&json!(lines), "").iter().filter_map(|l| minor(l, "/extended_amount")).fold(0i64, i64::saturating_add);
        let included = tax == 0 || net == total;
        let at = int(invoice, "/status_transitions/paid_at").or_else(|| int(invoice, "/created")).unwrap_or(0);
        let slip = || vec![json!({"description": "Payment", "quantity": "1", "extended_amount": total - if included { 0 } else { tax }})];
        let sale = json!({
            "transaction_type": "sale", "receipt_number": clean(text(invoice, "/number"), 100),
            "receipt_date_time": local(UnixMs(at.saturating_mul(1000)), setup),
            "currency_code": canonical::currency(text(invoice, "/currency"), setup).code(), "tax_included": included,
            "line_items": if lines.is_empty() { slip() } else { lines },
            "taxes": (tax > 0).then(|| vec![json!({"tax_type": canonical::tax_type("", included), "amount": tax})]),
            "tenders": [{"tender_type": "CreditDebit", "amount": total}],
            "totals": {"tax_amount": (tax > 0).then_some(tax), "grand_amount": total},
            "customer": {"id": words(invoice, "/customer"), "name": words(invoice, "/customer_name"), "email": words(invoice, "/customer_email"), "phone": words(invoice, "/customer_phone")},
        });
        self.tell("sale.completed", &of, [intent, own], sale)
    }

    fn refund(&mut self, refund: &Value) -> Done {
        let (own, amount) = (id(refund, "/id"), minor(refund, "/amount").unwrap_or(0));
        if text(refund, "/status") != "succeeded" || amount <= 0 || !is_id(&own) {
            return Ok(());
        }
        let setup = self.setup;
        let charge_id = id(refund, "/charge");
        let mut charge = Value::Null;
        if is_id(&charge_id) {
            charge = self.ask(format!("charge:{charge_id}"), &own, format!("/v1/charges/{charge_id}"));
        }
        let original = [id(refund, "/payment_intent"), charge_id.clone()].into_iter().find(|i| is_id(i));
        let at = UnixMs(int(refund, "/created").unwrap_or(0).saturating_mul(1000));
        let reason = words(refund, "/reason").replace('_', " ");
        let email = [words(&charge, "/receipt_email"), words(&charge, "/billing_details/email")].into_iter().find(|t| !t.is_empty());
        let sale = json!({
            "transaction_type": "return", "receipt_number": clean(text(refund, "/receipt_number"), 100), "receipt_date_time": local(at, setup),
            "currency_code": canonical::currency(text(refund, "/currency"), setup).code(), "tax_included": true,
            "line_items": [{"description": "Refund", "quantity": "1", "extended_amount": amount, "note": reason}],
            "tenders": [tender(&charge, amount, 0)],
            "totals": {"grand_amount": amount},
            "related": {"transaction_id": original, "type": "return_of"},
            "customer": {"name": words(&charge, "/billing_details/name"), "email": email},
        });
        self.tell("refund.processed", &own, [id(refund, "/payment_intent"), charge_id], sale)
    }
}

/// One line of a payment intent or a session.
struct Line {
    description: String,
    quantity: String,
    code: String,
    unit: Option<i64>,
    /// Before its discount; without the tax unless `inclusive`.
    gross: i64,
    discount: i64,
    tax: i64,
    inclusive: bool,
}

fn line(entry: &Value) -> Option<Line> {
    let count = quantity(entry.get("quantity")).unwrap_or_else(|| "1".into());
    let discount = minor(entry, "/amount_discount").or_else(|| minor(entry, "/discount_amount")).unwrap_or(0).max(0);
    if let Some(unit) = minor(entry, "/unit_cost") {
        let gross = unit.saturating_mul(int(entry, "/quantity").unwrap_or(1).clamp(0, 1_000_000));
        let (description, code) = (words(entry, "/product_name"), words(entry, "/product_code"));
        let tax = minor(entry, "/tax/total_tax_amount").unwrap_or(0);
        return Some(Line { description, quantity: count, code, unit: Some(unit), gross, discount, tax, inclusive: false });
    }
    let (total, tax) = (minor(entry, "/amount_total")?, minor(entry, "/amount_tax").unwrap_or(0));
    let inclusive = text(entry, "/price/tax_behavior") == "inclusive";
    let gross = total.saturating_sub(if inclusive { 0 } else { tax }).saturating_add(discount);
    let (description, unit) = (words(entry, "/description"), minor(entry, "/price/unit_amount"));
    Some(Line { description, quantity: count, code: String::new(), unit, gross, discount, tax, inclusive })
}

impl Line {
    fn json(&self) -> Value {
        let (member, number) = canonical::item(&self.code);
        let mut line = json!({
            "description": if self.description.is_empty() { "Item" } else { &self.description }, "quantity": self.quantity,
            "regular_sales_unit_price": self.unit.filter(|u| *u >= 0), "extended_amount": self.gross.saturating_sub(self.discount).max(0),
            "price_modifiers": canonical::discount("GeneralDiscount", "", self.discount).map(|d| vec![d]),
            "taxes": (self.tax > 0).then(|| vec![json!({"tax_type": canonical::tax_type("", self.inclusive), "amount": self.tax})]),
        });
        if let Some(map) = line.as_object_mut() {
            map.insert(member.to_owned(), number.into());
        }
        line
    }
}

fn invoice_line(entry: &Value) -> Value {
    let amount = minor(entry, "/amount").unwrap_or(0);
    let discount: i64 = list(entry, "/discount_amounts").iter().filter_map(|d| minor(d, "/amount")).fold(0, i64::saturating_add);
    let (line_type, amount) = if amount < 0 { (Some("return"), amount.saturating_abs()) } else { (None, amount) };
    let description = Some(words(entry, "/description")).filter(|t| !t.is_empty());
    json!({"line_type": line_type, "description": description.unwrap_or_else(|| "Item".into()),
        "quantity": quantity(entry.get("quantity")).unwrap_or_else(|| "1".into()), "extended_amount": amount.saturating_sub(discount).max(0),
        "price_modifiers": canonical::discount("GeneralDiscount", "", discount).map(|d| vec![d])})
}

/// How it was paid. The lines of a card-present receipt are printed as given.
fn tender(charge: &Value, amount: i64, tip: i64) -> Value {
    let method = text(charge, "/payment_method_details/type");
    let details = charge.pointer(&format!("/payment_method_details/{method}")).filter(|d| d.is_object() && method.len() < 40);
    let Some(details) = details else {
        return json!({"tender_type": "CreditDebit", "amount": amount, "tip_amount": (tip > 0).then_some(tip)});
    };
    let emv = [
        ("application_id", "dedicated_file_name"),
        ("application_name", "application_preferred_name"),
        ("verification", "cardholder_verification_method"),
        ("tvr", "terminal_verification_results"),
        ("tsi", "transaction_status_information"),
        ("cryptogram", "application_cryptogram"),
        ("account_type", "account_type"),
    ];
    let emv: serde_json::Map<String, Value> =
        emv.iter().map(|(name, theirs)| ((*name).to_owned(), text(details, &format!("/receipt/{theirs}")).into())).collect();
    let auth = [text(details, "/receipt/authorization_code"), text(charge, "/authorization_code")].into_iter().find(|t| !t.is_empty());
    let kind = match method {
        "card" | "card_present" | "interac_present" | "link" => "CreditDebit",
        "alipay" | "wechat_pay" | "paypay" | "cashapp" | "revolut_pay" => "Mobile",
        other => other,
    };
    json!({"tender_type": clean(kind, 100), "amount": amount, "tip_amount": (tip > 0).then_some(tip),
        "card": {"brand": words(details, "/brand"), "last4": canonical::last4(text(details, "/last4")), "auth_code": auth,
            "entry": words(details, "/read_method"), "emv": emv}})
}

/// When an offline payment truly was, in seconds.
fn moment_of(charge: &Value) -> Option<i64> {
    int(charge, "/payment_method_details/card_present/offline/stored_at")
}

/// Ids are put into paths: nothing else passes.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 200 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn headers(setup: &Setup<'_>, token: &Secret) -> Vec<(String, String)> {
    let version = setup.text("api_version").to_owned();
    vec![("Authorization".to_owned(), format!("Bearer {}", token.expose())), ("Stripe-Version".to_owned(), version)]
}

fn fixed_token(setup: &Setup<'_>) -> Option<Secret> {
    Some(setup.source.settings.secret("api_key")).filter(|key| !key.is_empty())
}

/// Events of the last 30 days can be read, newest first.
const PULL: Pull = Pull { begin, request: page_request, read: page };

fn begin(_: &Setup<'_>, now: UnixMs) -> Vec<Cursor> {
    vec![Cursor { since: now.0.saturating_sub(OVERLAP), ..Cursor::default() }]
}

fn page_request(setup: &Setup<'_>, cursor: &Cursor, token: &Secret, now: UnixMs) -> Result<Request, String> {
    let window = cursor.window(now, 29 * 86_400_000);
    let types = ["payment_intent.succeeded", "charge.succeeded", "checkout.session.*", "invoice.paid", "refund.*"];
    let types: String = types.iter().map(|t| format!("&types[]={t}")).collect();
    let after = if is_id(&cursor.page) { format!("&starting_after={}", cursor.page) } else { String::new() };
    let path = format!("/v1/events?limit=100&created[gte]={}&created[lt]={}{types}{after}", window.since / 1000, window.until / 1000 + 1);
    let lookup = LookUp::new("", "", Need::Enriches, path);
    request(&KIND, setup, &lookup, token)
}

fn page(_: &Setup<'_>, cursor: &Cursor, answer: &Answer, asked: UnixMs) -> Result<Page, String> {
    let window = cursor.window(asked, 29 * 86_400_000);
    let body = read_json(&answer.body).map_err(|_| "the list of events is not JSON")?;
    if !body.get("data").is_some_and(Value::is_array) {
        return Err("the answer is not a list of events".to_owned());
    }
    let items: Vec<(String, Vec<u8>)> = list(&body, "/data").iter().map(|e| (id(e, "/id"), e.to_string().into_bytes())).collect();
    let last = items.last().map(|(id, _)| id.clone()).unwrap_or_default();
    Ok(if flag(&body, "/has_more") && is_id(&last) {
        Page { items, next: Cursor { page: last, ..window }, more: true }
    } else {
        Page { items, next: window.closed(asked), more: window.until + OVERLAP < asked.0 }
    })
}
