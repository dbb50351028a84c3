//! The pipeline: what was kept becomes messages with their chain of deliveries.
//!
//! [`decide`] is pure: the event, a snapshot of what is stored, the settings and the moment go in, a
//! decision comes out. [`intake`] keeps and decides in one transaction. Sends nothing, renders nothing.

pub mod decide;
pub mod intake;
pub mod resend;
