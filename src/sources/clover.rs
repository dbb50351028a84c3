//! Clover: hints by webhooks, everything else by look-ups.
//!
//! The body is not signed: whoever learns the code can post anything, so nothing of it is believed and each
//! object is fetched. A hint names an order or a payment; the order's id is the receipt's key, and it counts
//! as sold when its `paymentState` is PAID. Totals are the client's own sums: the line's discount comes first,
//! the order's percentage second, then the tax. Nested lists are cut at 100 without a word, so lines are
//! read page by page.

use crate::config::checked::Rate;
use crate::config::key::optional;
use crate::config::secret::Secret;
use crate::config::{Key, Shape, TypeKeys};
use crate::domain::fault::Fault;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request};
use crate::sources::canonical::{self, Keys, Taxes, apportion, document, local, share};
use crate::sources::value::{clean, decimal, flag, id, int, json as read_json, list, minor, set, text, words};
use crate::sources::*;
use serde_json::{Value, json};

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "clover",
        doc: "Sales of Clover merchants.",
        channels: &[],
        keys: KEYS,
        example: "auth_codes = [\"3c5c0f5e-0000-0000-0000-auth-code-of-app\"]\nmerchants = [\"C7ZKQ4TN0V3M1\"]\naccess_token = \"token-of-the-merchant\"",
    },
    check,
    verify,
    delivery_id,
    decode,
    // 16 a second and 5 at once are allowed.
    api: Some(Api {
        base: |_| Ok("https://api.clover.com".to_owned()),
        headers,
        rate: Rate::per_second(10),
        concurrency: 4,
        fixed_token,
        renewal: Some(RENEWAL),
        pull: Some(PULL),
    }),
};

const KEYS: &[Key] = &[
    optional(
        "auth_codes",
        Shape::List(&Shape::Secret),
        "Clover's Auth Code of the app, which comes with every webhook; the current and the previous one.",
    ),
    optional("merchants", Shape::List(&Shape::Text), "Merchant ids that are ours; without it every one. Pulling needs it."),
    optional("access_token", Shape::Secret, "API token of the merchant. Without any token nothing can be read."),
    optional("client_id", Shape::Text, "Id of the app, where tokens run out."),
    optional("client_secret", Shape::Secret, "Its secret."),
    optional("refresh_token", Shape::Secret, "The first refresh token. Each works once; the newest pair is kept by the agent."),
    API_BASE,
    PULL_EVERY,
    LOOKUP_WAIT,
    ENRICH_WAIT,
    RECEIPTS,
    TEST,
];

fn check(setup: &Setup<'_>) -> Result<(), String> {
    let settings = &setup.source.settings;
    let asks = !settings.secret("access_token").is_empty() || !settings.secret("refresh_token").is_empty();
    if asks { Ok(()) } else { Err("access_token (or client_id with refresh_token) is missing: Clover's webhooks hold ids only".to_owned()) }
}

fn verify(setup: &Setup<'_>, given: &Given<'_>, _: Moment) -> Verdict {
    let body = read_json(given.body);
    let code = match sign::one(given, &["x-clover-auth"]) {
        Ok(code) => code,
        // The one body that comes without the code: its only member is to be pasted into the dashboard.
        Err(Verdict::Refused("no_signature")) => {
            let object = body.as_ref().ok().and_then(Value::as_object).filter(|o| o.len() == 1);
            let code = object.and_then(|o| o.get("verificationCode")).and_then(Value::as_str).map(|c| clean(c, 100));
            return code.filter(|c| !c.is_empty()).map_or(Verdict::Refused("no_signature"), Verdict::Handshake);
        }
        Err(verdict) => return verdict,
    };
    let codes = setup.secrets("auth_codes");
    let good = codes.iter().fold(false, |good, c| good | sign::equal(c.expose().as_bytes(), code.as_bytes()));
    match (good, body.is_ok()) {
        (false, _) => Verdict::Refused("bad_signature"),
        (true, false) => Verdict::Unusable("not_json"),
        (true, true) => Verdict::Accepted,
    }
}

