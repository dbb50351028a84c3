//! Tillpost, the receipt outbox for shops.

pub mod cli;
pub mod compose;
pub mod config;
pub mod domain;
pub mod http;
pub mod providers;
pub mod store;
pub mod sys;
