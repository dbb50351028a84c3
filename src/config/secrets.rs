//! Fetching secrets: from the environment, from files, from the service manager's credentials. What
//! is fetched goes into a [`Secret`] at once; what is said about a failure never holds a value.

use crate::config::Secret;
use crate::config::tree::{Node, Value};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The most bytes of a secret; a certificate with its chain fits.
const MOST: u64 = 64 * 1024;

/// Where secrets come from.
#[derive(Clone, Copy)]
pub enum Fetch<'e> {
    /// From files and this environment.
    From(&'e BTreeMap<String, String>),
    /// From nowhere: references become empty secrets.
    Nothing,
}

/// Why there is no secret.
pub struct Missing {
    /// `TP-CFG-012` or `TP-CFG-013`.
    pub code: &'static str,
    /// What follows the name of the key: `file not found`.
    pub what: String,
    /// More about it.
    pub why: String,
    /// What to do.
    pub fix: String,
}

fn missing(what: impl Into<String>, why: impl Into<String>, fix: impl Into<String>) -> Missing {
    Missing { code: "TP-CFG-012", what: what.into(), why: why.into(), fix: fix.into() }
}

/// How a secret is written.
pub enum Reference<'n> {
    /// As it is.
    Literal(&'n str),
    /// By one of the words `env`, `file`, `credential`.
    By(&'n str, &'n str),
    /// In no way that is understood.
    Odd,
}

/// Reads how a secret is written.
pub fn reference(node: &Node) -> Reference<'_> {
    match &node.value {
        Value::Text(text) => Reference::Literal(text),
        Value::Table(table) if table.len() == 1 => match table.iter().next() {
            Some((word, node)) => match (word.as_str(), node.text()) {
                (word @ ("env" | "file" | "credential"), Some(name)) if !name.is_empty() => Reference::By(word, name),
                _ => Reference::Odd,
            },
            None => Reference::Odd,
        },
        _ => Reference::Odd,
    }
}

impl Fetch<'_> {
    /// The secret that a value is or refers to.
    pub fn secret(&self, node: &Node) -> Result<Secret, Missing> {
        match (reference(node), self) {
            (Reference::Odd, _) => Err(Missing {
                code: "TP-CFG-013",
                what: "is not written as a secret is".into(),
                why: "a secret is text or a table with exactly one of file, env, credential".into(),
                fix: "write { file = \"PATH\" } or { env = \"NAME\" }".into(),
            }),
            (Reference::Literal(text), _) => not_empty(text, "is empty", "the text between the quotes is empty"),
            (Reference::By(..), Fetch::Nothing) => Ok(Secret::default()),
            (Reference::By("env", name), Fetch::From(env)) => match env.get(name) {
                Some(text) => not_empty(text, "is empty", &format!("the environment variable {name} is empty")),
                None => Err(missing(
                    "environment variable not set",
                    format!("{name} is not in the environment of this process"),
                    format!("set {name} where Tillpost is started, or use {{ file = \"PATH\" }}"),
                )),
            },
            (Reference::By("credential", name), Fetch::From(env)) => match env.get("CREDENTIALS_DIRECTORY") {
                Some(folder) => from_file(&Path::new(folder).join(name), "credential"),
                None => Err(missing(
                    "credential not found",
                    "$CREDENTIALS_DIRECTORY is not set: the process was not started with credentials",
                    format!("add LoadCredential={name}:PATH to the unit, or use {{ file = \"PATH\" }}"),
                )),
            },
            (Reference::By(_, path), Fetch::From(_)) => from_file(&node.place.resolve(path), "file"),
        }
    }
}

fn not_empty(text: &str, what: &str, why: &str) -> Result<Secret, Missing> {
    if text.is_empty() { Err(missing(what, why, "write the secret there")) } else { Ok(Secret::new(text)) }
}

fn from_file(path: &Path, what: &str) -> Result<Secret, Missing> {
    let shown = path.display();
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > MOST => Err(missing(
            format!("{what} is too large"),
            format!("{shown} has more than 64 KiB"),
            "name the file that holds the secret alone",
        )),
        Ok(_) => not_empty(text.trim_end_matches(['\n', '\r']), &format!("{what} is empty"), &format!("{shown} is empty")),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(missing(
            format!("{what} not found"),
            format!("{shown} does not exist"),
            "create it with the secret in it, readable by the user that runs Tillpost only",
        )),
        Err(e) => {
            Err(missing(format!("{what} cannot be read"), format!("{shown}: {}", e.kind()), "let the user that runs Tillpost read it"))
        }
    }
}
