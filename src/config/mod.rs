//! Configuration: the file as written becomes the settings as used.
//!
//! [`key`] says what may stand in a file, once, with its meaning and default; the check, the JSON
//! Schema and the documented default file follow from it. [`checked`] is what the program uses;
//! nobody else sees the written form. This room opens no socket and prints nothing; secrets never
//! leave it except as [`Secret`], which cannot be shown.
//!
//! Kinds of source and provider are handed in as a list by `app`: this room imports neither.

pub mod checked;
pub mod key;
pub mod secret;

pub use checked::Config;
pub use key::{Key, Kinds, Shape, TypeKeys};
pub use secret::Secret;
