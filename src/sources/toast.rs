//! Toast: every change of an order sends the whole order again; the receipt is per check.
//!
//! Signed are the body and, after it, the body's own `timestamp` text. A check is final at CLOSED; at PAID it
//! may still be tipped, so it waits a quiet time. Guests are left out of the webhook and asked for. Amounts
//! are JSON decimals in major units of the shop's currency, which the order does not name.

use crate::config::checked::Rate;
use crate::config::key::{default, optional};
use crate::config::secret::Secret;
use crate::config::{Key, Shape, TypeKeys};
use crate::domain::fault::Fault;
use crate::domain::money::Currency;
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request};
use crate::sources::canonical::{self, Keys, Taxes, apportion, document, event, local};
use crate::sources::value::{clean, flag, id, int, json as read_json, list, major, moment, percent, quantity, set, text, words};
use crate::sources::*;
use serde_json::{Value, json};

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "toast",
        doc: "Checks of Toast restaurants.",
        channels: &[],
        keys: KEYS,
        example: "secrets = [\"secret-of-the-subscription\"]\nrestaurants = [\"0b7b3a55-6a0e-4b6e-9a42-1f3d5c7e9b10\"]",
    },
    check,
    verify,
    delivery_id,
    decode,
    // 20 a second and 10,000 in 15 min are allowed.
    api: Some(Api {
        base,
        headers,
        rate: Rate::per_second(10),
        concurrency: 4,
        fixed_token: |_| None,
        renewal: Some(RENEWAL),
        pull: Some(PULL),
    }),
};

const KEYS: &[Key] = &[
    optional("secrets", Shape::List(&Shape::Secret), "Secrets of the subscriptions: each category of events has its own."),
    optional("client_id", Shape::Text, "Client id of the API access. Without it guests are not known."),
    optional("client_secret", Shape::Secret, "Its secret."),
    optional("restaurants", Shape::List(&Shape::Text), "Restaurant GUIDs that are ours; without it every one. Pulling needs it."),
    default("paid_quiet", Shape::Duration, "\"15 min\"", "How long a check that is paid but not closed waits for its tip."),
    API_BASE,
    PULL_EVERY,
    LOOKUP_WAIT,
    ENRICH_WAIT,
    RECEIPTS,
    TEST,
];

fn check(setup: &Setup<'_>) -> Result<(), String> {
    let asks = !setup.text("client_id").is_empty();
    match (setup.secrets("secrets").is_empty() && !asks, asks && setup.text("api_base").is_empty()) {
        (true, _) => Err("secrets (for webhooks) or client_id (for pulling) is missing".to_owned()),
        (_, true) => Err("api_base is missing: Toast names the host of each environment".to_owned()),
        _ => Ok(()),
    }
}

fn verify(setup: &Setup<'_>, given: &Given<'_>, _: Moment) -> Verdict {
    let body = read_json(given.body).unwrap_or_default();
    let parts: [&[u8]; 2] = [given.body, text(&body, "/timestamp").as_bytes()];
    match sign::hmac_base64(given, &["toast-signature"], &setup.secrets("secrets"), &parts) {
        Verdict::Accepted if !body.is_object() => Verdict::Unusable("not_json"),
        verdict => verdict,
    }
}

fn delivery_id(_: &Setup<'_>, given: &Given<'_>) -> Option<String> {
    Some(id(&read_json(given.body).ok()?, "/guid")).filter(|id| !id.is_empty())
}