/// Clover has no id of a delivery: the list of what it names is one.
fn delivery_id(_: &Setup<'_>, given: &Given<'_>) -> Option<String> {
    let body = read_json(given.body).ok()?;
    let hints: Vec<String> = hints(&body).map(|h| format!("{}|{}|{}|{}", h.merchant, h.object, h.kind, h.ts)).collect();
    (!hints.is_empty()).then(|| hints.join(","))
}

/// One entry of a webhook.
struct Hint<'b> {
    merchant: &'b str,
    /// `O:…`, `P:…`
    object: &'b str,
    /// CREATE, UPDATE, DELETE
    kind: &'b str,
    /// Milliseconds.
    ts: i64,
}

fn hints(body: &Value) -> impl Iterator<Item = Hint<'_>> {
    let merchants = body.get("merchants").and_then(Value::as_object).into_iter().flatten();
    let entries = merchants.flat_map(|(merchant, entries)| list(entries, "").iter().map(move |e| (merchant.as_str(), e)));
    entries.take(1000).map(|(merchant, e)| Hint {
        merchant,
        object: text(e, "/objectId"),
        kind: text(e, "/type"),
        ts: int(e, "/ts").unwrap_or(0),
    })
}

fn decode(setup: &Setup<'_>, raw: &Raw<'_>, answers: &Answers) -> Decoded {
    let body = match read_json(raw.body) {
        Ok(body) => body,
        Err(faults) => return Decoded::Unusable(faults),
    };
    let mut reading = Reading { setup, answers, merchant: String::new(), at: raw.at, told: Told::default(), seen: Vec::new() };
    if raw.via == Via::Pull {
        let (merchant, own) = (id(&body, "/merchant"), id(&body, "/order/id"));
        reading.merchant = merchant;
        return match reading.order(&own) {
            Ok(()) => reading.told.or_nothing("not_final"),
            Err(faults) => Decoded::Unusable(faults),
        };
    }
    if !body.get("merchants").is_some_and(Value::is_object) {
        return Decoded::Unusable(vec![Fault::new("/merchants", "missing", "the body names no merchants")]);
    }
    for hint in hints(&body) {
        let Some((kind, own)) = hint.object.split_once(':').filter(|(_, own)| is_id(own)) else { continue };
        if !setup.allows("merchants", hint.merchant) || !is_id(hint.merchant) {
            continue;
        }
        reading.merchant = hint.merchant.to_owned();
        let done = match (kind, hint.kind) {
            ("P", _) => reading.payment(own),
            ("O", "DELETE") => reading.deleted(own, hint.ts),
            ("O", _) => reading.order(own),
            _ => Ok(()),
        };
        if let Err(faults) = done {
            return Decoded::Unusable(faults);
        }
    }
    reading.told.or_nothing("not_final")
}

struct Reading<'a> {
    setup: &'a Setup<'a>,
    answers: &'a Answers,
    merchant: String,
    at: UnixMs,
    told: Told,
    /// Orders that this body already told of.
    seen: Vec<String>,
}

type Done = Result<(), Vec<Fault>>;

/// What is known of a question.
enum Known {
    Open,
    Absent,
    Is(Value),
}

