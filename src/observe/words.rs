//! The status words: the only ones, on every page, in the command line and in the API's texts.
//!
//! "Sent" is never said before it is.

use crate::domain::delivery::State;
use crate::domain::time::UnixMs;
use crate::store::outbox::Delivery;

/// How a state is shown: never by colour alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// The word for classes of style: `queued`, `offline`, `retry`, …
    pub class: &'static str,
    /// A sign that every font has.
    pub icon: &'static str,
    /// `grey`, `amber`, `blue`, `green`, `red` or `violet`.
    pub colour: &'static str,
}

const fn look(class: &'static str, icon: &'static str, colour: &'static str) -> Look {
    Look { class, icon, colour }
}

/// A state in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// How it looks.
    pub look: Look,
    /// What it says.
    pub text: String,
}

/// The words of a delivery. `online`: the line is up; `captured`: it went to the test inbox; `clock` tells
/// a moment as people of the shop read it, e.g. `10:45`.
pub fn delivery(d: &Delivery, online: bool, captured: bool, clock: impl Fn(UnixMs) -> String) -> Words {
    let say = |look: Look, text: String| Words { look, text };
    match d.state {
        State::Ready if online => say(look("queued", "◷", "grey"), "Saved, waiting to send".into()),
        State::Ready => say(look("offline", "☁", "amber"), "Saved, waiting for internet".into()),
        State::Sending => say(look("sending", "→", "blue"), "Sending".into()),
        State::Retry if !online => say(look("offline", "☁", "amber"), "Saved, waiting for internet".into()),
        State::Retry => say(look("retry", "↻", "amber"), format!("Not accepted yet, next try {}", clock(d.due))),
        State::Uncertain => {
            let at = d.began_at.or(d.ended_at).map(&clock).unwrap_or_default();
            say(look("uncertain", "?", "amber"), format!("May have been sent (line broke at {at})"))
        }
        State::Held => say(look("held", "‖", "grey"), format!("On hold ({})", reason(&d.reason))),
        State::Accepted if captured => say(look("captured", "⚗", "violet"), "Caught in test inbox".into()),
        State::Accepted => say(look("accepted", "✓", "blue"), format!("Handed to {}", d.provider)),
        State::Delivered => say(look("delivered", "✓✓", "green"), "Delivered to the mailbox".into()),
        State::Bounced => say(look("bounced", "✗", "red"), bounce(&d.reason).into()),
        State::Complained => say(look("complained", "⚑", "grey"), "Reported as unwanted mail".into()),
        State::Dead if d.reason == "ttl" => say(look("expired", "⌛", "grey"), "Not sent: too late to be useful".into()),
        State::Dead => say(look("failed", "▲", "red"), format!("Needs attention ({})", reason(&d.reason))),
        State::Cancelled => match d.reason.strip_prefix("suppressed:") {
            Some(why) => say(look("suppressed", "■", "red"), format!("Not sent: address is blocked ({})", reason(why))),
            None => say(look("cancelled", "–", "grey"), format!("Not sent ({})", reason(&d.reason))),
        },
    }
}

/// The words above a list of deliveries in one state.
pub const fn heading(state: State) -> (Look, &'static str) {
    match state {
        State::Ready => (look("queued", "◷", "grey"), "Saved, waiting to send"),
        State::Sending => (look("sending", "→", "blue"), "Sending"),
        State::Retry => (look("retry", "↻", "amber"), "Not accepted yet"),
        State::Uncertain => (look("uncertain", "?", "amber"), "May have been sent"),
        State::Held => (look("held", "‖", "grey"), "On hold"),
        State::Accepted => (look("accepted", "✓", "blue"), "Handed over"),
        State::Delivered => (look("delivered", "✓✓", "green"), "Delivered to the mailbox"),
        State::Bounced => (look("bounced", "✗", "red"), "Refused"),
        State::Complained => (look("complained", "⚑", "grey"), "Reported as unwanted mail"),
        State::Dead => (look("failed", "▲", "red"), "Needs attention"),
        State::Cancelled => (look("cancelled", "–", "grey"), "Not sent"),
    }
}

/// The words of a receipt without any delivery.
pub fn no_message(why: &str) -> Words {
    let text = match why {
        "no_contact" => "No address given",
        "declined" => "No message wanted",
        _ => "Not sent: no address that can be used",
    };
    Words { look: look(if why == "no_contact" { "no_contact" } else { "declined" }, "–", "grey"), text: text.into() }
}

fn bounce(why: &str) -> &'static str {
    match why {
        "hard_bounce" => "Address does not exist",
        "invalid_number" => "This number takes no texts",
        "sms_stop" => "The customer wants no texts",
        _ => "Refused by the recipient's server",
    }
}

/// A reason's plain words; one that is not in the list is shown as it is.
pub fn reason(word: &str) -> &str {
    match word {
        "" => "no reason given",
        "hard_bounce" => "the address does not exist",
        "soft_bounce" => "the mailbox failed for days",
        "complaint" => "reported as unwanted",
        "unsubscribe" => "left the list",
        "sms_stop" => "the customer answered STOP",
        "invalid_number" => "the number takes no texts",
        "dead_token" => "the app is gone",
        "erased" => "the customer asked to be forgotten",
        "manual" => "blocked by the shop",
        "attempts" => "tried too often",
        "refused" => "refused as it stands",
        "voided" => "the sale was undone",
        "fallback" => "another channel took over",
        "discarded" => "discarded by a person",
        "ttl" => "too late",
        "unreadable" => "the stored receipt cannot be read",
        "restored" => "from before the store was damaged",
        "not_accepted" => "not accepted yet",
        "superseded" => "a later word on the same order took its place",
        "no_consent" => "the customer has not agreed to it",
        "released" => "released by a person",
        "stopped" => "the campaign was stopped",
        "provider_changed" => "its provider was changed while nobody knew whether it had arrived",
        "dropped" => "nobody can know whether it arrived",
        other => other,
    }
}
