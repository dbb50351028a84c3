//! `help TOPIC|CODE`: everything that is needed on site, inside the binary.

use super::{Failure, Outcome, Said, config, exit};
use serde_json::json;

/// Topic and text.
const TOPICS: &[(&str, &str)] = &[
    ("promise", include_str!("promise.md")),
    ("sales", include_str!("sales.md")),
    ("routing", include_str!("routing.md")),
    ("sources", include_str!("sources.md")),
    ("states", include_str!("states.md")),
    ("providers", include_str!("providers.md")),
    ("links", include_str!("links.md")),
    ("suppressions", include_str!("suppressions.md")),
    ("changes", include_str!("changes.md")),
    ("explain", include_str!("explain.md")),
    ("tap", include_str!("tap.md")),
    ("exit-codes", include_str!("exit-codes.md")),
    ("add-a-provider", include_str!("add-a-provider.md")),
    ("add-a-source", include_str!("add-a-source.md")),
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
    let word = wanted.split(':').next().unwrap_or(wanted); // `suppressed:sms_stop`
    let (_, rest) = CODES.split_once(&format!("## {word}\n"))?;
    let text = rest.split("\n## ").next().unwrap_or(rest);
    Some(format!("{wanted}\n\n{}\n", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::domain::delivery::State;
    use std::path::Path;
    use std::{fs, iter};

    fn page(topic: &str) -> String {
        help(Some(topic)).unwrap().text
    }

    fn one_line(text: &str) -> String {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn topics_and_codes_are_found() {
        assert!(page("transaction_id_taken").contains("transaction_id"));
        assert!(page("suppressed:sms_stop").contains("STOP"));
        assert!(page("TP-CFG-001").contains("config file"));
        assert_eq!(help(Some("nonsense")).unwrap_err().code, exit::NOT_FOUND);
        for (name, text) in TOPICS {
            assert!(text.lines().all(|l| l.chars().count() <= 80), "{name} fits a terminal");
        }
    }

    #[test]
    fn the_promise_is_in_its_exact_words() {
        let lib = include_str!("../../lib.rs").lines().map(|l| l.trim_start_matches("//!")).collect::<Vec<_>>().join("\n");
        let promise = lib.split("# The promise\n").nth(1).unwrap().split("\n\n").next().unwrap();
        assert!(one_line(&page("promise")).contains(&one_line(promise)));
    }

    #[test]
    fn every_state_and_every_type_is_told() {
        let first = |text: &str| text.lines().filter_map(|l| l.split(' ').next()).map(str::to_owned).collect::<Vec<_>>();
        let states = first(&page("states"));
        assert!(State::ALL.iter().all(|s| states.contains(&s.word().to_owned())), "{states:?}");
        let listed = page("sources");
        let types: Vec<&str> = listed.lines().filter_map(|l| l.trim_start().split(' ').next()).collect();
        assert!(crate::sources::KINDS.iter().all(|k| types.contains(&k.keys.name)), "{types:?}");
        let types = first(&page("providers"));
        assert!(crate::providers::kinds().iter().all(|k| types.contains(&k.keys.name.to_owned())), "{types:?}");
    }

    #[test]
    fn the_example_of_providers_passes_the_check() {
        let text: String = page("providers").lines().filter_map(|l| l.strip_prefix("  ")).collect::<Vec<_>>().join("\n");
        let table: toml::Table = text.parse().unwrap();
        let config = load::from_json(&json!(table), &crate::app::kinds(), false).unwrap();
        assert!(config.providers.contains_key("main"));
    }

    /// The codes that the source gives, as far as they stand on one line with what makes them.
    fn codes_of(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            if entry.is_dir() {
                codes_of(&entry, found);
            } else if entry.extension().is_some_and(|e| e == "rs") && entry.file_stem().is_some_and(|s| s != "tests") {
                let text = fs::read_to_string(&entry).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap();
                for line in code.lines() {
                    let made = ["Problem::new(", "Problem::invalid(", "Fault::new(", "Refused(\"", "say(\"suppressed"];
                    let Some(at) = made.iter().find_map(|m| line.find(m)) else { continue };
                    let words = line.get(at..).unwrap_or_default().split('"').skip(1).step_by(2);
                    let word = |w: &&str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b"_:".contains(&b));
                    found.extend(words.filter(word).take(1).map(str::to_owned));
                }
            }
        }
    }

    #[test]
    fn every_code_is_explained() {
        let mut found = Vec::new();
        codes_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
        found.sort();
        found.dedup();
        assert!(found.len() > 40, "{found:?}");
        let stored = ["disk_full", "disk_read_only", "starting"].map(str::to_owned);
        let silent: Vec<String> = found.into_iter().chain(stored).filter(|code| help(Some(code)).is_err()).collect();
        assert_eq!(silent, Vec::<String>::new(), "no word about these in codes.md");
    }

    #[test]
    fn every_exit_code_is_told() {
        let numbers = iter::successors(Some(exit::DONE), |n| Some(n + 1)).take_while(|n| *n <= exit::PARTLY);
        let told = page("exit-codes");
        for n in numbers {
            assert!(told.lines().any(|l| l.split(' ').next() == Some(&n.to_string())), "{n}");
        }
    }
}
