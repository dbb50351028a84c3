//! Mailchimp Marketing: customers as members of an audience, with fields, tags and journeys.
//!
//! Not for receipts: what it mails goes to a whole audience. A member is written by the hash of the address,
//! so a repeat changes nothing; starting a journey twice would mail twice. It never sets the status of a
//! member that exists: who left stays away.

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate, Setting};
use crate::config::key::{Shape, optional, required};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::{Content, Data, Outgoing};
use crate::domain::ids::hex;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::domain::time::UnixMs;
use crate::http::{Answer, Request, check_base_url, form};
use crate::providers::callback::{self, Bounce, Call, Event, EventKind, Known, Refusal, Report, text};
use crate::providers::shared::{CALLBACK_URL, TAGS, ascii_address, basic, by_status, content_type, not_theirs, refused, set, texts};
use crate::providers::{At, Health, HttpProvider, Idempotency, Judged, Kind, STATUS, Step, Wire, wrong_content};
use ring::hmac::HMAC_SHA256;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "mailchimp",
        doc: "Customers as members of a Mailchimp audience.",
        channels: &[Channel::Crm],
        keys: KEYS,
        example: "type = \"mailchimp\"\napi_key = \"0a1b2c3d4e5f-us21\"\nlist = \"0a1b2c3d4e\"\n",
    },
    idempotency: Idempotency::Key,
    rate: Rate::per_second(10),
    // Ten connections of an account are the most that Mailchimp takes.
    concurrency: 8,
    batch: 1,
    keeps_content: false,
    classify: Some(judge),
    callback: Some(report),
    build,
};

const KEYS: &[crate::config::Key] = &[
    required("api_key", Shape::Secret, "The API key, with the data centre behind its hyphen."),
    required("list", Shape::Text, "The audience's id."),
    optional(
        "fields",
        Shape::Map(&Shape::Text),
        "Merge fields that are kept up to date: our name = theirs, e.g. `order_status = \"ORDSTATUS\"`.",
    ),
    optional("journeys", Shape::Map(&Shape::Text), "Journeys that events start: type of the event = \"JOURNEY/STEP\"."),
    TAGS,
    optional("callback", Shape::Table(CALLBACK), "How its webhooks are verified."),
];

const CALLBACK: &[crate::config::Key] = &[CALLBACK_URL, optional("signing_secret", Shape::Secret, "The webhook's signing secret.")];

const MEMBER_PUT: &str = "member_put";
const TAGGING: &str = "tags";
const JOURNEY: &str = "journey_trigger";

/// An account's settings.
#[derive(Clone, Debug)]
pub struct Mailchimp {
    base_url: String,
    api_key: Secret,
    list: String,
    /// Our name, theirs.
    fields: Vec<(String, String)>,
    /// Type of event, path of the journey's step.
    journeys: Vec<(String, String)>,
    tags: Vec<String>,
}

fn build(settings: &Settings) -> Result<Wire, String> {
    let own = &settings.settings;
    let api_key = own.secret("api_key");
    let word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let centre = api_key.expose().rsplit_once('-').map(|(_, centre)| centre.to_owned()).filter(|centre| word(centre));
    let usual = centre.map(|centre| format!("https://{centre}.api.mailchimp.com"));
    let base_url = settings.base_url.clone().or(usual).ok_or("api_key must end with a hyphen and its data centre, e.g. -us21")?;
    if !word(own.text("list")) {
        return Err("list must be the audience's id".to_owned());
    }
    let mut journeys = Vec::new();
    for (event, step) in pairs(settings, "journeys") {
        let (journey, step) = step.split_once('/').filter(|(a, b)| word(a) && word(b)).ok_or("journeys: a journey is JOURNEY/STEP")?;
        journeys.push((event, format!("/customer-journeys/journeys/{journey}/steps/{step}/actions/trigger")));
    }
    Ok(Wire::Http(Box::new(Mailchimp {
        base_url: check_base_url(&base_url, settings.allow_insecure)?,
        api_key,
        list: own.text("list").to_owned(),
        fields: pairs(settings, "fields"),
        journeys,
        tags: texts(own, "tags"),
    })))
}

fn pairs(settings: &Settings, name: &str) -> Vec<(String, String)> {
    let all = settings.settings.table(name).into_iter().flat_map(|table| &table.0);
    all.filter_map(|(name, value)| if let Setting::Text(text) = value { Some((name.clone(), text.clone())) } else { None }).collect()
}

impl Mailchimp {
    fn ask(&self, method: &'static str, rest: &str, body: Option<&Value>) -> Request {
        let mut headers = vec![basic("tillpost", self.api_key.expose())];
        headers.extend(body.map(|_| content_type("application/json")));
        let body = body.map(|b| b.to_string().into_bytes()).unwrap_or_default();
        Request { method, url: format!("{}/3.0{rest}", self.base_url), headers, body }
    }

