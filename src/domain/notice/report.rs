//! Digests and alerts: what the box says about itself. Written and read by the same types.
//!
//! No address of a customer stands in them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Days in figures: one, or each that was missed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Digest {
    /// Name of the shop.
    pub store: String,
    /// The day that it is made for, `YYYY-MM-DD`.
    pub business_date: String,
    /// The days, the oldest first.
    pub days: Vec<Day>,
    /// Counts the digests of one day.
    pub version: u32,
}

/// One day. Amounts are minor units of the shop's currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the names of the shape say it
pub struct Day {
    /// `YYYY-MM-DD`
    pub date: String,
    pub sales: Tally,
    pub refunds: Tally,
    pub voids: u64,
    pub by_channel: Vec<ChannelTally>,
    pub waiting: u64,
    pub dead: u64,
    pub offline_minutes: u64,
    /// Late sales of days that were reported before.
    pub corrections: Vec<Correction>,
    /// What went wrong and how often.
    pub top_errors: Vec<(String, u64)>,
}

/// How many, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the names of the shape say it
pub struct Tally {
    pub n: u64,
    pub total: i64,
}

/// Messages of a channel by the word of their state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the names of the shape say it
pub struct ChannelTally {
    pub channel: String,
    #[serde(flatten)]
    pub states: BTreeMap<String, u64>,
}

/// Sales of an earlier day that came late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the names of the shape say it
pub struct Correction {
    pub date: String,
    #[serde(flatten)]
    pub sales: Tally,
}

/// One incident, or all of an outage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the name of the shape says it
pub struct Alert {
    pub incidents: Vec<Incident>,
}

/// Something that is wrong, or no longer is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Incident {
    /// The alert's word, e.g. `provider_down`.
    pub alert: String,
    /// What it is about: a provider, a till, a disk; may be empty.
    pub object: String,
    /// `raised` or `resolved`.
    pub state: String,
    /// RFC 3339.
    pub since: String,
    /// What the other side said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// How many messages it holds up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
}

impl Incident {
    /// It is over.
    pub fn resolved(&self) -> bool {
        self.state == "resolved"
    }
}