impl Reading<'_> {
    fn ask(&mut self, what: &str, of: &str, path: &str) -> Known {
        let key = format!("{}:{what}", self.merchant);
        match self.answers.get(&key) {
            Some(Answered::Found(body)) => serde_json::from_slice(body).ok().filter(Value::is_object).map_or(Known::Absent, Known::Is),
            Some(Answered::Absent) => Known::Absent,
            None => {
                if !self.told.lookups.iter().any(|l| l.key == key) {
                    let path = format!("/v3/merchants/{}/{path}", self.merchant);
                    self.told.lookups.push(LookUp::new(key, of, Need::Required, path));
                }
                Known::Open
            }
        }
    }

    fn payment(&mut self, own: &str) -> Done {
        let Known::Is(payment) = self.ask(&format!("payment:{own}"), "", &format!("payments/{own}?expand=tender,cardTransaction")) else {
            return Ok(());
        };
        let order = id(&payment, "/order/id");
        let voided = flag(&payment, "/voided") || !text(&payment, "/voidReason").is_empty() || text(&payment, "/result") == "VOIDED";
        match (is_id(&order), voided) {
            (false, _) => Ok(()),
            (true, false) => self.order(&order),
            (true, true) => self.undone(&order),
        }
    }

    /// A payment was taken back: unless the order was paid another way, so is the sale.
    fn undone(&mut self, own: &str) -> Done {
        let Known::Is(order) = self.ask(&format!("order:{own}"), own, &format!("orders/{own}?expand=customers,payments,discounts")) else {
            return Ok(());
        };
        if is_sold(&order) { self.order(own) } else { self.deleted(own, int(&order, "/modifiedTime").unwrap_or(0)) }
    }

    fn order(&mut self, own: &str) -> Done {
        let key = format!("{}|{own}", self.merchant);
        if !is_id(own) || !is_id(&self.merchant) || self.seen.contains(&key) {
            return Ok(());
        }
        self.seen.push(key);
        // Three expansions a call at most.
        let Known::Is(mut order) = self.ask(&format!("order:{own}"), own, &format!("orders/{own}?expand=customers,payments,discounts"))
        else {
            return Ok(());
        };
        if flag(&order, "/testMode") && !self.setup.is_test() {
            return Ok(());
        }
        if !is_sold(&order) {
            return Ok(());
        }
        let rest = self.ask(&format!("order+:{own}"), own, &format!("orders/{own}?expand=refunds,serviceCharge,credits"));
        let (lines, payments) = (self.lines(own), self.payments(own, &order));
        let (rest, Some(lines), Some(payments)) = (rest, lines, payments) else { return Ok(()) };
        match rest {
            Known::Open => return Ok(()),
            Known::Absent => {}
            Known::Is(rest) => {
                for name in ["refunds", "serviceCharge", "credits"] {
                    if let (Some(more), Some(map)) = (rest.get(name), order.as_object_mut()) {
                        map.insert(name.to_owned(), more.clone());
                    }
                }
            }
        }
        self.sale(own, &order, &lines, &payments)?;
        let refunds = list(&order, "/refunds/elements").iter().chain(list(&order, "/credits/elements"));
        for refund in refunds.take(100) {
            self.refund(own, &order, &lines, refund)?;
        }
        Ok(())
    }

    /// All lines, 1000 a page, at most 20,000; `None` while pages are open.
    fn lines(&mut self, own: &str) -> Option<Vec<Value>> {
        let mut all = Vec::new();
        for page in 0..20 {
            let path = format!("orders/{own}/line_items?limit=1000&offset={}&expand=discounts,modifications,taxRates", page * 1000);
            match self.ask(&format!("lines:{own}:{page}"), own, &path) {
                Known::Open => return None,
                Known::Absent => break,
                Known::Is(answer) => {
                    let got = list(&answer, "/elements");
                    all.extend(got.iter().cloned());
                    if got.len() < 1000 {
                        break;
                    }
                }
            }
        }
        Some(all)
    }

    /// The order's successful payments with their tender; what is not nested in it is asked, up to 20.
    fn payments(&mut self, own: &str, order: &Value) -> Option<Vec<Value>> {
        let mut all = Vec::new();
        let mut open = false;
        for payment in list(order, "/payments/elements").iter().take(20) {
            let one = id(payment, "/id");
            let told = payment.pointer("/tender/label").is_some() || payment.get("cardTransaction").is_some();
            if told || !is_id(&one) {
                all.push(payment.clone());
                continue;
            }
            match self.ask(&format!("payment:{one}"), own, &format!("payments/{one}?expand=tender,cardTransaction")) {
                Known::Open => open = true,
                Known::Absent => all.push(payment.clone()),
                Known::Is(full) => all.push(full),
            }
        }
        all.retain(|p| matches!(text(p, "/result"), "SUCCESS" | "") && !flag(p, "/voided"));
        (!open).then_some(all)
    }

    fn keys(&self, business_key: String, version: i64, order_id: &str) -> Keys {
        Keys { business_key, version, account: self.merchant.clone(), order_id: order_id.to_owned(), ..Keys::default() }
    }

    fn sale(&mut self, own: &str, order: &Value, lines: &[Value], payments: &[Value]) -> Done {
        let setup = self.setup;
        let included = flag(order, "/isVat");
        let basket = basket(order, lines);
        let sum = |name: &str| payments.iter().filter_map(|p| minor(p, name)).fold(0i64, i64::saturating_add);
        let (tip, tax) = (sum("/tipAmount"), if flag(order, "/taxRemoved") { 0 } else { sum("/taxAmount") });
        let total = minor(order, "/total").unwrap_or(0).max(0);
        let net = basket.lines.iter().map(|l| l.net).fold(0i64, i64::saturating_add);
        let on_top = if included { 0 } else { tax };
        let charge = total.saturating_sub(net).saturating_sub(on_top);
        let charge = (order.get("serviceCharge").is_some_and(Value::is_object) && charge > 0).then_some(charge);
        let service = charge.map(|amount| {
            let name = Some(words(order, "/serviceCharge/name")).filter(|n| !n.is_empty());
            json!({"description": name.unwrap_or_else(|| "Service".to_owned()), "amount": amount})
        });
        let mut taxes = basket.taxes(included);
        // With one rate the till's own sum is the truth, and ours a cent beside it.
        if let [one] = taxes.as_mut_slice() {
            set(one, "amount", tax.max(0));
        }
        let first = payments.first().cloned().unwrap_or_default();
        let at =
            [int(&first, "/clientCreatedTime"), int(&first, "/createdTime"), int(order, "/clientCreatedTime"), int(order, "/createdTime")];
        let at = UnixMs(at.into_iter().flatten().find(|t| *t > 0).unwrap_or(self.at.0));
        let sale = json!({
            "transaction_type": "sale", "receipt_number": if text(order, "/title").is_empty() { own.to_owned() } else { words(order, "/title") },
            "receipt_date_time": local(at, setup), "operator_id": words(order, "/employee/id"), "workstation_id": words(order, "/device/id"),
            "currency_code": canonical::currency(text(order, "/currency"), setup).code(), "tax_included": included,
            "line_items": merged(&basket.lines, included), "taxes": taxes, "service_charges": service.map(|s| vec![s]),
            "tenders": payments.iter().map(tender).collect::<Vec<_>>(),
            "totals": {"discount_amount": Some(basket.discount).filter(|d| *d > 0), "tax_amount": tax.max(0), "tip_amount": (tip > 0).then_some(tip),
                "grand_amount": total.saturating_add(tip)},
            "customer": customer(order), "tax_exempt": flag(order, "/taxRemoved").then(|| json!({"reason": "removed at the till"})),
        });
        let mut keys = self.keys(own.to_owned(), int(order, "/modifiedTime").unwrap_or(0), own);
        keys.payment_ids = payments.iter().map(|p| id(p, "/id")).filter(|p| !p.is_empty()).collect();
        self.told.events.push(document(setup, "sale.completed", keys, sale)?);
        Ok(())
    }

    fn refund(&mut self, own: &str, order: &Value, lines: &[Value], refund: &Value) -> Done {
        let (refund_id, amount) = (id(refund, "/id"), minor(refund, "/amount").unwrap_or(0));
        if refund_id.is_empty() || amount <= 0 || flag(refund, "/voided") {
            return Ok(());
        }
        let setup = self.setup;
        let included = flag(order, "/isVat");
        let (tax, tip) = (minor(refund, "/taxAmount").unwrap_or(0).max(0), minor(refund, "/tipAmount").unwrap_or(0).max(0));
        let back: Vec<String> = list(refund, "/lineItems/elements").iter().map(|l| id(l, "/id")).collect();
        let goods: Vec<Line> = basket(order, lines).lines.into_iter().filter(|l| back.contains(&l.id)).collect();
        let net = amount.saturating_sub(tip).saturating_sub(if included { 0 } else { tax }).max(0);
        let told = goods.iter().map(|l| l.net).fold(0i64, i64::saturating_add) == net && !goods.is_empty();
        let reason = words(refund, "/reason");
        let line_items = if told {
            merged(&goods, included)
        } else {
            vec![json!({"description": "Refund", "quantity": "1", "extended_amount": net, "note": reason})]
        };
        let at = int(refund, "/clientCreatedTime").or_else(|| int(refund, "/createdTime")).map_or(self.at, UnixMs);
        let sale = json!({
            "transaction_type": "return", "receipt_date_time": local(at, setup), "operator_id": words(refund, "/employee/id"),
            "currency_code": canonical::currency(text(order, "/currency"), setup).code(), "tax_included": included, "line_items": line_items,
            "taxes": (tax > 0).then(|| vec![json!({"tax_type": canonical::tax_type("", included), "amount": tax})]),
            "tenders": [{"tender_type": "CreditDebit", "amount": amount}],
            "totals": {"tax_amount": (tax > 0).then_some(tax), "tip_amount": (tip > 0).then_some(tip), "grand_amount": amount},
            "related": {"transaction_id": own, "receipt_number": words(order, "/title"), "type": "return_of"}, "customer": customer(order),
            "trailer_text": Some(reason).filter(|r| told && !r.is_empty()).map(|r| vec![r]),
        });
        let mut keys = self.keys(refund_id, int(refund, "/createdTime").unwrap_or(0), own);
        keys.payment_ids = Some(id(refund, "/payment/id")).into_iter().filter(|p| !p.is_empty()).collect();
        self.told.events.push(document(setup, "refund.processed", keys, sale)?);
        Ok(())
    }

    /// Nothing can be fetched any more: the document says that it is void and no amount.
    fn deleted(&mut self, own: &str, ts: i64) -> Done {
        let at = if ts > 0 { UnixMs(ts) } else { self.at };
        let sale = json!({"transaction_type": "void", "transaction_id": format!("{own}-void"), "receipt_date_time": local(at, self.setup),
            "currency_code": canonical::currency("", self.setup).code(), "tax_included": true,
            "line_items": [{"description": "Cancelled", "quantity": "1", "extended_amount": 0}], "totals": {"grand_amount": 0},
            "related": {"transaction_id": own, "type": "corrects"}});
        let keys = self.keys(format!("void:{own}"), ts, own);
        self.told.events.push(document(self.setup, "sale.voided", keys, sale)?);
        Ok(())
    }
}

