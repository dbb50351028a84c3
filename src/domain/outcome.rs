//! Outcomes: what came of one attempt, and of whom it speaks. An outcome is not an error.

use crate::domain::channel::words;
use std::time::Duration;

words! {
    /// What an attempt came to.
    Class {
        /// The provider took it.
        Accepted = "accepted",
        /// The shop has no line; nothing was tried.
        Offline = "offline",
        /// Not now; it is tried again.
        Retry = "retry",
        /// Too fast; wait as told.
        Throttle = "throttle",
        /// The account may not send until a person mends it.
        Auth = "auth",
        /// Never, as it stands.
        Permanent = "permanent",
        /// It may have arrived or not.
        Uncertain = "uncertain",
    }
}

words! {
    /// Of whom an outcome speaks.
    Scope {
        /// The shop's connection to the outside.
        Line = "line",
        /// One hook, list or channel at the provider.
        Destination = "destination",
        /// The account at the provider.
        Account = "account",
        /// This message.
        Message = "message",
        /// This address.
        Recipient = "recipient",
    }
}

words! {
    /// Why an address must not be written to.
    Suppress {
        /// It does not exist.
        HardBounce = "hard_bounce",
        /// It failed for days.
        SoftBounce = "soft_bounce",
        /// The recipient reported spam.
        Complaint = "complaint",
        /// The recipient left the list.
        Unsubscribe = "unsubscribe",
        /// The recipient answered STOP.
        SmsStop = "sms_stop",
        /// The number takes no texts.
        InvalidNumber = "invalid_number",
        /// The app or browser is gone.
        DeadToken = "dead_token",
        /// The person asked to be forgotten.
        Erased = "erased",
        /// A person of the shop blocked it.
        Manual = "manual",
    }
}

impl Suppress {
    /// Which of two reasons stays where both hold: what the recipient said stands above what a server said.
    pub const fn strength(self) -> u8 {
        match self {
            Suppress::SmsStop => 7,
            Suppress::Erased => 6,
            Suppress::Complaint => 5,
            Suppress::HardBounce | Suppress::InvalidNumber | Suppress::DeadToken | Suppress::Manual => 4,
            Suppress::Unsubscribe => 2,
            Suppress::SoftBounce => 1,
        }
    }
}

/// What came of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What it came to.
    pub class: Class,
    /// Of whom that speaks.
    pub scope: Scope,
    /// The provider already had our id: it dropped the repeat.
    pub duplicate: bool,
    /// How long the provider asks to wait, within [`Outcome::WAIT`].
    pub retry_after: Option<Duration>,
    /// The provider's own id of the message.
    pub provider_id: Option<String>,
    /// The address must not be written to again, and why.
    pub suppress: Option<Suppress>,
    /// What the other side said, in a form that may be shown and logged: codes and words, no addresses.
    pub detail: String,
}

impl Outcome {
    /// The least and the longest wait that a provider may ask for.
    pub const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(21_600));

    /// An outcome with nothing but class, scope and a word on why.
    pub fn new(class: Class, scope: Scope, detail: impl Into<String>) -> Self {
        Outcome { class, scope, duplicate: false, retry_after: None, provider_id: None, suppress: None, detail: detail.into() }
    }

    /// Taken by the provider under its own id, where it gave one.
    pub fn accepted(provider_id: Option<String>) -> Self {
        Outcome { provider_id, ..Outcome::new(Class::Accepted, Scope::Message, "") }
    }

    /// With the wait that the provider asked for, clamped to [`Outcome::WAIT`].
    pub fn wait(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait.map(|w| w.clamp(Self::WAIT.0, Self::WAIT.1));
        self
    }

    /// With the reason to write to this address no more.
    pub fn suppress(mut self, why: Suppress) -> Self {
        self.suppress = Some(why);
        self
    }

    /// Whether the attempt counts against the message's limit of attempts.
    pub const fn counted(&self) -> bool {
        !matches!(self.class, Class::Offline | Class::Throttle | Class::Auth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_clamped() {
        let wait = |s| Outcome::new(Class::Throttle, Scope::Account, "").wait(Some(Duration::from_secs(s))).retry_after;
        assert_eq!(wait(0), Some(Duration::from_secs(1)));
        assert_eq!(wait(90), Some(Duration::from_secs(90)));
        assert_eq!(wait(10_000_000), Some(Duration::from_secs(21_600)));
    }

    #[test]
    fn being_offline_throttled_or_locked_out_costs_no_attempt() {
        for class in Class::ALL {
            let free = matches!(class, Class::Offline | Class::Throttle | Class::Auth);
            assert_eq!(Outcome::new(*class, Scope::Account, "").counted(), !free, "{class}");
        }
    }
}