    fn merge_fields(&self, data: &Data) -> Map<String, Value> {
        let value = |ours: &str| {
            let inside = format!("/data/{}", ours.replace('.', "/"));
            let value = data.payload.pointer(&inside).or_else(|| data.payload.pointer(&format!("/data/customer/{ours}")))?;
            value.as_str().map(str::to_owned).or_else(|| value.as_number().map(ToString::to_string))
        };
        self.fields.iter().filter_map(|(ours, theirs)| Some((theirs.clone(), value(ours)?.into()))).collect()
    }
}

/// The customer's address: that of the delivery, else the one that may leave with the event.
fn address(message: &Outgoing, data: &Data) -> Option<String> {
    let inside = ["/data/customer/email", "/data/contact/email", "/data/email"].iter().filter_map(|at| data.payload.pointer(at)?.as_str());
    std::iter::once(message.to.as_str()).chain(inside).find_map(|text| ascii_address(&text.trim().to_lowercase()))
}

/// By which Mailchimp names a member.
fn member_hash(address: &str) -> String {
    hex(&md5::compute(address.as_bytes()).0)
}

impl HttpProvider for Mailchimp {
    fn kind(&self) -> &'static Kind {
        &KIND
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn request(&self, message: &Outgoing, _at: At<'_>) -> Result<Vec<Step>, Outcome> {
        let Content::Data(data) = &message.content else { return Err(wrong_content(&KIND)) };
        let address = address(message, data)
            .ok_or_else(|| Outcome::new(Class::Permanent, Scope::Message, "no mail address of the customer may leave with this event"))?;
        let member = format!("/lists/{}/members/{}", self.list, member_hash(&address));
        let mut body = json!({"email_address": address, "status_if_new": "transactional"});
        let fields = self.merge_fields(data);
        if !fields.is_empty() {
            set(&mut body, "merge_fields", fields);
        }
        let mut steps = vec![Step { operation: MEMBER_PUT, request: self.ask("PUT", &member, Some(&body)) }];
        if !self.tags.is_empty() {
            let tags: Vec<Value> = self.tags.iter().map(|tag| json!({"name": tag, "status": "active"})).collect();
            steps.push(Step { operation: TAGGING, request: self.ask("POST", &format!("{member}/tags"), Some(&json!({"tags": tags}))) });
        }
        let journey = self.journeys.iter().find(|(event, _)| *event == data.event);
        steps.extend(journey.map(|(_, path)| {
            let request = self.ask("POST", path, Some(&json!({"email_address": address})));
            Step { operation: JOURNEY, request }
        }));
        Ok(steps)
    }

    fn idempotency(&self, operation: &str) -> Idempotency {
        if operation == JOURNEY { Idempotency::None } else { Idempotency::Key }
    }

    fn probe(&self, _at: At<'_>) -> Option<Request> {
        Some(self.ask("GET", &format!("/lists/{}?fields=id,stats.member_count", self.list), None))
    }

    fn probed(&self, answer: &Answer, now: UnixMs) -> Health {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let good = answer.is_success() && text(&body, "id") == self.list;
        if good { Outcome::accepted(None).into() } else { classify(STATUS, answer, now).into() }
    }
}

fn judge(operation: &str, answer: &Answer, now: UnixMs) -> Judged {
    classify(operation, answer, now).into()
}

/// What an answer means: by the title of the problem.
pub fn classify(operation: &str, answer: &Answer, now: UnixMs) -> Outcome {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    if answer.is_success() {
        let id = Some(text(&body, "id")).filter(|id| !id.is_empty());
        return if id.is_some() || answer.status == 204 { Outcome::accepted(id) } else { not_theirs("Mailchimp") };
    }
    let title = text(&body, "title");
    let fields = body.get("errors").and_then(Value::as_array).into_iter().flatten();
    let of_address = fields.into_iter().any(|error| text(error, "field") == "email_address");
    let recipient = |suppress| (Class::Permanent, Scope::Recipient, suppress);
    let (class, scope, suppress) = match (answer.status, title.as_str()) {
        (400, "Member Exists") => return Outcome { duplicate: true, ..Outcome::accepted(None) },
        (400, "Member In Compliance State") => recipient(Some(Suppress::Unsubscribe)),
        (400, "Forgotten Email Not Subscribed") => recipient(Some(Suppress::Erased)),
        (400, "Invalid Resource") if of_address => recipient(None),
        // Too much at once; at the door, where no problem is written out.
        (429, _) | (403, "") if !body.is_object() || answer.status == 429 => (Class::Throttle, Scope::Account, None),
        (404, _) => (Class::Permanent, Scope::Destination, None),
        (502 | 504 | 524, _) if operation != JOURNEY => (Class::Retry, Scope::Account, None),
        (status, _) => {
            let (class, scope) = by_status(status, operation == JOURNEY);
            (class, scope, None)
        }
    };
    let outcome = Outcome { suppress, ..refused(answer, now, (class, scope), &format!("{title} {}", text(&body, "detail"))) };
    let unnamed = outcome.class == Class::Throttle && outcome.retry_after.is_none();
    if unnamed { outcome.wait(Some(Duration::from_secs(30))) } else { outcome }
}

