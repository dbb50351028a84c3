//! Being observable: logs, metrics, and the story of one receipt in words that people read.
//!
//! Reads the store and never writes it. Nothing here names a person.

pub mod explain;
pub mod log;
pub mod metrics;
pub mod shown;
pub mod timeline;
pub mod words;
