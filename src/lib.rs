//! Tillpost, the receipt outbox for shops.

pub mod compose;
pub mod config;
pub mod domain;
