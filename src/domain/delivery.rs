//! Deliveries: one channel's step in a message's chain, and the moves that its state may make.

use crate::domain::channel::words;

words! {
    /// Where a delivery stands.
    State {
        /// May go out as soon as it is due.
        Ready = "ready",
        /// An attempt was committed and may be under way.
        Sending = "sending",
        /// A provider took it.
        Accepted = "accepted",
        /// Not taken yet; it is tried again.
        Retry = "retry",
        /// Waits for a person.
        Held = "held",
        /// Needs a person, or came too late.
        Dead = "dead",
        /// Ended without being sent.
        Cancelled = "cancelled",
        /// It may have arrived or not, and nobody can know.
        Uncertain = "uncertain",
        /// A provider reported that it arrived.
        Delivered = "delivered",
        /// The address does not take it.
        Bounced = "bounced",
        /// The recipient reported it as unwanted.
        Complained = "complained",
    }
}

impl State {
    /// Whether the delivery still waits for the dispatcher, a provider's answer or a person.
    pub const fn open(self) -> bool {
        matches!(self, State::Ready | State::Sending | State::Retry | State::Held | State::Uncertain)
    }

    /// The moves that exist. What is not listed here cannot happen.
    pub const fn may_become(self, next: State) -> bool {
        use State::*;
        match self {
            Ready => matches!(next, Sending | Held | Cancelled | Dead),
            Sending => matches!(next, Accepted | Retry | Ready | Bounced | Dead | Uncertain),
            Retry => matches!(next, Sending | Held | Cancelled | Dead | Accepted | Delivered | Bounced | Complained),
            Uncertain => matches!(next, Accepted | Ready | Bounced | Dead | Cancelled | Delivered | Complained),
            Held => matches!(next, Ready | Cancelled | Accepted | Delivered | Bounced | Complained),
            Dead => matches!(next, Ready | Cancelled | Accepted | Delivered | Bounced | Complained),
            Accepted => matches!(next, Delivered | Bounced | Complained),
            Delivered => matches!(next, Bounced | Complained),
            Bounced | Complained | Cancelled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::State::{self, *};

    /// The routing rules' table, written out by hand: from, and everything it may become.
    const TABLE: &[(State, &[State])] = &[
        (Ready, &[Sending, Held, Cancelled, Dead]),
        (Sending, &[Accepted, Retry, Ready, Bounced, Dead, Uncertain]),
        (Retry, &[Sending, Held, Cancelled, Dead, Accepted, Delivered, Bounced, Complained]),
        (Uncertain, &[Accepted, Ready, Bounced, Dead, Cancelled, Delivered, Complained]),
        (Held, &[Ready, Cancelled, Accepted, Delivered, Bounced, Complained]),
        (Dead, &[Ready, Cancelled, Accepted, Delivered, Bounced, Complained]),
        (Accepted, &[Delivered, Bounced, Complained]),
        (Delivered, &[Bounced, Complained]),
        (Bounced, &[]),
        (Complained, &[]),
        (Cancelled, &[]),
    ];

    #[test]
    fn every_pair_is_either_listed_or_refused() {
        assert_eq!(TABLE.len(), State::ALL.len());
        for (from, to) in TABLE {
            for next in State::ALL {
                assert_eq!(from.may_become(*next), to.contains(next), "{from} -> {next}");
            }
        }
    }

    #[test]
    fn an_uncertain_one_is_never_sent_without_becoming_ready_first() {
        assert!(!Uncertain.may_become(Sending));
        assert!(!Uncertain.may_become(Retry));
    }
}
