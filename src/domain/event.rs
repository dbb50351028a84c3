//! Events: what a raw event means. The list of types is the contract's; a shop may add its own as `x.*`.

use crate::domain::fault::Fault;
use crate::domain::time::UnixMs;
use serde_json::{Map, Value};

/// The type of a print that a tap took off a till's printer stream.
pub const PRINT: &str = "print.captured";

/// The event types of the contract, section 2.
pub const TYPES: &[&str] = &[
    "sale.completed",
    "sale.voided",
    "refund.processed",
    "return.initiated",
    "return.approved",
    "return.rejected",
    "order.confirmed",
    "order.updated",
    "order.partially_shipped",
    "order.shipped",
    "order.fulfilled",
    "order.cancelled",
    "account.password_reset",
    "contact.added",
    "contact.preference_changed",
    "contact.consent_changed",
    "contact.erasure_requested",
    "contact.export_requested",
    "feedback.received",
    "receipt.resend_requested",
    "deal.closed",
    "ticket.created",
    "device.reading",
    "device.alarm",
    PRINT,
    "message.delivered",
    "message.bounced",
    "message.complained",
    "message.opened",
    "message.clicked",
    "message.unsubscribed",
    "message.replied",
    "campaign.started",
    "hq.order",
];

/// An event as it is posted to `POST /v1/events`, with CloudEvents' names.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// A type of [`TYPES`] or `x.…`.
    pub kind: String,
    /// The sender's id, by which a repeat is known.
    pub id: String,
    /// When it happened, by the sender's clock.
    pub time: UnixMs,
    /// The sale or order that it is about; empty where there is none.
    pub subject: String,
    /// What the type needs.
    pub data: Map<String, Value>,
}

impl Event {
    /// Reads a posted event and names every fault.
    pub fn parse(value: &Value) -> Result<Event, Vec<Fault>> {
        let Some(object) = value.as_object() else {
            return Err(vec![Fault::new("", "type", "an event is a JSON object")]);
        };
        let mut faults = Vec::new();
        let mut text = |name: &str, required: bool| match object.get(name) {
            Some(Value::String(s)) if !s.trim().is_empty() && s.len() <= 200 => s.clone(),
            None if !required => String::new(),
            Some(Value::String(s)) if s.is_empty() && !required => String::new(),
            None => {
                faults.push(Fault::new(format!("/{name}"), "missing", format!("`{name}` is missing")));
                String::new()
            }
            Some(other) => {
                let fault = Fault::new(format!("/{name}"), "type", format!("`{name}` must be text of 1 to 200 bytes"));
                faults.push(fault.given(other));
                String::new()
            }
        };
        let (kind, id, time, subject) = (text("type", true), text("id", true), text("time", true), text("subject", false));
        if !kind.is_empty() && !TYPES.contains(&kind.as_str()) && !kind.starts_with("x.") {
            let fault = Fault::new("/type", "unknown_type", "this event type does not exist");
            faults.push(fault.given(&kind).allowed(format!("{}, x.*", TYPES.join(", "))));
        }
        if kind.starts_with("sale.completed") {
            faults.push(Fault::new("/type", "post_to_sales", "a sale is posted to /v1/sales"));
        }
        let moment = UnixMs::parse_rfc3339(&time);
        if moment.is_none() && !time.is_empty() {
            faults.push(Fault::new("/time", "date_time", "`time` must be RFC 3339 with an offset").given(&time));
        }
        let data = match object.get("data") {
            None => Map::new(),
            Some(Value::Object(data)) => data.clone(),
            Some(_) => {
                faults.push(Fault::new("/data", "type", "`data` must be an object"));
                Map::new()
            }
        };
        if faults.is_empty() { Ok(Event { kind, id, time: moment.unwrap_or_default(), subject, data }) } else { Err(faults) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_good_event() {
        let event = Event::parse(&json!({"type": "order.shipped", "id": "e1", "time": "2026-03-03T14:02:00-05:00", "subject": "o-1", "data": {"carrier": "DHL"}})).unwrap();
        assert_eq!((event.kind.as_str(), event.subject.as_str(), event.time), ("order.shipped", "o-1", UnixMs(1_772_564_520_000)));
        assert!(Event::parse(&json!({"type": "x.mine", "id": "e1", "time": "2026-03-03T14:02:00Z"})).is_ok());
    }

    #[test]
    fn the_published_schema_takes_what_we_take() {
        let schema: Value = serde_json::from_str(include_str!("../../config/schema/event.json")).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let event = |kind: &str, data: Value| json!({"type": kind, "id": "e1", "time": "2026-03-03T14:02:00Z", "data": data});
        let order = json!({"order": {"number": "7", "line_items": [{"description": "Tea", "quantity": "2", "shipped": 1}]}, "customer": {"email": "lee@example.org"}});
        for (kind, data, good) in [
            ("order.shipped", order, true),
            ("order.shipped", json!({"order": {"number": 7}}), false),
            ("account.password_reset", json!({"url": "https://shop.example/r"}), true),
            ("account.password_reset", json!({}), false),
            ("contact.consent_changed", json!({"id": "c1", "channel": "sms", "state": "written"}), true),
            ("contact.consent_changed", json!({"state": "maybe"}), false),
            ("x.mine", json!({"anything": [1]}), true),
        ] {
            assert_eq!(validator.is_valid(&event(kind, data.clone())), good, "{kind} {data}");
            assert!(Event::parse(&event(kind, data)).is_ok(), "reading is tolerant");
        }
    }

    #[test]
    fn all_faults_at_once() {
        let faults = Event::parse(&json!({"type": "order.lost", "time": "now", "data": []})).unwrap_err();
        let at: Vec<&str> = faults.iter().map(|f| f.pointer.as_str()).collect();
        assert_eq!(at, ["/id", "/type", "/time", "/data"]);
        assert_eq!(Event::parse(&json!([])).unwrap_err().len(), 1);
    }
}
