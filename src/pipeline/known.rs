//! What is known of people, from the store, as [`super::decide`] asks for it.

use super::Context;
use super::decide::People;
use crate::domain::channel::Channel;
use crate::domain::consent::{Entry, Purpose, State};
use crate::domain::time::UnixMs;
use crate::store::receipts::Find;
use crate::store::{Result, Snapshot, StoreError};

/// See the module.
pub struct Known<'a> {
    /// The store.
    pub read: Snapshot<'a>,
    /// Settings and moment.
    pub cx: &'a Context<'a>,
}

impl People for Known<'_> {
    type Error = StoreError;

    fn suppressed(&self, channel: Channel, address: &str) -> Result<Option<String>> {
        let mut found = self.read.suppression(channel, address)?;
        if found.is_none() && channel == Channel::Sms {
            found = self.read.suppression(channel, &super::people::nameless(self.cx, address))?; // a stop outlives an erasure
        }
        Ok(found.filter(|s| !self.cx.config.routing.has_lapsed(&s.reason, s.at, self.cx.now.wall)).map(|s| s.reason))
    }

    fn consent(&self, channel: Channel, address: &str, purpose: Purpose) -> Result<Option<Entry>> {
        let Some(mut entry) = self.read.consent(channel, address, purpose)? else { return Ok(None) };
        if entry.state == State::Soft {
            let find = Find { text: address.to_owned(), limit: 1, ..Find::default() };
            let last = self.read.find_receipts(&find)?.first().map(|r| r.sold_at);
            entry.renewed = last.unwrap_or_default().max(self.read.offer_before(channel, address, 1)?.unwrap_or_default());
        }
        Ok(Some(entry))
    }

    fn erased(&self, address: &str) -> Result<bool> {
        Ok(self.read.erased(&self.cx.key.name_of(address))?.is_some())
    }

    fn offer_before(&self, channel: Channel, address: &str, n: u32) -> Result<Option<UnixMs>> {
        self.read.offer_before(channel, address, n)
    }
}
