//! The words and rules of the trade: money, sales, messages, deliveries, outcomes.
//!
//! Everything here is a value or a pure function. This room does no I/O, reads no clock, draws no
//! randomness and imports no other room.

pub mod address;
pub mod area_code;
pub mod channel;
pub mod consent;
pub mod content;
pub mod delivery;
pub mod event;
pub mod fault;
pub mod ids;
pub mod message;
pub mod money;
pub mod notice;
pub mod outcome;
pub mod quiet;
pub mod rule;
pub mod sale;
pub mod shop;
pub mod text;
pub mod time;
pub mod token;