/// What was refunded since was paid before.
fn is_sold(order: &Value) -> bool {
    matches!(text(order, "/paymentState"), "PAID" | "REFUNDED" | "PARTIALLY_REFUNDED" | "CREDITED")
}

/// A line with all that is taken off it.
struct Line {
    id: String,
    name: String,
    code: String,
    quantity: String,
    unit: String,
    price: i64,
    net: i64,
    discounts: Vec<Value>,
    options: Vec<Value>,
    /// Name and rate; 10,000,000 is 100 %.
    rates: Vec<(String, i64)>,
    note: String,
}

struct Basket {
    lines: Vec<Line>,
    discount: i64,
}

fn basket(order: &Value, lines: &[Value]) -> Basket {
    let mut off = 0i64;
    let mut all: Vec<Line> = lines.iter().filter(|l| !flag(l, "/exchanged")).map(|l| line(l, &mut off)).collect();
    for discount in list(order, "/discounts/elements").iter().take(50) {
        let nets: Vec<i64> = all.iter().map(|l| l.net).collect();
        let sum = nets.iter().fold(0i64, |sum, n| sum.saturating_add(*n));
        let total = reduction(discount, sum);
        for (line, part) in all.iter_mut().zip(apportion(total, &nets)) {
            line.discounts.extend(canonical::discount("GeneralDiscount", &words(discount, "/name"), part));
            line.net = line.net.saturating_sub(part).max(0);
        }
        off = off.saturating_add(total);
    }
    Basket { lines: all, discount: off }
}

