//! Backtest: what another config would have decided about the sales that are there. Writes and sends nothing.

use super::decide::Decision;
use super::{Context, intake};
use crate::config::Config;
use crate::domain::sale::Sale;
use crate::domain::time::UnixMs;
use crate::store::receipts::Find;
use crate::store::{Result, Snapshot};
use crate::sys::clock::Now;
use crate::sys::device_key::DeviceKey;
use crate::sys::random::Random;
use serde::Serialize;

/// What would change for one receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The receipt.
    pub receipt_id: String,
    /// The number that people read.
    pub receipt_number: String,
    /// When it was taken, RFC 3339.
    pub at: String,
    /// What this config decides: channels in order with why not, and when it goes.
    pub now: String,
    /// What the other one would.
    pub then: String,
}

/// What a backtest came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Receipts that were looked at.
    pub receipts: u32,
    /// Those for which something would change.
    pub differences: Vec<Difference>,
    /// Documents that could not be read.
    pub unreadable: u32,
}

/// Decides anew on every receipt that was sold since a moment, by both configs, as if it came then.
pub fn run(read: Snapshot<'_>, configs: (&Config, &Config), key: &DeviceKey, random: &dyn Random, since: UnixMs) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut before = None;
    loop {
        let page = read.find_receipts(&Find { before, since: Some(since), limit: 500, ..Find::default() })?;
        let Some(last) = page.last() else { return Ok(findings) };
        before = Some(last.row);
        for receipt in &page {
            findings.receipts += 1;
            let sale = read.body(receipt.body).ok().and_then(|b| serde_json::from_slice(&b).ok()).and_then(|v| Sale::parse(&v).ok());
            let Some(sale) = sale else {
                findings.unreadable += 1;
                continue;
            };
            let now = Now { wall: receipt.taken_at, mono: crate::sys::clock::Mono(0), good: true };
            let decide = |config: &Config| {
                let cx = Context { config, key, random, now };
                intake::preview(read, &cx, &intake::origin_of(config, &receipt.till), &sale).map(|d| in_words(&d, now.wall))
            };
            let (old, new) = (decide(configs.0)?, decide(configs.1)?);
            if old != new {
                findings.differences.push(Difference {
                    receipt_id: receipt.receipt_id.to_string(),
                    receipt_number: receipt.receipt_number.clone(),
                    at: receipt.taken_at.rfc3339(),
                    now: old,
                    then: new,
                });
            }
        }
    }
}

/// A decision without addresses.
fn in_words(d: &Decision, now: UnixMs) -> String {
    if d.chain.is_empty() {
        let looked: Vec<String> = d.considered.iter().map(|c| format!("{} {}", c.channel, c.result)).collect();
        return format!("nothing ({}): {}", d.no_message, looked.join(", "));
    }
    let ways: Vec<&str> = d.chain.iter().map(|w| w.channel.word()).collect();
    let wait = if d.due > now { format!(", from {}", d.due.rfc3339()) } else { String::new() };
    format!("{}{wait}", ways.join(", then "))
}
