//! Sources: one file for each POS's wire, and the list of them.
//!
//! A source verifies where something came from, names the key by which a repeat is known, and decodes what
//! came, all pure. It never sees the store, and answers nobody.

pub mod lan;

use crate::config::TypeKeys;

/// The types of source, one line each.
pub const KINDS: &[TypeKeys] = &[lan::KEYS];