/// What a discount takes of an amount, as a positive number.
fn reduction(discount: &Value, of: i64) -> i64 {
    let amount = minor(discount, "/amount").map(i64::saturating_abs).filter(|a| *a > 0);
    let percent = int(discount, "/percentage").unwrap_or(0).clamp(0, 100);
    amount.unwrap_or_else(|| share(of, percent, 100)).min(of.max(0))
}

fn line(value: &Value, off: &mut i64) -> Line {
    let price = minor(value, "/price").unwrap_or(0).max(0);
    let weight = int(value, "/unitQty").filter(|q| *q > 0 && !text(value, "/unitName").is_empty());
    let base = weight.map_or(price, |thousandths| share(price, thousandths, 1000));
    let options = list(value, "/modifications/elements");
    let extra = options.iter().filter_map(|o| minor(o, "/amount")).fold(0i64, i64::saturating_add);
    let mut net = base.saturating_add(extra).max(0);
    let mut discounts = Vec::new();
    for discount in list(value, "/discounts/elements").iter().take(50) {
        let part = reduction(discount, net);
        let name = words(discount, "/name");
        let method = if name.to_ascii_lowercase().contains("coupon") { "Coupon" } else { "GeneralDiscount" };
        discounts.extend(canonical::discount(method, &name, part));
        (net, *off) = (net - part, off.saturating_add(part));
    }
    let quantity = weight.and_then(|q| decimal(&format!("{}.{:03}", q / 1000, q % 1000))).unwrap_or_else(|| "1".to_owned());
    let name = Some(words(value, "/name")).filter(|n| !n.is_empty()).unwrap_or_else(|| "Item".to_owned());
    Line {
        id: id(value, "/id"),
        name,
        code: words(value, "/itemCode"),
        quantity,
        unit: if weight.is_some() { unit(text(value, "/unitName")) } else { "EA".to_owned() },
        price,
        net,
        discounts,
        options: options.iter().take(50).map(|o| json!({"description": words(o, "/name"), "amount": minor(o, "/amount")})).collect(),
        rates: list(value, "/taxRates/elements").iter().take(20).map(|r| (words(r, "/name"), int(r, "/rate").unwrap_or(0))).collect(),
        note: words(value, "/note"),
    }
}