/// A call is signed with its moment.
const AGE: Duration = Duration::from_secs(25 * 3600);

/// Verifies and reads a webhook: HMAC over the moment, a dot and the raw body.
fn report(settings: &Settings, call: &Call, known: &Known<'_>) -> Result<Report, Refusal> {
    // How Mailchimp tries a URL that it was just told.
    if matches!(call.method.as_str(), "HEAD" | "GET") {
        return Ok(Report::default());
    }
    let secret = callback::secret(settings, "signing_secret");
    if secret.is_empty() {
        return Err(callback::UNSET);
    }
    let header = call.header("X-Mailchimp-Signature").ok_or(callback::MISSING)?;
    let part =
        |name: &str| header.split(',').filter_map(|part| part.trim().split_once('=')).find(|(n, _)| *n == name).map(|(_, value)| value);
    let (moment, code) = part("t").zip(part("v1")).ok_or(callback::MISSING)?;
    let mut signed = format!("{moment}.").into_bytes();
    signed.extend_from_slice(&call.body);
    let code = callback::from_hex(code).ok_or(callback::WRONG)?;
    if !callback::hmac_fits(HMAC_SHA256, &secret, &signed, &code) {
        return Err(callback::WRONG);
    }
    callback::fresh(callback::seconds(Some(&moment.into())), known.now, AGE)?;
    Ok(Report { events: event(&form::parse(&call.body)).into_iter().collect(), ..Report::default() })
}

