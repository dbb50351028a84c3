//! A scenario as written: config, contacts, timeline, and how providers answer.

use super::answers::Script;
use crate::config::load;
use crate::config::units;
use crate::config::{Config, Kinds};
use crate::domain::channel::Channel;
use crate::domain::time::UnixMs;
use crate::store::StoreError;
use crate::store::people::Contact;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What is wrong with a scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A member cannot be read.
    #[error("{0}: {1}")]
    Member(String, String),
    /// The config is wrong.
    #[error("config: {0}")]
    Config(String),
    /// The store failed.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Templates or files failed.
    #[error("{0}")]
    Other(String),
}

fn wrong(at: impl Into<String>, why: impl Into<String>) -> ScenarioError {
    ScenarioError::Member(at.into(), why.into())
}

/// A scenario that was read.
pub struct Scenario {
    pub config: Config,
    pub contacts: Vec<Contact>,
    pub timeline: Vec<(UnixMs, Happening)>,
    pub scripts: BTreeMap<String, Script>,
    pub until: UnixMs,
}

/// When the next power cut strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Idle,
    BeforeSend,
    AfterBodySent,
    Commit,
}

/// What happens in the shop.
#[derive(Clone, Debug)]
pub enum Happening {
    Sale { label: String, till: String, sale: Value },
    LineDown,
    LineUp,
    ClockStep(i64),
    PowerCut(Cut),
    Boot,
    Restart,
    Resend { label: String, channel: Option<Channel>, address: String, by: String },
    CredentialFixed(String),
    FindText(String),
}

impl Scenario {
    /// Reads a scenario. Every provider or source table needs only its `type`.
    pub fn parse(value: &Value, kinds: &Kinds) -> Result<Scenario, ScenarioError> {
        let config = value.get("config").cloned().unwrap_or_else(|| json!({}));
        let config = match config {
            Value::String(path) => {
                let text = std::fs::read_to_string(&path).map_err(|e| ScenarioError::Config(format!("{path}: {e}")))?;
                let table: toml::Table =
                    text.parse().map_err(|e: toml::de::Error| ScenarioError::Config(format!("{path}: {}", e.message())))?;
                serde_json::to_value(table).map_err(|e| ScenarioError::Config(e.to_string()))?
            }
            other => other,
        };
        let config = load::from_json(&config, kinds, true)
            .map_err(|problems| ScenarioError::Config(problems.iter().map(|p| p.text()).collect::<Vec<_>>().join("; ")))?;
        let contacts = contacts(value)?;
        let mut timeline = Vec::new();
        for (n, entry) in list(value, "timeline").iter().enumerate() {
            timeline.push(happening(entry, &config, &contacts).map_err(|why| wrong(format!("timeline[{n}]"), why))?);
        }
        timeline.sort_by_key(|(at, _)| *at);
        let scripts = value.get("providers").and_then(Value::as_object).cloned().unwrap_or_default();
        let scripts = scripts
            .iter()
            .map(|(name, script)| Ok((name.clone(), Script::parse(script).map_err(|why| wrong(format!("providers.{name}"), why))?)));
        let scripts = scripts.collect::<Result<_, ScenarioError>>()?;
        let last = timeline.last().map_or(UnixMs(0), |(at, _)| *at);
        let until = match text(value, "until") {
            Some(until) => UnixMs::parse_rfc3339(until).ok_or_else(|| wrong("until", "must be RFC 3339"))?,
            None => last + Duration::from_secs(86_400),
        };
        Ok(Scenario { config, contacts, timeline, scripts, until })
    }
}

fn contacts(value: &Value) -> Result<Vec<Contact>, ScenarioError> {
    let own = |c: &Value, name: &str| text(c, name).unwrap_or_default().to_owned();
    let mut out = Vec::new();
    for (n, c) in list(value, "contacts").iter().enumerate() {
        let preference = list(c, "preference").iter().filter_map(|w| w.as_str().map(str::to_owned)).collect();
        let id = text(c, "id").ok_or_else(|| wrong(format!("contacts[{n}]"), "needs an `id`"))?;
        out.push(Contact {
            contact_id: id.to_owned(),
            name: own(c, "name"),
            email: own(c, "email"),
            phone: own(c, "phone"),
            language: own(c, "language"),
            preference,
        });
    }
    Ok(out)
}