fn unit(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "lb" | "lbs" => "LBR".to_owned(),
        "oz" => "ONZ".to_owned(),
        "kg" => "KGM".to_owned(),
        "g" => "GRM".to_owned(),
        _ => clean(name, 20),
    }
}

fn percent_of(rate: i64) -> Option<String> {
    (rate > 0).then(|| decimal(&format!("{}.{:05}", rate / 100_000, rate % 100_000))).flatten()
}

impl Basket {
    fn taxes(&self, included: bool) -> Vec<Value> {
        let mut taxes = Taxes::default();
        let mut sums: Vec<(String, i64, i64)> = Vec::new();
        for (line, (name, rate)) in self.lines.iter().flat_map(|l| l.rates.iter().map(move |r| (l, r))) {
            match sums.iter_mut().find(|(n, r, _)| n == name && r == rate) {
                Some((.., base)) => *base = base.saturating_add(line.net),
                None => sums.push((name.clone(), *rate, line.net)),
            }
        }
        for (name, rate, base) in sums.into_iter().filter(|(_, rate, _)| *rate > 0) {
            let whole = if included { rate.saturating_add(10_000_000) } else { 10_000_000 };
            taxes.add(&name, percent_of(rate), base, share(base, rate, whole));
        }
        taxes.json(included)
    }
}