/// `None`: not about an address that came or went.
fn event(fields: &[(String, String)]) -> Option<Event> {
    let field = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str()).unwrap_or_default();
    let (kind, reason) = (field("type"), field("data[reason]"));
    let new = |kind| Event::new(kind, field("data[email]"), field("data[campaign_id]"));
    let event = match (kind, reason) {
        ("unsubscribe" | "cleaned", "abuse") => new(EventKind::Complained).suppressing(Some(Suppress::Complaint)),
        ("unsubscribe", _) => new(EventKind::Unsubscribed).suppressing(Some(Suppress::Unsubscribe)),
        ("cleaned", _) => new(EventKind::Bounced).bounced(Bounce::Hard),
        ("subscribe", _) => new(EventKind::Resubscribed),
        _ => return None,
    };
    let at = UnixMs::parse_rfc3339(&format!("{}Z", field("fired_at").replace(' ', "T")));
    Some(Event { at, key: format!("{kind} {} {}", field("data[email]"), field("fired_at")), ..event })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::conformance::{NOWHERE, account, data, email, post, taken, verdict};
    use ring::hmac;

    fn wire(more: &str) -> Result<Box<dyn HttpProvider>, String> {
        match build(&account("mailchimp", &format!("{}{more}", KIND.keys.example)))? {
            Wire::Http(http) => Ok(http),
            _ => unreachable!(),
        }
    }

    #[test]
    fn a_member_its_tags_and_its_journey() {
        let more = "tags = [\"store-12\"]\nfields = { order_status = \"ORDSTATUS\", name = \"FNAME\", gone = \"GONE\" }\njourneys = { \"order.shipped\" = \"12/34\" }";
        let message = data("Jane.Doe@example.com ", "order.shipped", json!({"order_status": "shipped", "customer": {"name": "Jane"}}));
        let steps = wire(more).unwrap().request(&message, NOWHERE).unwrap();
        let base = "https://us21.api.mailchimp.com/3.0";
        let member = format!("{base}/lists/0a1b2c3d4e/members/0cba00ca3da1b283a57287bcceb17e35");
        assert_eq!(steps.iter().map(|s| s.operation).collect::<Vec<_>>(), [MEMBER_PUT, TAGGING, JOURNEY]);
        assert_eq!((steps[0].request.method, &steps[0].request.url), ("PUT", &member));
        let body: Value = serde_json::from_slice(&steps[0].request.body).unwrap();
        let fields = json!({"ORDSTATUS": "shipped", "FNAME": "Jane"});
        assert_eq!(body, json!({"email_address": "jane.doe@example.com", "status_if_new": "transactional", "merge_fields": fields}));
        assert_eq!(steps[1].request.url, format!("{member}/tags"));
        assert_eq!(steps[2].request.url, format!("{base}/customer-journeys/journeys/12/steps/34/actions/trigger"));
        let other = data("", "sale.completed", json!({"customer": {"email": "jane.doe@example.com"}}));
        let steps = wire(more).unwrap().request(&other, NOWHERE).unwrap();
        assert_eq!((steps.len(), &steps[0].request.url), (2, &member));
        let nobody = wire("").unwrap().request(&data("", "sale.completed", json!({})), NOWHERE).unwrap_err();
        assert_eq!((nobody.class, nobody.scope), (Class::Permanent, Scope::Message));
        assert_eq!(wire("").unwrap().request(&email("kim@example.org"), NOWHERE).unwrap_err().class, Class::Permanent);
    }

    #[test]
    fn a_journey_is_not_started_twice() {
        let wire = wire("").unwrap();
        assert_eq!((wire.idempotency(MEMBER_PUT), wire.idempotency(JOURNEY)), (Idempotency::Key, Idempotency::None));
        let judge = |operation, status| classify(operation, &Answer { status, headers: Vec::new(), body: Vec::new() }, UnixMs(0)).class;
        assert_eq!((judge(JOURNEY, 504), judge(TAGGING, 504), judge("member_post", 502)), (Class::Uncertain, Class::Retry, Class::Retry));
        assert_eq!(judge(MEMBER_PUT, 200), Class::Uncertain);
    }

    #[test]
    fn keys_name_their_data_centre() {
        let built = |text: &str| build(&account("mailchimp", text)).err().unwrap_or_default();
        assert!(built("api_key = \"canary\"\nlist = \"a\"").contains("data centre"));
        assert!(built("api_key = \"k-us1/../x\"\nlist = \"a\"").contains("data centre"));
        assert!(built("api_key = \"k-us1\"\nlist = \"a/b\"").contains("list"));
        assert!(built("api_key = \"k-us1\"\nlist = \"a\"\njourneys = { x = \"1\" }").contains("JOURNEY/STEP"));
    }

    const KEYS: &str = "callback = { signing_secret = \"canary\" }";

    fn signed(at: &str, fields: &[(&str, &str)]) -> Call {
        let body = form::urlencoded(fields);
        let code = hex(hmac::sign(&hmac::Key::new(HMAC_SHA256, b"canary"), format!("{at}.{body}").as_bytes()).as_ref());
        post(&[("X-Mailchimp-Signature", &format!("t={at},v1={code}"))], body.as_bytes())
    }

    #[test]
    fn webhooks_are_verified_and_read() {
        use EventKind::{Bounced, Complained, Resubscribed, Unsubscribed};
        for (kind, reason, meaning) in [
            ("unsubscribe", "manual", Some((Unsubscribed, Some(Suppress::Unsubscribe)))),
            ("unsubscribe", "abuse", Some((Complained, Some(Suppress::Complaint)))),
            ("cleaned", "hard", Some((Bounced, Some(Suppress::HardBounce)))),
            ("subscribe", "", Some((Resubscribed, None))),
            ("profile", "", None),
        ] {
            let fields =
                [("type", kind), ("fired_at", "2026-10-03 16:00:00"), ("data[email]", "kim@example.org"), ("data[reason]", reason)];
            let events = taken("mailchimp", KEYS, &signed("1791043660", &fields)).events;
            assert_eq!(events.first().map(|e| (e.kind, e.suppress)), meaning, "{kind} {reason}");
            assert!(events.iter().all(|e| e.at.unwrap().rfc3339() == "2026-10-03T16:00:00Z" && e.recipient == "kim@example.org"));
        }
        let good = signed("1791043660", &[("type", "cleaned")]);
        let mut altered = good.clone();
        altered.body.push(b'x');
        assert_eq!(verdict("mailchimp", KEYS, &altered), "signature_wrong");
        assert_eq!(verdict("mailchimp", KEYS, &signed("1790000000", &[])), "stale");
        assert_eq!(verdict("mailchimp", KEYS, &post(&[], b"")), "signature_missing");
        assert_eq!(verdict("mailchimp", "", &good), "not_configured");
    }

    #[test]
    fn a_probe_asks_for_the_audience() {
        let wire = wire("").unwrap();
        let probed = |status, body: &str| wire.probed(&Answer { status, headers: Vec::new(), body: body.into() }, UnixMs(0)).outcome;
        assert_eq!(probed(200, r#"{"id":"0a1b2c3d4e"}"#).class, Class::Accepted);
        assert_eq!((probed(404, "{}").class, probed(404, "{}").scope), (Class::Permanent, Scope::Destination));
    }
}
