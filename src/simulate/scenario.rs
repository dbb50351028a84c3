//! A scenario as written: config, contacts, timeline, and how providers answer.

use super::answers::Script;
use crate::config::load;
use crate::config::units;
use crate::config::{Config, Kinds};
use crate::domain::channel::Channel;
use crate::domain::time::UnixMs;
use crate::pipeline::reports::What;
use crate::store::StoreError;
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
    /// Contacts as given, with their consents: as a customer system would tell them.
    pub contacts: Vec<Map<String, Value>>,
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
    /// A till, or another source, tells of a sale or a refund.
    Sale {
        label: String,
        source: String,
        sale: Value,
        event_id: Option<String>,
    },
    /// An event of another type is posted.
    Event {
        label: Option<String>,
        event: Value,
    },
    LineDown,
    LineUp,
    ClockStep(i64),
    PowerCut(Cut),
    Boot,
    Restart,
    Resend {
        label: String,
        channel: Option<Channel>,
        address: String,
        by: String,
    },
    /// A provider reports what became of a message.
    Report {
        label: String,
        channel: Option<Channel>,
        what: What,
        event_id: String,
    },
    InboundSms {
        from: String,
        text: String,
    },
    Unsubscribe {
        contact: String,
        channel: Channel,
    },
    Erase {
        contact: String,
    },
    Consent {
        contact: String,
        entry: Map<String, Value>,
    },
    Campaign(Box<CampaignPlan>),
    CampaignPause(String),
    CampaignResume(String),
    CampaignCancel(String),
    /// The shop closes: the day in figures follows.
    StoreClose,
    /// A customer system tells a contact.
    CrmSync(Map<String, Value>),
    CredentialFixed(String),
    FindText(String),
}

/// A message to many.
#[derive(Clone, Debug)]
pub struct CampaignPlan {
    pub id: String,
    pub channel: Channel,
    pub template: String,
    pub data: Value,
    pub end: Option<UnixMs>,
    /// Ids of contacts, in the order given.
    pub audience: Vec<String>,
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
        let mut known = Known { config: &config, contacts: &contacts, transactions: BTreeMap::new(), count: 0 };
        for (n, entry) in list(value, "timeline").iter().enumerate() {
            timeline.push(happening(entry, &mut known).map_err(|why| wrong(format!("timeline[{n}]"), why))?);
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

/// Contacts, those that are generated included.
fn contacts(value: &Value) -> Result<Vec<Map<String, Value>>, ScenarioError> {
    let mut out = Vec::new();
    for (n, c) in list(value, "contacts").iter().enumerate() {
        let map = c.as_object().ok_or_else(|| wrong(format!("contacts[{n}]"), "is an object"))?;
        let Some(count) = map.get("generate").and_then(Value::as_u64) else {
            text(c, "id").ok_or_else(|| wrong(format!("contacts[{n}]"), "needs an `id`"))?;
            out.push(map.clone());
            continue;
        };
        let prefix = text(c, "prefix").ok_or_else(|| wrong(format!("contacts[{n}]"), "needs a `prefix`"))?;
        for i in 1..=count.min(1_000_000) {
            let mut one = map.clone();
            one.retain(|name, _| !matches!(name.as_str(), "generate" | "prefix"));
            let id = format!("{prefix}-{i}");
            one.entry("email").or_insert_with(|| format!("{id}@example.org").into());
            one.entry("phone").or_insert_with(|| format!("+1212{:07}", 2_000_000 + i).into());
            one.insert("id".into(), id.into());
            out.push(one);
        }
    }
    Ok(out)
}

/// What the entries of a timeline refer to.
struct Known<'a> {
    config: &'a Config,
    contacts: &'a [Map<String, Value>],
    /// Transaction ids by the labels of sales that come before.
    transactions: BTreeMap<String, String>,
    /// For ids of what has none.
    count: u32,
}

impl Known<'_> {
    fn contact(&self, id: &str) -> Result<&Map<String, Value>, String> {
        let own = |c: &&Map<String, Value>| c.get("id").and_then(Value::as_str) == Some(id);
        self.contacts.iter().find(own).ok_or(format!("there is no contact {id}"))
    }

