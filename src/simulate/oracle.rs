//! The oracle: its own books of what was promised and what happened, and every broken promise by name.
//!
//! It looks at the world (what was acknowledged, what arrived at a provider), never at how the agent works.

use crate::domain::ids::ReceiptId;
use crate::domain::message::Audience;
use crate::domain::time::UnixMs;
use crate::store::{Result, Snapshot};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    /// Acknowledged sales: label and receipt.
    pub acknowledged: BTreeMap<String, ReceiptId>,
    /// How often each message arrived at its audience, by its intent.
    arrived: BTreeMap<String, u32>,
    /// Messages that came back at least once.
    returned: BTreeSet<String>,
    violations: Vec<Value>,
}

impl Oracle {
    /// A message arrived. `dropped`: the provider had this id already and let it fall.
    pub fn arrives(&mut self, intent: &str, safe_by_key: bool, customer: bool) {
        let count = self.arrived.entry(intent.to_owned()).or_default();
        if *count > 0 && safe_by_key {
            return; // the provider dropped the repeat
        }
        *count += 1;
        if *count > 1 && customer {
            self.violations.push(json!({"kind": "doubled", "intent": intent, "times": *count}));
        }
    }

    /// A message that a provider had taken did not arrive after all: its provider says so.
    pub fn comes_back(&mut self, intent: &str) {
        if let Some(count) = self.arrived.get_mut(intent) {
            *count = count.saturating_sub(1);
            self.returned.insert(intent.to_owned());
        }
    }

    /// What is stored must fit what was acknowledged and what arrived. `flying` attempts are under way.
    pub fn check(&mut self, read: Snapshot<'_>, flying: usize) -> Result<()> {
        let sending = read.counts(UnixMs::default())?.get("sending").copied().unwrap_or(0);
        if sending != i64::try_from(flying).unwrap_or(i64::MAX) {
            self.violations.push(json!({"kind": "lost", "why": format!("{sending} are marked as being sent, {flying} are")}));
        }
        for (label, id) in self.acknowledged.clone() {
            let Some(receipt) = read.receipt(id)? else {
                self.violations.push(json!({"kind": "lost", "receipt": label, "why": "an acknowledged sale is not there"}));
                continue;
            };
            let deliveries = read.deliveries_of(receipt.row)?;
            if deliveries.is_empty() && receipt.no_message.is_empty() {
                self.violations.push(json!({"kind": "lost", "receipt": label, "why": "no message was made and no reason given"}));
            }
            for d in deliveries.iter().filter(|d| d.audience == Audience::Customer) {
                let came = self.arrived.get(&d.intent.to_string()).copied().unwrap_or(0);
                if d.state.word() == "accepted" && came == 0 && !self.returned.contains(&d.intent.to_string()) {
                    self.violations.push(json!({"kind": "unknown", "receipt": label, "why": "marked as accepted, but no provider has it"}));
                }
            }
        }
        if let Some(fault) = read.quick_check()? {
            self.violations.push(json!({"kind": "damaged", "why": fault}));
        }
        Ok(())
    }

    /// All of them.
    pub fn violations(&self) -> &[Value] {
        &self.violations
    }
}
