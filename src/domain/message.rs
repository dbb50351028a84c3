//! Messages: "this document must reach this audience once".

use crate::domain::channel::words;
use crate::domain::outcome::Suppress;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const MIN: u64 = 60;
const HOUR: u64 = 60 * MIN;
const DAY: u64 = 24 * HOUR;

words! {
    /// What a message is, and thereby its priority, its time to live and what happens when nobody
    /// can know whether it arrived.
    Kind {
        /// A cashier or the customer asked for the receipt again.
        Resend = "resend",
        /// A link to set a new password.
        PasswordReset = "password_reset",
        /// The customer's receipt of a sale.
        Receipt = "receipt",
        /// The customer's receipt of a return.
        Refund = "refund",
        /// News of an order, a shipment or a return.
        OrderStatus = "order_status",
        /// Something is wrong with the box or a provider.
        Alert = "alert",
        /// Something that the staff should know now.
        StaffEvent = "staff_event",
        /// Data for a customer system.
        CrmSync = "crm_sync",
        /// The day in figures.
        Digest = "digest",
        /// An offer to many.
        Campaign = "campaign",
        /// A request for a review.
        ReviewRequest = "review_request",
    }
}

words! {
    /// For whom a message is.
    Audience {
        /// The person who bought.
        Customer = "customer",
        /// People who work in the shop.
        Staff = "staff",
        /// Another system.
        System = "system",
    }
}

/// A further step of a message's chain, as the message keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainStep {
    /// Word of the channel.
    pub channel: String,
    /// Normalised address.
    pub address: String,
}

/// What happens to an attempt of which nobody can know whether it arrived, when neither a key nor a
/// look-up can settle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUncertain {
    /// It stays uncertain and is shown to a person.
    Hold,
    /// It is sent again: it may come twice, never silently not at all.
    Repeat,
    /// It is given up.
    Drop,
}

impl Kind {
    /// For whom.
    pub const fn audience(self) -> Audience {
        match self {
            Kind::Alert | Kind::StaffEvent | Kind::Digest => Audience::Staff,
            Kind::CrmSync => Audience::System,
            _ => Audience::Customer,
        }
    }

    /// 0 is served first. A receipt is `fresh` while the customer may still be in the shop.
    pub const fn priority(self, fresh: bool) -> u8 {
        match self {
            Kind::Resend | Kind::PasswordReset => 0,
            Kind::Receipt | Kind::Refund if fresh => 1,
            Kind::Alert => 1,
            Kind::Receipt | Kind::Refund => 2,
            Kind::OrderStatus => 3,
            Kind::StaffEvent | Kind::CrmSync => 4,
            Kind::Digest => 5,
            Kind::Campaign | Kind::ReviewRequest => 6,
        }
    }

    /// How long after the event the message is still of use on the channel.
    pub const fn time_to_live(self, channel: crate::domain::channel::Channel) -> Duration {
        use crate::domain::channel::Channel::Email;
        let seconds = match self {
            Kind::Resend | Kind::OrderStatus | Kind::Alert => DAY,
            Kind::PasswordReset => 15 * MIN,
            Kind::Receipt | Kind::Refund => match channel {
                Email => 7 * DAY,
                _ => 3 * DAY,
            },
            Kind::StaffEvent => 4 * HOUR,
            Kind::CrmSync => 14 * DAY,
            Kind::Digest | Kind::Campaign | Kind::ReviewRequest => 7 * DAY,
        };
        Duration::from_secs(seconds)
    }

    /// Whether it needs a consent to offers, and counts as one.
    pub const fn is_marketing(self) -> bool {
        matches!(self, Kind::Campaign | Kind::ReviewRequest)
    }

    /// Whether a reason on the suppression list keeps this kind back. `typed`: the address was given again, at
    /// a sale or to a cashier, after the reason was learned. A reason that this release does not know does.
    pub fn held_back_by(self, why: &str, typed: bool) -> bool {
        match (Suppress::from_word(why), self) {
            (Some(Suppress::Erased | Suppress::Complaint), Kind::Receipt | Kind::Refund) => !typed,
            (Some(Suppress::HardBounce | Suppress::InvalidNumber), Kind::Resend) => !typed,
            (Some(Suppress::SoftBounce), _) => self.is_marketing() || self == Kind::OrderStatus,
            (Some(Suppress::Unsubscribe), _) => self.is_marketing(),
            _ => true,
        }
    }

    /// Whether the next channel of the chain may take over.
    pub const fn falls_back(self) -> bool {
        matches!(self, Kind::Receipt | Kind::Refund | Kind::OrderStatus | Kind::Alert)
    }

    /// See [`WhenUncertain`].
    pub const fn when_uncertain(self) -> WhenUncertain {
        match self.audience() {
            Audience::Customer => match self {
                Kind::PasswordReset => WhenUncertain::Repeat,
                Kind::Campaign | Kind::ReviewRequest => WhenUncertain::Drop,
                _ => WhenUncertain::Hold,
            },
            _ => WhenUncertain::Repeat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_customer_document_is_repeated_blindly() {
        for kind in Kind::ALL.iter().filter(|k| k.audience() == Audience::Customer) {
            let repeats = kind.when_uncertain() == WhenUncertain::Repeat;
            assert_eq!(repeats, *kind == Kind::PasswordReset, "{kind}");
        }
    }

    #[test]
    fn what_was_asked_for_now_goes_first() {
        assert_eq!(Kind::Resend.priority(false), 0);
        assert!(Kind::Receipt.priority(true) < Kind::Receipt.priority(false));
        assert!(Kind::ALL.iter().all(|k| k.priority(true) <= Kind::Campaign.priority(true)));
    }
}
