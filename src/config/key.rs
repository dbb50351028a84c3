//! The key table: each key once, with its shape, default and meaning.

use crate::config::checked::Config;
use crate::domain::channel::Channel;

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Any text.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number within limits.
    Int(i64, i64),
    /// A length of time with its unit, e.g. `"30 s"`, `"72 h"`, `"120 d"`.
    Duration,
    /// A number of bytes with its unit, e.g. `"512 MiB"`.
    Size,
    /// Calls per unit of time, e.g. `"10/s"`, `"90/h"`.
    Rate,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A secret: `{ env = "…" }`, `{ file = "…" }` or literal text.
    Secret,
    /// An address and port to listen on or connect to.
    Socket,
    /// An `http://` or `https://` URL.
    Url,
    /// An IANA time zone.
    TimeZone,
    /// An e-mail mailbox: `receipts@cmart.example` or `Corner Mart <receipts@cmart.example>`.
    Mailbox,
    /// The name of a table `[providers.NAME]`.
    Provider,
    /// A file or folder; a relative one begins at the folder of the file that names it.
    Path,
    /// Text of one form.
    Form(&'static Form),
    /// A list, each entry of one shape.
    List(&'static Shape),
    /// A table with known keys.
    Table(&'static [Key]),
    /// A table with free names, each value of one shape.
    Map(&'static Shape),
    /// One of several shapes, e.g. a word or a table.
    Either(&'static [Shape]),
}

/// Text that has to look a certain way.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// For messages: `a country code of two capital letters`.
    pub what: &'static str,
    /// One that is right.
    pub example: &'static str,
    /// Whether a text is right.
    pub good: fn(&str) -> bool,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// As it stands in the file.
    pub name: &'static str,
    /// What its value looks like.
    pub shape: Shape,
    /// What holds without it, as TOML; `None`: nothing, or the key is needed (see `required`).
    pub default: Option<&'static str>,
    /// The table is wrong without it.
    pub required: bool,
    /// One or two sentences for people: what it does, not how.
    pub doc: &'static str,
}

/// A key that may be left out and then is nothing.
pub const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, default: None, required: false, doc }
}

/// A key that its table needs.
pub const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key { name, shape, default: None, required: true, doc }
}

/// A key with a default, written as TOML.
pub const fn default(name: &'static str, shape: Shape, default: &'static str, doc: &'static str) -> Key {
    Key { name, shape, default: Some(default), required: false, doc }
}

/// The keys of one `type` of source or provider. One that has the name of a common key stands in its
/// place, e.g. for another default.
#[derive(Clone, Copy, Debug)]
pub struct TypeKeys {
    /// The word after `type =`.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub doc: &'static str,
    /// Channels that a provider of this type can send on; empty for sources.
    pub channels: &'static [Channel],
    /// Keys besides the common ones.
    pub keys: &'static [Key],
    /// A table that passes the check, as TOML below its heading.
    pub example: &'static str,
}

/// Whether the source of that name makes sense as its type sees it.
pub type SourceCheck = fn(&Config, &str) -> Result<(), String>;

/// Everything that has a `type`, as `app` lists it.
#[derive(Clone, Debug, Default)]
pub struct Kinds {
    /// Types of `[sources.NAME]`.
    pub sources: Vec<TypeKeys>,
    /// Types of `[providers.NAME]`.
    pub providers: Vec<TypeKeys>,
    /// Whether a source makes sense as its type sees it, by its name. The error is a sentence for people.
    pub check_source: Option<SourceCheck>,
}
