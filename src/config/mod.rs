//! Configuration: the file as written becomes the settings as used.
//!
//! [`keys`] says what may stand in a file, each key once, with its meaning and default; the check, the
//! JSON Schema and the documented default file follow from it. [`checked`] is what the program uses;
//! nobody else sees the written form. This room opens no socket and prints nothing; secrets never
//! leave it except as [`Secret`], which cannot be shown.
//!
//! On the way: [`load`] finds and reads the layers, [`raw`] turns each into a [`tree`] with places,
//! [`walk`] checks every value against the key table, [`relate`] checks values against each other, and
//! [`build`] makes the settings. Every [`problem`] is found in one go.
//!
//! Kinds of source and provider are handed in as a list by `app`: this room imports neither.

pub mod build;
pub mod checked;
pub mod defaults;
pub mod document;
pub mod forms;
pub mod key;
pub mod keys;
pub mod last_good;
pub mod load;
pub mod problem;
pub mod raw;
pub mod relate;
pub mod routing;
pub mod schema;
pub mod secret;
pub mod secrets;
pub mod show;
pub mod till_key;
pub mod tree;
pub mod units;
pub mod walk;

#[cfg(test)]
pub(crate) mod fakes;
#[cfg(test)]
mod tests;

pub use checked::Config;
pub use key::{Form, Key, Kinds, Shape, TypeKeys};
pub use load::{Loaded, Sources, from_json, load};
pub use problem::{Problem, Severity};
pub use secret::Secret;
