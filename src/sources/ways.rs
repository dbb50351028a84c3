//! The ways in that a config names: each source with its type, its shop and the text of its mapping file.
//! Reads no file itself.

use super::{Kind, Setup, find, relay};
use crate::config::Config;
use crate::config::checked::Source;
use crate::domain::shop::Shop;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One `[sources.NAME]` that has a type here.
pub struct Way {
    /// `NAME`.
    pub name: String,
    /// Its type.
    pub kind: &'static Kind,
    /// Its table.
    pub source: Source,
    /// Text of its mapping file; empty without one.
    pub rules: String,
    shop: Shop,
}

impl Way {
    /// As the functions of its type take it.
    pub fn setup(&self) -> Setup<'_> {
        Setup { name: &self.name, source: &self.source, shop: &self.shop, rules: &self.rules }
    }
}

/// All ways in, by name. Cheap to clone.
#[derive(Clone, Default)]
pub struct Ways(Arc<BTreeMap<String, Arc<Way>>>);

impl Ways {
    /// Those of a config; `mapping` gives the text of a mapping file by its path.
    pub fn new(config: &Config, mapping: impl Fn(&str) -> String) -> Ways {
        let way = |(name, source): (&String, &Source)| {
            let path = source.settings.text("mapping");
            let rules = if path.is_empty() { String::new() } else { mapping(path) };
            let way = Way { name: name.clone(), kind: find(&source.kind)?, source: source.clone(), rules, shop: config.shop.clone() };
            Some((name.clone(), Arc::new(way)))
        };
        Ways(Arc::new(config.sources.iter().filter_map(way).collect()))
    }

    /// By name.
    pub fn get(&self, name: &str) -> Option<&Arc<Way>> {
        self.0.get(name)
    }

    /// All, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Way>> {
        self.0.values()
    }

    /// Whom an envelope of the relay is for: the source at the end of its URL, else the only one of its type.
    pub fn addressee(&self, envelope: &relay::Envelope) -> Option<&Arc<Way>> {
        self.get(envelope.source_name()).or_else(|| {
            let mut of_type = self.all().filter(|way| way.kind.keys.name == envelope.platform);
            of_type.next().filter(|_| of_type.next().is_none())
        })
    }
}

/// Whether a config is wrong in what only its type knows. The error is a sentence for people.
pub fn check(config: &Config, name: &str, mapping: impl Fn(&str) -> Result<String, String>) -> Result<(), String> {
    let Some((source, kind)) = config.sources.get(name).and_then(|source| Some((source, find(&source.kind)?))) else { return Ok(()) };
    let path = source.settings.text("mapping");
    let rules = if path.is_empty() { String::new() } else { mapping(path).map_err(|why| format!("mapping {path}: {why}"))? };
    (kind.check)(&Setup { name, source, shop: &config.shop, rules: &rules })
}