/// Each unit sold is a line of its own: equal ones become one.
fn merged(lines: &[Line], included: bool) -> Vec<Value> {
    let mut out: Vec<(String, i64, i64, Vec<Value>, Value)> = Vec::new();
    for line in lines {
        let (member, number) = canonical::item(&line.code);
        let taxes: Vec<Value> = line.rates.iter().filter(|(_, rate)| *rate > 0).map(|(name, rate)| {
            let whole = if included { rate.saturating_add(10_000_000) } else { 10_000_000 };
            json!({"tax_type": canonical::tax_type(name, included), "percent": percent_of(*rate), "amount": share(line.net, *rate, whole)})
        }).collect();
        let mut json = json!({"description": line.name, "quantity": line.quantity, "unit_of_measure_code": line.unit, "regular_sales_unit_price": line.price,
            "modifiers": line.options, "note": line.note});
        set(&mut json, member, number);
        let names: Vec<&Value> = line.discounts.iter().filter_map(|d| d.get("description")).collect();
        let same = format!("{json}{names:?}{taxes_of:?}", taxes_of = line.rates);
        set(&mut json, "taxes", taxes);
        let found = out.iter_mut().find(|(s, ..)| *s == same && line.unit == "EA");
        match found {
            Some((_, count, net, discounts, first)) => {
                (*count, *net) = (*count + 1, net.saturating_add(line.net));
                add_each(discounts, &line.discounts);
                let more = list(&json, "/taxes").to_vec();
                if let Some(taxes) = first.get_mut("taxes").and_then(Value::as_array_mut) {
                    add_each(taxes, &more);
                }
            }
            None => out.push((same, 1, line.net, line.discounts.clone(), json)),
        }
    }
    let done = out.into_iter().map(|(_, count, net, discounts, mut json)| {
        set(&mut json, "extended_amount", net.max(0));
        set(&mut json, "price_modifiers", discounts);
        if count > 1 {
            set(&mut json, "quantity", count.to_string());
        }
        json
    });
    done.collect()
}

/// Adds the amounts of entries that stand at the same place.
fn add_each(to: &mut [Value], more: &[Value]) {
    for (to, more) in to.iter_mut().zip(more) {
        let sum = minor(to, "/amount").unwrap_or(0).saturating_add(minor(more, "/amount").unwrap_or(0));
        set(to, "amount", sum);
    }
}

fn tender(payment: &Value) -> Value {
    let label = format!("{} {}", text(payment, "/tender/labelKey"), text(payment, "/tender/label")).to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| label.contains(w));
    let kind = if has(&["ebt"]) {
        if has(&["cash"]) { "EBTCash" } else { "SNAP" }
    } else if has(&["wic"]) {
        "WIC"
    } else if payment.get("cardTransaction").is_some_and(Value::is_object) || has(&["credit", "debit"]) {
        "CreditDebit"
    } else if has(&["cash"]) {
        "Cash"
    } else if has(&["gift"]) {
        "GiftCard"
    } else if has(&["check"]) {
        "Check"
    } else {
        "Other"
    };
    let positive = |pointer: &str| minor(payment, pointer).filter(|a| *a > 0);
    let tip = positive("/tipAmount");
    let amount = positive("/amount").unwrap_or(0).saturating_add(tip.unwrap_or(0));
    let tendered = positive("/cashTendered");
    let card = payment.get("cardTransaction").filter(|_| !canonical::is_benefit(kind)).map(|card| {
        json!({"brand": words(card, "/cardType"), "last4": canonical::last4(text(card, "/last4")), "auth_code": words(card, "/authCode"), "entry": words(card, "/entryType")})
    });
    json!({"tender_type": kind, "amount": amount, "tip_amount": tip, "amount_tendered": tendered,
        "change": tendered.map(|t| t.saturating_sub(amount)).filter(|c| *c > 0), "card": card})
}

fn customer(order: &Value) -> Value {
    let Some(one) = list(order, "/customers/elements").first() else { return Value::Null };
    let primary =
        list(one, "/emailAddresses/elements").iter().find(|e| flag(e, "/primaryEmail")).or(list(one, "/emailAddresses/elements").first());
    let name = clean(&format!("{} {}", words(one, "/firstName"), words(one, "/lastName")), 200);
    json!({"id": id(one, "/id"), "name": name, "email": primary.map(|e| words(e, "/emailAddress")),
        "phone": list(one, "/phoneNumbers/elements").first().map(|p| words(p, "/phoneNumber"))})
}

/// Ids are put into paths: nothing else passes.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