fn happening(entry: &Value, config: &Config, contacts: &[Contact]) -> Result<(UnixMs, Happening), String> {
    let at = text(entry, "at").and_then(UnixMs::parse_rfc3339).ok_or("`at` must be RFC 3339")?;
    let need = |name: &str| text(entry, name).map(str::to_owned).ok_or(format!("needs `{name}`"));
    let happening = match text(entry, "event").unwrap_or_default() {
        "sale" => sale(entry, config, contacts, at)?,
        "line_down" => Happening::LineDown,
        "line_up" => Happening::LineUp,
        "clock_step" => {
            let by = need("by")?;
            let (sign, length) = by.strip_prefix('-').map_or((1, by.as_str()), |rest| (-1, rest));
            let length = units::parse_duration(length.trim_start_matches('+')).ok_or("`by` is a duration such as \"-2 h\"")?;
            Happening::ClockStep(sign * i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
        }
        "power_cut" => Happening::PowerCut(match text(entry, "during").unwrap_or("idle") {
            "idle" => Cut::Idle,
            "before_send" => Cut::BeforeSend,
            "after_body_sent" => Cut::AfterBodySent,
            "commit" => Cut::Commit,
            other => return Err(format!("`during` cannot be {other}")),
        }),
        "boot" => Happening::Boot,
        "restart" => Happening::Restart,
        "resend" => Happening::Resend {
            label: need("receipt")?,
            channel: text(entry, "channel").map(|w| Channel::from_word(w).ok_or(format!("no channel {w}"))).transpose()?,
            address: text(entry, "address").unwrap_or_default().to_owned(),
            by: text(entry, "by").unwrap_or("cashier").to_owned(),
        },
        "credential_fixed" => Happening::CredentialFixed(need("provider")?),
        "find_text" => Happening::FindText(need("text")?),
        other => return Err(format!("the event {other:?} is not played by this release")),
    };
    Ok((at, happening))
}

/// A canonical sale of what the scenario says in short.
fn sale(entry: &Value, config: &Config, contacts: &[Contact], at: UnixMs) -> Result<Happening, String> {
    let label = text(entry, "receipt").ok_or("needs `receipt`")?.to_owned();
    let till = text(entry, "source").unwrap_or("till").to_owned();
    let mut sale = match entry.get("sale") {
        Some(Value::Object(whole)) => whole.clone(),
        _ => short_sale(entry, config, &label, at),
    };
    let mut customer = sale.get("customer").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(id) = text(entry, "contact") {
        if !contacts.iter().any(|c| c.contact_id == id) {
            return Err(format!("there is no contact {id}"));
        }
        customer.insert("id".into(), id.into());
    }
    if let Some(choice) = entry.get("choice") {
        let channel = text(choice, "channel").unwrap_or_default();
        customer.insert("preferred_channel".into(), channel.into());
        if let Some(address) = text(choice, "address") {
            customer.insert(if channel == "email" { "email" } else { "phone" }.into(), address.into());
        }
    }
    if !customer.is_empty() {
        sale.insert("customer".into(), customer.into());
    }
    Ok(Happening::Sale { label, till, sale: Value::Object(sale) })
}

fn short_sale(entry: &Value, config: &Config, label: &str, at: UnixMs) -> Map<String, Value> {
    let total = text(entry, "total").unwrap_or("10.00");
    let written = text(entry, "at").map_or_else(|| at.rfc3339(), str::to_owned);
    let sale = json!({
        "schema": "tillpost.sale/1", "transaction_type": "sale",
        "transaction_id": text(entry, "native_id").unwrap_or(label), "receipt_number": text(entry, "number").unwrap_or(label),
        "receipt_date_time": written, "business_unit": {"unit_id": if config.shop.id.is_empty() { "shop" } else { &config.shop.id }},
        "workstation_id": text(entry, "till").unwrap_or("1"), "currency_code": if config.shop.currency.is_empty() { "USD" } else { &config.shop.currency },
        "tax_included": true, "line_items": [{"description": "Sale", "quantity": "1", "extended_amount": total}],
        "tenders": [{"tender_type": "Cash", "amount": total}], "totals": {"grand_amount": total},
    });
    sale.as_object().cloned().unwrap_or_default()
}

/// A member as text.
pub fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name).and_then(Value::as_str)
}

/// A member as a list; empty where it is none.
pub fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
