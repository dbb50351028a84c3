//! The keys of one `[providers.NAME]` table as settings, for tools that are given such a table alone.
//!
//! Secrets are literal text here: nothing is read from files or the environment. A config file goes
//! through the check of the config room instead, which knows places and proposes names.

use crate::config::checked::{Provider as Account, Setting, Settings};
use crate::config::key::Shape;
use crate::config::{Key, Secret};
use crate::providers::Kind;
use std::time::Duration;
use toml::{Table, Value};

/// Common keys that change nothing in a request.
const ASIDE: &[&str] = &["rate", "concurrency", "timeout", "track", "tags", "allow_private", "callback"];

/// The settings of an account of that type. Errors name the key, never a value.
pub fn read(kind: &Kind, table: &Table) -> Result<Account, String> {
    let account = read_some(kind, table)?;
    let missing = kind.keys.keys.iter().find(|key| key.required && !account.settings.0.contains_key(key.name));
    match missing {
        Some(key) => Err(format!("{} is missing", key.name)),
        None => Ok(account),
    }
}

/// The same where needed keys may be missing: enough to verify a callback.
pub fn read_some(kind: &Kind, table: &Table) -> Result<Account, String> {
    let mut account = Account {
        kind: kind.keys.name.to_owned(),
        base_url: None,
        allow_insecure: false,
        allow_private: Vec::new(),
        rate: None,
        concurrency: None,
        timeout: Duration::from_secs(30),
        settings: Settings::default(),
    };
    for (name, value) in table {
        let own = kind.keys.keys.iter().find(|key| key.name == name);
        match (name.as_str(), value, own) {
            (_, value, Some(key)) => {
                account.settings.0.insert(name.clone(), setting(key, value)?);
            }
            ("type", Value::String(word), None) if word == kind.keys.name => {}
            ("base_url", Value::String(url), None) => account.base_url = Some(url.clone()),
            ("allow_insecure", Value::Boolean(yes), None) => account.allow_insecure = *yes,
            (aside, _, None) if ASIDE.contains(&aside) => {}
            _ => return Err(format!("{name} is not a key of type {}, or has a value of another kind", kind.keys.name)),
        }
    }
    Ok(account)
}

fn setting(key: &Key, value: &Value) -> Result<Setting, String> {
    of_shape(&key.shape, value).ok_or_else(|| format!("the value of {} is not of the right kind", key.name))
}

fn of_shape(shape: &Shape, value: &Value) -> Option<Setting> {
    match (shape, value) {
        (Shape::Secret, Value::String(text)) => Some(Setting::Secret(Secret::new(text.as_str()))),
        (Shape::Word(words), Value::String(text)) => words.contains(&text.as_str()).then(|| Setting::Text(text.clone())),
        (Shape::Int(least, most), Value::Integer(n)) => (least..=most).contains(&n).then_some(Setting::Int(*n)),
        (Shape::Bool, Value::Boolean(yes)) => Some(Setting::Bool(*yes)),
        (Shape::List(inner), Value::Array(all)) => all.iter().map(|v| of_shape(inner, v)).collect::<Option<_>>().map(Setting::List),
        (Shape::Map(inner), Value::Table(table)) => table_of(table, |_| Some(inner)),
        (Shape::Table(keys), Value::Table(table)) => table_of(table, |name| keys.iter().find(|k| k.name == name).map(|k| &k.shape)),
        (Shape::Either(shapes), value) => shapes.iter().find_map(|s| of_shape(s, value)),
        (
            Shape::Text | Shape::Path | Shape::Socket | Shape::Url | Shape::TimeZone | Shape::Mailbox | Shape::Provider,
            Value::String(text),
        ) => Some(Setting::Text(text.clone())),
        _ => None,
    }
}

fn table_of<'a>(table: &Table, shape: impl Fn(&str) -> Option<&'a Shape>) -> Option<Setting> {
    let all = table.iter().map(|(name, value)| Some((name.clone(), of_shape(shape(name)?, value)?)));
    all.collect::<Option<_>>().map(|map| Setting::Table(Settings(map)))
}
