//! Tillpost, the receipt outbox for shops.

pub mod config;
pub mod domain;
pub mod http;
pub mod providers;