fn decode(setup: &Setup<'_>, raw: &Raw<'_>, answers: &Answers) -> Decoded {
    let body = match read_json(raw.body) {
        Ok(body) => body,
        Err(faults) => return Decoded::Unusable(faults),
    };
    let details = if raw.via == Via::Pull { &body } else { body.get("details").unwrap_or(&Value::Null) };
    let restaurant = id(details, "/restaurantGuid");
    if !setup.allows("restaurants", &restaurant) {
        return Decoded::Nothing("foreign_restaurant");
    }
    let mut reading = Reading {
        setup,
        answers,
        currency: canonical::currency("", setup),
        restaurant,
        event_id: id(&body, "/guid"),
        at: moment(text(&body, "/timestamp")).unwrap_or(raw.at),
        told: Told::default(),
    };
    let category = text(&body, "/eventCategory");
    let done = match (raw.via, category) {
        (Via::Pull, _) | (_, "order_updated" | "channel_order_updated") => match details.get("order").filter(|o| o.is_object()) {
            Some(order) => reading.order(order),
            None => Err(vec![Fault::new("/details/order", "missing", "the event has no order")]),
        },
        (_, other) if other.contains("fulfillment_status") => reading.status(details),
        (_, "") => Err(vec![Fault::new("/eventCategory", "missing", "the event has no category")]),
        _ => return Decoded::Nothing("other_category"),
    };
    match done {
        Ok(()) => reading.told.or_nothing("not_final"),
        Err(faults) => Decoded::Unusable(faults),
    }
}

struct Reading<'a> {
    setup: &'a Setup<'a>,
    answers: &'a Answers,
    currency: Currency,
    restaurant: String,
    event_id: String,
    at: UnixMs,
    told: Told,
}

type Done = Result<(), Vec<Fault>>;

