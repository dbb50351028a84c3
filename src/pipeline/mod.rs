//! The pipeline: what was kept becomes messages with their chain of deliveries.
//!
//! [`decide`] is pure: the event, a snapshot of what is stored, the settings and the moment go in, a
//! decision comes out. [`intake`] keeps and decides in one transaction. Sends nothing, renders nothing.

pub mod decide;
pub mod intake;
pub mod resend;

use crate::domain::channel::Channel;
use crate::domain::message::Kind;
use crate::domain::time::UnixMs;
use crate::sys::clock::Now;
use std::time::Duration;

/// Until when a message is of use. While the clock cannot be believed no deadline is set: far ahead, until
/// dispatch sets one by a clock that can.
fn useful_until(kind: Kind, channel: Channel, now: Now) -> UnixMs {
    const FAR: Duration = Duration::from_secs(100 * 365 * 86_400);
    now.wall + if now.good { kind.time_to_live(channel) } else { FAR }
}