    /// Ids of contacts: each item an id, the prefix of generated ones, or `all`.
    fn audience(&self, items: &[Value]) -> Result<Vec<String>, String> {
        let ids = || self.contacts.iter().filter_map(|c| c.get("id").and_then(Value::as_str));
        let mut out = Vec::new();
        for item in items.iter().filter_map(Value::as_str) {
            let found: Vec<String> = match item {
                "all" => ids().map(str::to_owned).collect(),
                _ if ids().any(|id| id == item) => vec![item.to_owned()],
                prefix => ids().filter(|id| id.rsplit_once('-').is_some_and(|(p, _)| p == prefix)).map(str::to_owned).collect(),
            };
            if found.is_empty() {
                return Err(format!("there is no contact {item}"));
            }
            out.extend(found);
        }
        Ok(out)
    }
}

fn happening(entry: &Value, known: &mut Known<'_>) -> Result<(UnixMs, Happening), String> {
    let at = text(entry, "at").and_then(UnixMs::parse_rfc3339).ok_or("`at` must be RFC 3339")?;
    known.count += 1;
    let need = |name: &str| text(entry, name).map(str::to_owned).ok_or(format!("needs `{name}`"));
    let channel = || text(entry, "channel").map(|c| Channel::from_word(c).ok_or("no such channel")).transpose();
    let happening = match text(entry, "event").unwrap_or_default() {
        "sale" => sale(entry, known, at, "sale")?,
        "refund" => sale(entry, known, at, "return")?,
        kind @ ("order_status" | "return" | "password_reset" | "custom") => event(entry, known, at, kind)?,
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
            other => return Err(format!("no moment {other}: idle, before_send, after_body_sent, commit")),
        }),
        "boot" => Happening::Boot,
        "restart" => Happening::Restart,
        "resend" => Happening::Resend {
            label: need("receipt")?,
            channel: channel()?,
            address: text(entry, "address").unwrap_or_default().to_owned(),
            by: text(entry, "by").unwrap_or("cashier").to_owned(),
        },
        "report" => Happening::Report {
            label: need("receipt")?,
            channel: channel()?,
            what: What::from_word(&need("kind")?).ok_or("no such kind of report")?,
            event_id: text(entry, "event_id").map_or_else(|| format!("report-{}", known.count), str::to_owned),
        },
        "inbound_sms" => Happening::InboundSms { from: need("from")?, text: need("text")? },
        "unsubscribe" => {
            known.contact(&need("contact")?)?;
            Happening::Unsubscribe { contact: need("contact")?, channel: channel()?.unwrap_or(Channel::Email) }
        }
        "erase" => Happening::Erase { contact: known.contact(&need("contact")?).and(need("contact"))? },
        "consent" => {
            known.contact(&need("contact")?)?;
            Happening::Consent { contact: need("contact")?, entry: entry.as_object().cloned().unwrap_or_default() }
        }
        "campaign" => Happening::Campaign(Box::new(campaign(entry, known)?)),
        "campaign_pause" => Happening::CampaignPause(need("id")?),
        "campaign_resume" => Happening::CampaignResume(need("id")?),
        "campaign_cancel" => Happening::CampaignCancel(need("id")?),
        "store_close" => Happening::StoreClose,
        "crm_sync_in" => Happening::CrmSync(entry.get("contact").and_then(Value::as_object).cloned().ok_or("needs `contact`")?),
        "credential_fixed" => Happening::CredentialFixed(need("provider")?),
        "find_text" => Happening::FindText(need("text")?),
        other => return Err(format!("there is no event {other:?}")),
    };
    Ok((at, happening))
}

fn campaign(entry: &Value, known: &Known<'_>) -> Result<CampaignPlan, String> {
    let moment = |name: &str| text(entry, name).map(|t| UnixMs::parse_rfc3339(t).ok_or(format!("`{name}` must be RFC 3339"))).transpose();
    let template = text(entry, "template").unwrap_or("offer").to_owned();
    let mut data = entry.as_object().cloned().unwrap_or_default();
    data.retain(|name, _| !matches!(name.as_str(), "at" | "event" | "audience" | "exclude"));
    Ok(CampaignPlan {
        id: text(entry, "id").ok_or("needs `id`")?.to_owned(),
        channel: text(entry, "channel").and_then(Channel::from_word).ok_or("needs `channel`")?,
        template,
        data: Value::Object(data),
        end: moment("end")?,
        audience: known.audience(list(entry, "audience"))?,
    })
}