impl Reading<'_> {
    fn money(&self, value: &Value, pointer: &str) -> i64 {
        major(value, pointer, self.currency).unwrap_or(0)
    }

    fn order(&mut self, order: &Value) -> Done {
        if flag(order, "/createdInTestMode") && !self.setup.is_test() {
            return Ok(());
        }
        for check in list(order, "/checks").iter().take(200) {
            let own = id(check, "/guid");
            if own.is_empty() || flag(check, "/deleted") || flag(order, "/deleted") {
                continue;
            }
            let paid = matches!(text(check, "/paymentStatus"), "PAID" | "CLOSED");
            if flag(order, "/voided") || flag(check, "/voided") {
                // One that nobody had paid was never a sale.
                if !list(check, "/payments").is_empty() {
                    self.void(&own, order, check)?;
                }
            } else if paid && list(check, "/selections").iter().any(|s| !gone(s)) {
                self.sale(&own, order, check)?;
            }
            if paid {
                self.refunds(&own, order, check)?;
            }
        }
        Ok(())
    }

    fn keys(&self, business_key: String, order: &Value, check: &Value) -> Keys {
        Keys {
            business_key,
            version: [order, check].iter().filter_map(|v| moment(text(v, "/modifiedDate"))).map(|at| at.0).max().unwrap_or(0),
            account: self.restaurant.clone(),
            location: self.restaurant.clone(),
            // Several checks share an order: it names none of them.
            order_id: id(check, "/guid"),
            payment_ids: list(check, "/payments").iter().map(|p| id(p, "/guid")).filter(|g| !g.is_empty()).collect(),
            event_ids: Some(self.event_id.clone()).into_iter().filter(|e| !e.is_empty()).collect(),
        }
    }

    fn sale(&mut self, own: &str, order: &Value, check: &Value) -> Done {
        let guest = self.guest(own, order, check);
        let mut sale = self.check(order, check, "sale");
        set(&mut sale, "customer", guest);
        let mut told = document(self.setup, "sale.completed", self.keys(own.to_owned(), order, check), sale)?;
        if text(check, "/paymentStatus") == "PAID" {
            told.not_before = moment(text(check, "/paidDate")).map(|at| at + self.setup.duration("paid_quiet"));
        }
        self.told.events.push(told);
        Ok(())
    }

    fn void(&mut self, own: &str, order: &Value, check: &Value) -> Done {
        let mut sale = self.check(order, check, "void");
        set(&mut sale, "transaction_id", format!("{own}-void"));
        set(&mut sale, "related", json!({"transaction_id": own, "receipt_number": words(check, "/displayNumber"), "type": "corrects"}));
        let keys = self.keys(format!("void:{own}"), order, check);
        self.told.events.push(document(self.setup, "sale.voided", keys, sale)?);
        Ok(())
    }

    /// The guest of the check: from the webhook where it is there, else from the order itself.
    fn guest(&mut self, own: &str, order: &Value, check: &Value) -> Value {
        let guid = id(order, "/guid");
        let told = check.get("customer").filter(|c| !text(c, "/email").is_empty() || !text(c, "/phone").is_empty());
        if let Some(customer) = told {
            return person(customer);
        }
        let key = format!("order:{guid}");
        match self.answers.get(&key) {
            Some(Answered::Found(body)) => {
                let full: Value = serde_json::from_slice(body).unwrap_or_default();
                let same = list(&full, "/checks").iter().find(|c| id(c, "/guid") == own);
                same.and_then(|c| c.get("customer")).map(person).unwrap_or_default()
            }
            Some(Answered::Absent) => Value::Null,
            None => {
                let known = is_guid(&guid) && is_guid(&self.restaurant) && !self.setup.text("client_id").is_empty();
                if known {
                    let mut lookup = LookUp::new(key, own, Need::Enriches, format!("/orders/v2/orders/{guid}"));
                    lookup.headers.push((RESTAURANT.to_owned(), self.restaurant.clone()));
                    self.told.lookups.push(lookup);
                }
                Value::Null
            }
        }
    }

    fn check(&self, order: &Value, check: &Value, transaction_type: &str) -> Value {
        let good: Vec<&Value> = list(check, "/selections").iter().filter(|s| !gone(s) || transaction_type == "void").take(20_000).collect();
        let included = !good.is_empty() && good.iter().all(|s| text(s, "/taxInclusion") == "INCLUDED");
        let mut taxes = Taxes::default();
        let mut lines: Vec<Value> = good.iter().map(|s| self.line(s, included, &mut taxes)).collect();
        let charges: Vec<Value> = list(check, "/appliedServiceCharges").iter().filter_map(|c| self.charge(c, &mut taxes)).collect();
        let sum = |all: &[Value], pointer: &str| all.iter().filter_map(|l| int(l, pointer)).fold(0i64, i64::saturating_add);
        let net = self.money(check, "/amount").saturating_sub(sum(&charges, "/amount"));
        let whole: i64 = list(check, "/appliedDiscounts").iter().map(|d| self.money(d, "/discountAmount")).fold(0, i64::saturating_add);
        // A discount of the whole check is spread over its lines where their prices do not hold it yet.
        if whole > 0 && sum(&lines, "/extended_amount").saturating_sub(net) == whole {
            let nets: Vec<i64> = lines.iter().map(|l| int(l, "/extended_amount").unwrap_or(0)).collect();
            let name = words(check, "/appliedDiscounts/0/name");
            for ((line, part), was) in lines.iter_mut().zip(apportion(whole, &nets)).zip(nets) {
                let modifiers = line.get_mut("price_modifiers").and_then(Value::as_array_mut);
                if let Some(modifiers) = modifiers {
                    modifiers.extend(canonical::discount("GeneralDiscount", &name, part));
                }
                set(line, "extended_amount", was.saturating_sub(part).max(0));
            }
        }
        if lines.is_empty() {
            lines.push(json!({"description": "Check", "quantity": "1", "extended_amount": net.max(0)}));
        }
        let payments: Vec<&Value> = list(check, "/payments").iter().filter(|p| is_paid(p)).take(100).collect();
        let tip = payments.iter().map(|p| self.money(p, "/tipAmount")).fold(0i64, i64::saturating_add);
        let discount = whole.saturating_add(
            good.iter().flat_map(|s| list(s, "/appliedDiscounts")).map(|d| self.money(d, "/discountAmount")).fold(0, i64::saturating_add),
        );
        let at = [text(check, "/paidDate"), text(check, "/closedDate"), text(check, "/voidDate"), text(check, "/openedDate")];
        let at = at.into_iter().find_map(moment).unwrap_or(self.at);
        let day = int(order, "/businessDate").filter(|d| (20_000_101..=29_991_231).contains(d));
        let day =
            day.map(|d| format!("{}-{:02}-{:02}", d / 10_000, d / 100 % 100, d % 100)).filter(|d| d.parse::<jiff::civil::Date>().is_ok());
        let loyalty = check.get("appliedLoyaltyInfo").filter(|l| l.is_object()).map(|l| {
            json!({"program": words(l, "/vendor"), "id_masked": words(l, "/maskedLoyaltyIdentifier"), "text": words(l, "/accrualText")})
        });
        json!({
            "transaction_type": transaction_type, "receipt_number": clean(text(check, "/displayNumber"), 100), "receipt_date_time": local(at, self.setup),
            "business_day_date": day, "operator_id": id(order, "/server/guid"), "workstation_id": id(check, "/lastModifiedDevice/id"),
            "currency_code": self.currency.code(), "tax_included": included, "line_items": lines, "taxes": taxes.json(included),
            "service_charges": charges, "tenders": payments.iter().map(|p| self.tender(p)).collect::<Vec<_>>(),
            "totals": {"discount_amount": (discount > 0).then_some(discount), "tax_amount": self.money(check, "/taxAmount").max(0),
                "tip_amount": (tip > 0).then_some(tip), "grand_amount": self.money(check, "/totalAmount").saturating_add(tip)},
            "loyalty": loyalty, "tax_exempt": flag(check, "/taxExempt").then(|| json!({"reason": "exempt"})),
        })
    }

    fn line(&self, selection: &Value, included: bool, taxes: &mut Taxes) -> Value {
        let net = self.money(selection, "/price");
        let mut own = Vec::new();
        for tax in list(selection, "/appliedTaxes").iter().take(20) {
            let (name, rate, amount) = (words(tax, "/name"), percent(tax.get("rate")), self.money(tax, "/taxAmount"));
            taxes.add(&name, rate.clone(), net, amount);
            if amount >= 0 {
                own.push(json!({"tax_type": canonical::tax_type(&name, included), "percent": rate, "amount": amount}));
            }
        }
        let discounts = list(selection, "/appliedDiscounts").iter().filter_map(|d| {
            let name = words(d, "/name");
            let method = if name.to_ascii_lowercase().contains("coupon") { "Coupon" } else { "GeneralDiscount" };
            canonical::discount(method, &name, self.money(d, "/discountAmount"))
        });
        let mut options = Vec::new();
        self.options(selection, 0, &mut options);
        let unit = match text(selection, "/unitOfMeasure") {
            "LB" => "LBR",
            "OZ" => "ONZ",
            "KG" => "KGM",
            "G" => "GRM",
            _ => "EA",
        };
        json!({"description": title(selection), "item_id": words(selection, "/plu"), "quantity": quantity(selection.get("quantity")).unwrap_or_else(|| "1".into()),
            "unit_of_measure_code": unit, "regular_sales_unit_price": major(selection, "/receiptLinePrice", self.currency).filter(|p| *p >= 0),
            "extended_amount": net.max(0), "price_modifiers": discounts.collect::<Vec<_>>(), "modifiers": options, "taxes": own})
    }

    /// Modifiers of modifiers too, three deep.
    fn options(&self, selection: &Value, depth: usize, out: &mut Vec<Value>) {
        for option in list(selection, "/modifiers").iter().filter(|m| !gone(m)).take(50) {
            out.push(json!({"description": title(option), "amount": Some(self.money(option, "/price")).filter(|a| *a != 0)}));
            if depth < 2 {
                self.options(option, depth + 1, out);
            }
        }
    }

    fn charge(&self, charge: &Value, taxes: &mut Taxes) -> Option<Value> {
        let amount = Some(self.money(charge, "/chargeAmount")).filter(|a| *a > 0)?;
        for tax in list(charge, "/appliedTaxes").iter().take(20) {
            taxes.add(&words(tax, "/name"), percent(tax.get("rate")), amount, self.money(tax, "/taxAmount"));
        }
        let name = Some(words(charge, "/name")).filter(|n| !n.is_empty()).unwrap_or_else(|| "Service".to_owned());
        Some(json!({"description": name, "amount": amount, "taxable": flag(charge, "/taxable")}))
    }

    fn tender(&self, payment: &Value) -> Value {
        let (tip, applied) = (self.money(payment, "/tipAmount").max(0), self.money(payment, "/amount").max(0));
        let kind = match text(payment, "/type") {
            "CASH" => "Cash",
            "CREDIT" => "CreditDebit",
            "GIFTCARD" => "GiftCard",
            "HOUSE_ACCOUNT" => "HouseAccount",
            "REWARDCARD" => "Loyalty",
            "TOAST_SV" => "StoredValue",
            "LEVELUP" => "Mobile",
            _ => "Other",
        };
        let amount = applied.saturating_add(tip);
        let tendered = (kind == "Cash").then(|| self.money(payment, "/amountTendered")).filter(|t| *t > 0);
        let card = (kind == "CreditDebit").then(|| {
            json!({"brand": words(payment, "/cardType"), "last4": canonical::last4(text(payment, "/last4Digits")), "entry": words(payment, "/cardEntryMode")})
        });
        json!({"tender_type": kind, "amount": amount, "tip_amount": (tip > 0).then_some(tip), "amount_tendered": tendered,
            "change": tendered.map(|t| t.saturating_sub(amount)).filter(|c| *c > 0), "card": card})
    }

    /// One document for each refund transaction, which may touch several payments.
    fn refunds(&mut self, own: &str, order: &Value, check: &Value) -> Done {
        let mut done: Vec<String> = Vec::new();
        for payment in list(check, "/payments").iter().take(100) {
            let refund = payment.get("refund").filter(|r| r.is_object() && matches!(text(payment, "/refundStatus"), "PARTIAL" | "FULL"));
            let Some(guid) = refund.map(|r| id(r, "/refundTransaction/guid")).filter(|g| !g.is_empty() && !done.contains(g)) else {
                continue;
            };
            self.refund(own, &guid, order, check)?;
            done.push(guid);
        }
        Ok(())
    }

    fn refund(&mut self, own: &str, guid: &str, order: &Value, check: &Value) -> Done {
        let of_it = |v: &&Value, pointer: &str| id(v, pointer) == guid;
        let payments: Vec<&Value> = list(check, "/payments").iter().filter(|p| of_it(p, "/refund/refundTransaction/guid")).collect();
        let sum = |pointer: &str| payments.iter().map(|p| self.money(p, pointer).max(0)).fold(0i64, i64::saturating_add);
        let (amount, tip) = (sum("/refund/refundAmount"), sum("/refund/tipRefundAmount"));
        let goods: Vec<&Value> =
            list(check, "/selections").iter().filter(|s| of_it(s, "/refundDetails/refundTransaction/guid")).take(20_000).collect();
        let back = |pointer: &str| goods.iter().map(|s| self.money(s, pointer).max(0)).fold(0i64, i64::saturating_add);
        let (net, tax) = (back("/refundDetails/refundAmount"), back("/refundDetails/taxRefundAmount"));
        let told = !goods.is_empty() && net.saturating_add(tax) == amount;
        let lines: Vec<Value> = if told {
            goods
                .iter()
                .map(|s| {
                    json!({"description": title(s), "quantity": quantity(s.get("quantity")).unwrap_or_else(|| "1".into()),
                        "extended_amount": self.money(s, "/refundDetails/refundAmount").max(0)})
                })
                .collect()
        } else {
            vec![json!({"description": "Refund", "quantity": "1", "extended_amount": amount})]
        };
        let tax = if told { tax } else { 0 };
        let at = payments.iter().find_map(|p| moment(text(p, "/refund/refundDate"))).unwrap_or(self.at);
        let tenders = payments.iter().map(|p| {
            let mut tender = self.tender(p);
            let back = self.money(p, "/refund/refundAmount").saturating_add(self.money(p, "/refund/tipRefundAmount"));
            set(&mut tender, "amount", back.max(0));
            for name in ["tip_amount", "amount_tendered", "change"] {
                set(&mut tender, name, Value::Null);
            }
            tender
        });
        let sale = json!({
            "transaction_type": "return", "receipt_date_time": local(at, self.setup), "currency_code": self.currency.code(), "tax_included": tax == 0,
            "line_items": lines, "taxes": (tax > 0).then(|| vec![json!({"tax_type": "Sales", "amount": tax})]),
            "tenders": tenders.collect::<Vec<_>>(),
            "totals": {"tax_amount": (tax > 0).then_some(tax), "tip_amount": (tip > 0).then_some(tip), "grand_amount": amount.saturating_add(tip)},
            "related": {"transaction_id": own, "receipt_number": words(check, "/displayNumber"), "type": "return_of"},
        });
        let mut keys = self.keys(guid.to_owned(), order, check);
        keys.version = at.0;
        keys.payment_ids = payments.iter().map(|p| id(p, "/guid")).collect();
        self.told.events.push(document(self.setup, "refund.processed", keys, sale)?);
        Ok(())
    }

    fn status(&mut self, details: &Value) -> Done {
        let first = |pointers: &[&str]| pointers.iter().map(|p| id(details, p)).find(|t| !t.is_empty()).unwrap_or_default();
        let status = first(&["/guestOrderFulfillmentStatus/status", "/guestOrderFulfillmentStatus", "/fulfillmentStatus", "/status"]);
        let order = first(&["/orderGuid", "/order/guid", "/guestOrderFulfillmentStatus/orderGuid", "/guid"]);
        let (kind, status) = match status.as_str() {
            "RECEIVED" => ("order.confirmed", "received"),
            "IN_PREPARATION" => ("order.updated", "in_preparation"),
            "READY_FOR_PICKUP" => ("order.updated", "ready"),
            "CLOSED" => ("order.fulfilled", "completed"),
            "VOIDED" => ("order.cancelled", "cancelled"),
            _ => return Ok(()),
        };
        let keys = Keys { business_key: format!("{order}/{status}"), account: self.restaurant.clone(), ..Keys::default() };
        let data = json!({"order": {"id": order}, "fulfillment": {"status": status}});
        self.told.events.push(event(self.setup, kind, keys, self.at, &order, data));
        Ok(())
    }
}

