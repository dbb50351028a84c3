//! Tillpost, the receipt outbox for shops.

pub mod cli;
pub mod config;
pub mod domain;