/// Addresses that were given at this event, and whom it concerns.
fn customer(entry: &Value, known: &Known<'_>, mut customer: Map<String, Value>) -> Result<Map<String, Value>, String> {
    if let Some(id) = text(entry, "contact") {
        known.contact(id)?;
        customer.insert("id".into(), id.into());
    }
    if let Some(choice) = entry.get("choice") {
        let channel = text(choice, "channel").unwrap_or_default();
        customer.insert("preferred_channel".into(), channel.into());
        if let Some(address) = text(choice, "address") {
            customer.insert(if channel == "email" { "email" } else { "phone" }.into(), address.into());
        }
    }
    Ok(customer)
}

/// An event that is posted.
fn event(entry: &Value, known: &Known<'_>, at: UnixMs, kind: &str) -> Result<Happening, String> {
    let kind = match (text(entry, "type"), kind) {
        (Some(kind), _) => kind,
        (None, "return") => "return.initiated",
        (None, "password_reset") => "account.password_reset",
        (None, _) => return Err("needs `type`".into()),
    };
    let label = text(entry, "receipt").map(str::to_owned);
    let mut data = entry.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
    let given = data.get("customer").and_then(Value::as_object).cloned().unwrap_or_default();
    let customer = customer(entry, known, given)?;
    if !customer.is_empty() {
        data.insert("customer".into(), customer.into());
    }
    if kind == "account.password_reset" && !data.contains_key("url") && !data.contains_key("token") {
        data.insert("url".into(), "https://shop.example/reset/once".into());
    }
    let subject = label.as_ref().map_or("", |label| known.transactions.get(label).unwrap_or(label));
    let id = text(entry, "event_id").map_or_else(|| format!("event-{}", known.count), str::to_owned);
    let event = json!({"type": kind, "id": id, "time": written(entry, at), "subject": subject, "data": data});
    Ok(Happening::Event { label, event })
}

fn written(entry: &Value, at: UnixMs) -> String {
    text(entry, "at").map_or_else(|| at.rfc3339(), str::to_owned)
}

/// A canonical sale of what the scenario says in short.
fn sale(entry: &Value, known: &mut Known<'_>, at: UnixMs, kind: &str) -> Result<Happening, String> {
    let label = text(entry, "receipt").ok_or("needs `receipt`")?.to_owned();
    let source = text(entry, "source").unwrap_or("till").to_owned();
    let mut sale = match entry.get("sale") {
        Some(Value::Object(whole)) => whole.clone(),
        _ => short_sale(entry, known, &label, at, kind),
    };
    let given = sale.get("customer").and_then(Value::as_object).cloned().unwrap_or_default();
    let customer = customer(entry, known, given)?;
    if !customer.is_empty() {
        sale.insert("customer".into(), customer.into());
    }
    if kind == "sale"
        && let Some(id) = sale.get("transaction_id").and_then(Value::as_str)
    {
        known.transactions.entry(label.clone()).or_insert_with(|| id.to_owned());
    }
    Ok(Happening::Sale { label, source, sale: Value::Object(sale), event_id: text(entry, "event_id").map(str::to_owned) })
}

fn short_sale(entry: &Value, known: &Known<'_>, label: &str, at: UnixMs, kind: &str) -> Map<String, Value> {
    let (shop, total) = (&known.config.shop, text(entry, "total").unwrap_or("10.00"));
    let first = known.transactions.get(label).filter(|_| kind == "return");
    let id = match (text(entry, "native_id"), first) {
        (Some(id), _) => id.to_owned(),
        (None, Some(first)) => format!("{first}-return-{}", known.count),
        (None, None) => label.to_owned(),
    };
    let mut sale = json!({
        "schema": "tillpost.sale/1", "transaction_type": kind,
        "transaction_id": id, "receipt_number": text(entry, "number").unwrap_or(label),
        "receipt_date_time": written(entry, at), "business_unit": {"unit_id": if shop.id.is_empty() { "shop" } else { &shop.id }},
        "workstation_id": text(entry, "till").unwrap_or("1"), "currency_code": if shop.currency.is_empty() { "USD" } else { &shop.currency },
        "tax_included": true, "line_items": [{"description": "Sale", "quantity": "1", "extended_amount": total}],
        "tenders": [{"tender_type": "Cash", "amount": total}], "totals": {"grand_amount": total},
    });
    if let (Some(first), Some(map)) = (first, sale.as_object_mut()) {
        map.insert("related".into(), json!({"transaction_id": first}));
    }
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
