//! Tillpost, the receipt outbox for shops.

pub mod compose;
pub mod config;
pub mod domain;
pub mod store;
pub mod sys;
