//! Files that a till writes into a folder: ARTS XML, canonical sales, or anything with a mapping file.
//!
//! This file knows what a file means. Watching the folder, and moving what is done, is the work of others.

use crate::config::key::{Shape, optional, required};
use crate::config::{Key, TypeKeys};
use crate::domain::ids::{hash16, hex};
use crate::sources::*;

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "file-drop",
        doc: "Files that a till writes into a folder.",
        channels: &[],
        keys: KEYS,
        example: "dir = \"/srv/till\"\nmapping = \"journal.toml\"",
    },
    check,
    // Whoever may write into the folder may sell.
    verify: |_, _, _| Verdict::Accepted,
    delivery_id,
    decode: |setup, raw, _| lan::documents(setup, raw.body),
    api: None,
};

const KEYS: &[Key] = &[
    required("dir", Shape::Path, "The folder. What was read is moved to done/ in it, what could not be to failed/."),
    optional("format", Shape::Word(&["csv", "json", "xml"]), "What the files are, where their mapping does not say it."),
    optional("mapping", Shape::Path, "A file that says how their rows become sales."),
    RECEIPTS,
    TEST,
];

/// The name of the header under which a file's name is kept.
pub const FILE_NAME: &str = "file-name";

fn check(setup: &Setup<'_>) -> Result<(), String> {
    match (setup.rules, setup.text("format")) {
        ("", "csv") => Err("mapping is missing: CSV says nothing without one".to_owned()),
        ("", _) => Ok(()),
        (rules, _) => mapping::parse(rules).map(|_| ()).map_err(|why| format!("mapping: {why}")),
    }
}

/// The same file under the same name, whenever it comes.
fn delivery_id(_: &Setup<'_>, given: &Given<'_>) -> Option<String> {
    Some(format!("{}|{}", given.header(FILE_NAME).unwrap_or_default(), hex(&hash16(given.body))))
}
