//! The test inbox: takes everything, sends nothing, and shows what would have gone out.
//!
//! It keeps nothing itself: the store keeps the content of its deliveries. Test keys reach only this.
//!
//! Some recipients play a part, so that every outcome can be seen without a real one. Mail to these
//! names at `sim.tillpost.test`, or a text to these numbers of the range that is kept free for
//! fiction (+1 NXX 555 0100 to 0199, any area code), by its last two digits:
//!
//! | mail | number | outcome |
//! |---|---|---|
//! | `delivered@` | …0100, and all others | taken |
//! | `bounce@` | …0111 | the address does not exist: suppressed |
//! | `soft@` | …0112 | full mailbox, phone switched off: this message fails, the address stays good |
//! | `defer@` | …0113 | not now: tried again |
//! | `stop@` | …0114 | opted out of texts; by mail as `bounce@` |
//! | `slow@` | …0115 | taken (the inbox answers at once) |

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::domain::channel::Channel;
use crate::domain::content::Outgoing;
use crate::domain::outcome::{Class, Outcome, Scope, Suppress};
use crate::providers::{Idempotency, Kind, Wire};

/// The domain whose recipients play a part.
pub const SIMULATED: &str = "sim.tillpost.test";

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "capture",
        doc: "The test inbox: takes every message, sends none, and shows them on the page /inbox.",
        channels: Channel::ALL,
        keys: &[],
        example: "type = \"capture\"\n",
    },
    // Nothing leaves, so nothing can arrive twice.
    idempotency: Idempotency::Key,
    rate: Rate::per_second(10_000),
    concurrency: 64,
    batch: 1,
    keeps_content: true,
    classify: None,
    callback: None,
    build,
};

/// The inbox. It has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capture;

fn build(_: &Settings) -> Result<Wire, String> {
    Ok(Wire::Capture(Capture))
}

impl Capture {
    /// The outcome by the recipient's part. Pure.
    pub fn send(&self, message: &Outgoing) -> Outcome {
        let taken = || Outcome::accepted(Some(format!("capture-{}", message.step)));
        let recipient = |class, why: &str| Outcome::new(class, Scope::Recipient, why);
        match part(&message.to) {
            Part::Gone => recipient(Class::Permanent, "550 5.1.1 no such mailbox (test inbox)").suppress(Suppress::HardBounce),
            Part::NoNumber => recipient(Class::Permanent, "unknown number (test inbox)").suppress(Suppress::InvalidNumber),
            Part::Stopped => recipient(Class::Permanent, "opted out (test inbox)").suppress(Suppress::SmsStop),
            Part::Full => recipient(Class::Permanent, "552 5.2.2 over quota (test inbox)"),
            Part::Later => recipient(Class::Retry, "451 4.2.1 try again later (test inbox)"),
            Part::Taken => taken(),
        }
    }
}

enum Part {
    Taken,
    Gone,
    NoNumber,
    Stopped,
    Full,
    Later,
}

fn part(to: &str) -> Part {
    if let Some((name, SIMULATED)) = to.split_once('@') {
        return match name {
            "bounce" | "stop" => Part::Gone,
            "soft" => Part::Full,
            "defer" => Part::Later,
            _ => Part::Taken,
        };
    }
    let fictitious = to.len() == 12 && to.starts_with("+1") && to.get(5..10) == Some("55501");
    match to.get(10..).filter(|_| fictitious) {
        Some("11") => Part::NoNumber,
        Some("12") => Part::Full,
        Some("13") => Part::Later,
        Some("14") => Part::Stopped,
        _ => Part::Taken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::conformance::{email, sms};

    #[test]
    fn recipients_play_their_part() {
        use Class::{Accepted, Permanent, Retry};
        for (to, class, suppress) in [
            ("delivered@sim.tillpost.test", Accepted, None),
            ("slow@sim.tillpost.test", Accepted, None),
            ("bounce@sim.tillpost.test", Permanent, Some(Suppress::HardBounce)),
            ("soft@sim.tillpost.test", Permanent, None),
            ("defer@sim.tillpost.test", Retry, None),
            ("bounce@example.org", Accepted, None),
            ("+12125550100", Accepted, None),
            ("+12125550111", Permanent, Some(Suppress::InvalidNumber)),
            ("+16075550112", Permanent, None),
            ("+16075550113", Retry, None),
            ("+16075550114", Permanent, Some(Suppress::SmsStop)),
            ("+4915155501114", Accepted, None),
            ("+16075551114", Accepted, None),
        ] {
            let message = if to.contains('@') { email(to) } else { sms(to) };
            let outcome = Capture.send(&message);
            assert_eq!((outcome.class, outcome.suppress), (class, suppress), "{to}");
            assert_eq!(outcome.provider_id.is_some(), class == Accepted, "{to}");
        }
    }
}