fn gone(selection: &Value) -> bool {
    flag(selection, "/voided") || flag(selection, "/deleted")
}

fn is_paid(payment: &Value) -> bool {
    let status = text(payment, "/paymentStatus");
    !matches!(status, "VOIDED" | "DENIED" | "CANCELLED" | "ERROR" | "ERROR_NETWORK" | "PROCESSING_VOID")
        && payment.get("voidInfo").is_none_or(Value::is_null)
}

fn title(value: &Value) -> String {
    let found = ["/displayName", "/name"].iter().map(|p| words(value, p)).find(|n| !n.is_empty());
    found.unwrap_or_else(|| "Item".to_owned())
}

fn person(customer: &Value) -> Value {
    let (phone, code) = (words(customer, "/phone"), words(customer, "/phoneCountryCode"));
    let international = !phone.is_empty() && !code.is_empty() && !phone.starts_with('+');
    json!({"id": id(customer, "/guid"), "name": clean(&format!("{} {}", words(customer, "/firstName"), words(customer, "/lastName")), 200),
        "email": words(customer, "/email"), "phone": if international { format!("+{}{phone}", code.trim_start_matches('+')) } else { phone }})
}

/// Ids are put into paths and headers: nothing else passes.
fn is_guid(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

const RESTAURANT: &str = "Toast-Restaurant-External-ID";

fn base(_: &Setup<'_>) -> Result<String, String> {
    Err("api_base is missing: Toast names the host of each environment".to_owned())
}

fn headers(_: &Setup<'_>, token: &Secret) -> Vec<(String, String)> {
    vec![("Authorization".to_owned(), format!("Bearer {}", token.expose()))]
}

/// A login whose token lives about a day; it may be asked twice an hour at most.
const RENEWAL: Renewal = Renewal { request: token_request, read: token, renew_at: 95 };

fn token_request(setup: &Setup<'_>, _: Option<&Tokens>) -> Option<Result<Request, String>> {
    let client = Some(setup.text("client_id")).filter(|id| !id.is_empty())?;
    let secret = setup.source.settings.secret("client_secret");
    let body =
        json!({"clientId": client, "clientSecret": secret.expose(), "userAccessType": "TOAST_MACHINE_CLIENT"}).to_string().into_bytes();
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let url = super::base(&KIND, setup).map(|base| format!("{base}/authentication/v1/authentication/login"));
    Some(url.map(|url| Request { method: "POST", url, headers, body }))
}

fn token(answer: &Answer, before: Option<&Tokens>, now: UnixMs) -> Renewed {
    renewed(answer, before, now, |body| {
        let life = int(body, "/token/expiresIn").map(|s| UnixMs(now.0.saturating_add(s.saturating_mul(1000))));
        (text(body, "/token/accessToken").to_owned(), String::new(), life, None)
    })
}

/// Whole orders by the time of their last change, per restaurant.
const PULL: Pull = Pull { begin, request: page_request, read: page };

fn begin(setup: &Setup<'_>, now: UnixMs) -> Vec<Cursor> {
    let restaurants = setup.texts("restaurants").into_iter().filter(|r| is_guid(r));
    restaurants.map(|r| Cursor { account: r.to_owned(), since: now.0.saturating_sub(OVERLAP), ..Cursor::default() }).collect()
}

/// A window is a month at most.
const LONGEST: i64 = 28 * 86_400_000;

fn page_request(setup: &Setup<'_>, cursor: &Cursor, token: &Secret, now: UnixMs) -> Result<Request, String> {
    let (window, page) = (cursor.window(now, LONGEST), cursor.page.parse::<u32>().unwrap_or(1));
    let date = |ms: i64| UnixMs(ms).instant().strftime("%Y-%m-%dT%H:%M:%S.%3f%%2B0000").to_string();
    let path = format!("/orders/v2/ordersBulk?startDate={}&endDate={}&pageSize=100&page={page}", date(window.since), date(window.until));
    let mut lookup = LookUp::new("", "", Need::Required, path);
    lookup.headers.push((RESTAURANT.to_owned(), cursor.account.clone()));
    request(&KIND, setup, &lookup, token)
}

fn page(_: &Setup<'_>, cursor: &Cursor, answer: &Answer, asked: UnixMs) -> Result<Page, String> {
    let (window, page) = (cursor.window(asked, LONGEST), cursor.page.parse::<u32>().unwrap_or(1));
    let body = read_json(&answer.body).map_err(|_| "the list of orders is not JSON")?;
    let orders = body.as_array().ok_or("the answer is not a list of orders")?;
    let key = |order: &Value| format!("pull|{}|{}", id(order, "/guid"), text(order, "/modifiedDate"));
    let item = |order: &Value| json!({"restaurantGuid": cursor.account, "order": order}).to_string().into_bytes();
    let items = orders.iter().map(|o| (key(o), item(o))).collect();
    Ok(if orders.len() >= 100 {
        Page { items, next: Cursor { page: page.saturating_add(1).to_string(), ..window }, more: true }
    } else {
        Page { items, next: window.closed(asked), more: window.until.saturating_add(OVERLAP) < asked.0 }
    })
}