fn headers(_: &Setup<'_>, token: &Secret) -> Vec<(String, String)> {
    vec![("Authorization".to_owned(), format!("Bearer {}", token.expose()))]
}

fn fixed_token(setup: &Setup<'_>) -> Option<Secret> {
    Some(setup.source.settings.secret("access_token")).filter(|token| !token.is_empty())
}

/// A pair that is renewed at half its life; the refresh token works once.
const RENEWAL: Renewal = Renewal { request: token_request, read: token, renew_at: 50 };

fn token_request(setup: &Setup<'_>, tokens: Option<&Tokens>) -> Option<Result<Request, String>> {
    let first = setup.source.settings.secret("refresh_token");
    let refresh = tokens.map(|t| t.refresh.clone()).filter(|t| !t.is_empty()).unwrap_or(first);
    if refresh.is_empty() || setup.text("client_id").is_empty() {
        return None;
    }
    let body = json!({"client_id": setup.text("client_id"), "refresh_token": refresh.expose()}).to_string().into_bytes();
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Some(super::base(&KIND, setup).map(|base| Request { method: "POST", url: format!("{base}/oauth/v2/refresh"), headers, body }))
}

fn token(answer: &Answer, before: Option<&Tokens>, now: UnixMs) -> Renewed {
    renewed(answer, before, now, |body| {
        let end = |name: &str| int(body, name).map(|s| UnixMs(s.saturating_mul(1000)));
        let (access, refresh) = (text(body, "/access_token").to_owned(), text(body, "/refresh_token").to_owned());
        (access, refresh, end("/access_token_expiration"), end("/refresh_token_expiration"))
    })
}

/// Ids of orders by the time of their last change, per merchant; each is then fetched as after a webhook.
const PULL: Pull = Pull { begin, request: page_request, read: page };

fn begin(setup: &Setup<'_>, now: UnixMs) -> Vec<Cursor> {
    let merchants = setup.texts("merchants").into_iter().filter(|m| is_id(m));
    merchants.map(|m| Cursor { account: m.to_owned(), since: now.0.saturating_sub(OVERLAP), ..Cursor::default() }).collect()
}

/// The API reads 90 days back at most.
const LONGEST: i64 = 30 * 86_400_000;
const PAGE: usize = 500;

fn page_request(setup: &Setup<'_>, cursor: &Cursor, token: &Secret, now: UnixMs) -> Result<Request, String> {
    let (window, offset) = (cursor.window(now, LONGEST), cursor.page.parse::<usize>().unwrap_or(0));
    let (account, since, until) = (&window.account, window.since, window.until);
    let path = format!(
        "/v3/merchants/{account}/orders?filter=modifiedTime%3E%3D{since}&filter=modifiedTime%3C%3D{until}&limit={PAGE}&offset={offset}"
    );
    request(&KIND, setup, &LookUp::new("", "", Need::Required, path), token)
}

fn page(_: &Setup<'_>, cursor: &Cursor, answer: &Answer, asked: UnixMs) -> Result<Page, String> {
    let (window, offset) = (cursor.window(asked, LONGEST), cursor.page.parse::<usize>().unwrap_or(0));
    let body = read_json(&answer.body).map_err(|_| "the list of orders is not JSON")?;
    let orders = body.get("elements").and_then(Value::as_array).ok_or("the answer is not a list of orders")?;
    let key = |order: &Value| format!("pull|{}|{}|{}", cursor.account, id(order, "/id"), int(order, "/modifiedTime").unwrap_or(0));
    let item =
        |order: &Value| json!({"merchant": cursor.account, "order": {"id": order.get("id"), "modifiedTime": order.get("modifiedTime")}});
    let items = orders.iter().map(|o| (key(o), item(o).to_string().into_bytes())).collect();
    Ok(if orders.len() >= PAGE {
        Page { items, next: Cursor { page: (offset + orders.len()).to_string(), ..window }, more: true }
    } else {
        Page { items, next: window.closed(asked), more: window.until.saturating_add(OVERLAP) < asked.0 }
    })
}
