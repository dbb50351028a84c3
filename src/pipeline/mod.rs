//! The pipeline: what was kept becomes messages with their chain of deliveries.
//!
//! [`decide`] is pure: the event, what is known of people, the settings and the moment go in, a decision comes
//! out. [`known`] is what is known of people, from the store. [`intake`] keeps a sale and decides on it in one
//! transaction, [`merge`] knows it again when another source tells of it, [`events`] acts on everything else,
//! [`reports`] on what became of messages, which [`callbacks`] brings from providers, [`inbound`] on what sources
//! decoded, [`prints`] on what taps took, [`people`] on what persons say of themselves; [`suppressions`] on what the
//! shop says of an address; [`resend`] is a person asking for a receipt again, [`campaign`] a message to many.
//! [`queue`] is the one way into the
//! outbox, [`routine`] what comes with time: days in figures, alerts. Sends nothing, renders nothing.

pub mod backtest;
pub mod callbacks;
pub mod campaign;
pub mod decide;
pub mod events;
pub mod inbound;
pub mod intake;
mod known;
pub mod merge;
pub mod people;
pub mod prints;
pub mod queue;
pub mod reports;
pub mod resend;
pub mod routine;
pub mod suppressions;

use crate::config::Config;
use crate::domain::channel::Channel;
use crate::domain::message::Kind;
use crate::domain::time::UnixMs;
use crate::sys::clock::Now;
use crate::sys::device_key::DeviceKey;
use crate::sys::random::Random;
use std::sync::Arc;
use std::time::Duration;

/// What everything here works with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The settings.
    pub config: &'a Config,
    /// The key of this box.
    pub key: &'a DeviceKey,
    /// For ids and for sealing.
    pub random: &'a dyn Random,
    /// The moment.
    pub now: Now,
}

/// What [`Context`] borrows, to be handed to another thread.
#[derive(Clone)]
pub struct Rules {
    /// The settings.
    pub config: Arc<Config>,
    /// The key of this box.
    pub key: Arc<DeviceKey>,
    /// For ids and for sealing.
    pub random: Arc<dyn Random>,
}

impl Rules {
    /// At a moment.
    pub fn at(&self, now: Now) -> Context<'_> {
        Context { config: &self.config, key: &self.key, random: self.random.as_ref(), now }
    }
}

impl Context<'_> {
    /// Until when a message about an event of `at` is of use. While the clock cannot be believed no deadline is
    /// set: far ahead, until dispatch sets one by a clock that can. An event that is said to be of long ago, or
    /// of the future, is taken to be of now: a till's clock must not cost a receipt.
    fn useful_until(&self, kind: Kind, channel: Channel, at: UnixMs) -> UnixMs {
        const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
        if !self.now.good {
            return self.now.wall + FAR;
        }
        believable(at, self.now) + self.config.routing.time_to_live(kind, channel)
    }
}

/// The moment of an event as far as it can be believed.
fn believable(at: UnixMs, now: Now) -> UnixMs {
    const MONTH: Duration = Duration::from_secs(30 * 86_400);
    if at > now.wall || now.wall.since(at) > MONTH { now.wall } else { at }
}
