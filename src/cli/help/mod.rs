//! `help TOPIC|CODE`: everything that is needed on site, inside the binary.

use super::{Failure, Outcome, Said, config, exit};
use serde_json::json;

/// Topic and text.
const TOPICS: &[(&str, &str)] = &[
    ("promise", include_str!("promise.md")),
    ("sales", include_str!("sales.md")),
    ("states", include_str!("states.md")),
    ("providers", include_str!("providers.md")),
    ("exit-codes", include_str!("exit-codes.md")),
    ("add-a-provider", include_str!("add-a-provider.md")),
];

/// Codes of the API, one `## code` section each.
const CODES: &str = include_str!("codes.md");

/// A topic, or what a code means.
pub fn help(topic: Option<&str>) -> Outcome {
    let Some(topic) = topic else {
        let names: Vec<&str> = TOPICS.iter().map(|(name, _)| *name).collect();
        return Ok(Said::new(
            json!({"topics": names}),
            format!("topics: {}\nor any code that an answer or the config check names\n", names.join(", ")),
        ));
    };
    let page = TOPICS.iter().find(|(name, _)| *name == topic).map(|(_, text)| (*text).to_owned());
    match page.or_else(|| config::help(topic)).or_else(|| code(topic)) {
        Some(text) => Ok(Said::new(json!({"topic": topic, "text": text}), text)),
        None => Err(Failure::new(exit::NOT_FOUND, format!("there is no topic or code {topic}\n  fix: `tillpost help` lists the topics"))),
    }
}

fn code(wanted: &str) -> Option<String> {
    let (_, rest) = CODES.split_once(&format!("## {wanted}\n"))?;
    let text = rest.split("\n## ").next().unwrap_or(rest);
    Some(format!("{wanted}\n\n{}\n", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_and_codes_are_found() {
        assert!(help(Some("promise")).unwrap().text.contains("held and shown to a person"));
        assert!(help(Some("transaction_id_taken")).unwrap().text.contains("transaction_id"));
        assert_eq!(help(Some("nonsense")).unwrap_err().code, exit::NOT_FOUND);
    }
}
