//! Problems of a configuration: what is wrong, where, why, and what mends it. Each has a code that
//! stays the same in every release. A problem never holds the value of a secret.

use crate::config::tree::Place;
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, but is probably not meant.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// See [`Severity`].
    pub severity: Severity,
    /// `TP-CFG-0NN`, one of [`CODES`].
    pub code: &'static str,
    /// Where it stands.
    pub place: Place,
    /// The key, e.g. `providers.main.host`; empty for a whole file.
    pub path: String,
    /// What is wrong, in one line.
    pub message: String,
    /// Why it matters, where that is not plain.
    pub why: Option<String>,
    /// What to do.
    pub fix: String,
}

impl Problem {
    /// An error without a reason.
    pub fn error(
        code: &'static str,
        place: &Place,
        path: impl Into<String>,
        message: impl Into<String>,
        fix: impl Into<String>,
    ) -> Problem {
        Problem {
            severity: Severity::Error,
            code,
            place: place.clone(),
            path: path.into(),
            message: message.into(),
            why: None,
            fix: fix.into(),
        }
    }

    /// The same as a warning.
    pub fn warning(mut self) -> Problem {
        self.severity = Severity::Warning;
        self
    }

    /// With a reason.
    pub fn why(mut self, why: impl Into<String>) -> Problem {
        self.why = Some(why.into());
        self
    }

    /// Four lines for people, without colour.
    pub fn text(&self) -> String {
        let word = if self.severity == Severity::Error { "error" } else { "warning" };
        let mut out = format!("{word}[{}]: {}\n  at {}\n", self.code, self.message, self.place);
        if let Some(why) = &self.why {
            let _ = writeln!(out, "  why: {why}");
        }
        let _ = writeln!(out, "  fix: {}", self.fix);
        out
    }

    /// For programs.
    pub fn json(&self) -> Json {
        let lines = self.place.line > 0;
        json!({
            "severity": if self.severity == Severity::Error { "error" } else { "warning" },
            "code": self.code,
            "key": self.path,
            "message": self.message,
            "layer": self.place.layer.word(),
            "source": &*self.place.source,
            "line": lines.then_some(self.place.line),
            "column": lines.then_some(self.place.column),
            "why": self.why,
            "fix": self.fix,
        })
    }
}

/// Puts problems in the order in which people read them: warnings, then errors, then what keeps a
/// file from being read at all; the most important last, within that by place.
pub fn sort(problems: &mut [Problem]) {
    let unread = |p: &Problem| matches!(p.code, "TP-CFG-001" | "TP-CFG-002");
    problems.sort_by(|a, b| {
        let key = |p: &Problem| (p.severity, unread(p), p.place.layer, p.place.source.clone(), p.place.line, p.place.column);
        key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path))
    });
}

/// All of them, in the order of the list, with a blank line between two.
pub fn text(problems: &[Problem]) -> String {
    problems.iter().map(Problem::text).collect::<Vec<_>>().join("\n")
}

/// How many are errors and how many are warnings.
pub fn count(problems: &[Problem]) -> (usize, usize) {
    let errors = problems.iter().filter(|p| p.severity == Severity::Error).count();
    (errors, problems.len() - errors)
}

/// What a code means, for `tillpost help CODE`.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    /// `TP-CFG-0NN`.
    pub code: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// In a few sentences.
    pub text: &'static str,
}

const fn code(code: &'static str, title: &'static str, text: &'static str) -> Code {
    Code { code, title, text }
}

/// The explanation of a code.
pub fn explain(wanted: &str) -> Option<&'static Code> {
    CODES.iter().find(|c| c.code.eq_ignore_ascii_case(wanted.trim()))
}

/// Every code there is. A number is never given a second meaning.
pub const CODES: &[Code] = &[
    code(
        "TP-CFG-001",
        "a config file cannot be read",
        "The file does not exist, may not be read by this user, is no text in UTF-8 or is larger than 1 MiB. Tillpost looks at --config, $TILLPOST_CONFIG, ./tillpost.toml and /etc/tillpost/tillpost.toml, in this order; a file that was named has to be there.",
    ),
    code(
        "TP-CFG-002",
        "the file is not valid TOML",
        "Usually a quote or bracket that was not closed, text without quotes, or a key or table that stands there twice.",
    ),
    code(
        "TP-CFG-003",
        "unknown key",
        "Every key is checked, so that a slip of the pen cannot silently change what the shop does. `tillpost config schema` lists all keys.",
    ),
    code("TP-CFG-004", "unknown table", "There is no section of this name in this release."),
    code(
        "TP-CFG-005",
        "wrong type of value",
        "For example text where a number is wanted. Text stands in double quotes; numbers, true and false do not.",
    ),
    code("TP-CFG-006", "number out of range", "The value lies outside of what the key allows."),
    code(
        "TP-CFG-007",
        "value without a known unit",
        "Lengths of time are written as \"30 s\", \"5 min\", \"72 h\", \"120 d\" or \"8 y\"; sizes as \"64 KiB\", \"10 MB\" or \"2 GiB\"; rates as \"10/s\", \"100/min\" or \"90/h\". Whole numbers only.",
    ),
    code("TP-CFG-008", "unknown word", "The key takes one of a few words, and this is none of them."),
    code("TP-CFG-009", "a needed key is missing", "The table cannot work without this key."),
    code(
        "TP-CFG-010",
        "unknown type",
        "`type` says which source or provider this is. `tillpost config schema` lists those of this release.",
    ),
    code(
        "TP-CFG-011",
        "value has the wrong form",
        "For example a URL without https://, an address without a port, or a country that is not two capital letters.",
    ),
    code(
        "TP-CFG-012",
        "secret not found",
        "The file, environment variable or credential that a secret refers to is missing, empty or may not be read by the user that runs Tillpost. A relative file begins at the folder of the config file.",
    ),
    code(
        "TP-CFG-013",
        "reference to a secret is not understood",
        "A secret is { file = \"PATH\" }, { env = \"NAME\" }, { credential = \"NAME\" } or literal text; exactly one of them.",
    ),
    code(
        "TP-CFG-014",
        "unknown time zone",
        "Names are those of the IANA database, such as America/New_York or Europe/Berlin. Abbreviations such as EST do not say when summer time is.",
    ),
    code(
        "TP-CFG-015",
        "there is no provider of this name",
        "A channel names its providers by the name of their table: [providers.main] is \"main\".",
    ),
    code("TP-CFG-016", "the provider cannot send on this channel", "An e-mail provider cannot send texts, and the other way round."),
    code(
        "TP-CFG-017",
        "key is too short",
        "Whoever has the key of a till can post sales. Keys have 16 characters or more; `tillpost init` makes good ones.",
    ),
    code(
        "TP-CFG-018",
        "key is used twice",
        "Each till has keys of its own, so that sales are counted where they were made and one till can be locked out alone.",
    ),
    code(
        "TP-CFG-019",
        "plain HTTP beyond this machine",
        "Anyone on the network could read receipts and keys. It is allowed where tls = \"off\" is written down in [http], for networks that are trusted.",
    ),
    code(
        "TP-CFG-020",
        "plain HTTP is switched on",
        "tls = \"off\" is written down: receipts and keys cross the network unencrypted. Keep the tills in a network of their own.",
    ),
    code(
        "TP-CFG-021",
        "unencrypted connection to a provider",
        "base_url begins with http:// and leads beyond this machine. Credentials and receipts would be readable on the way.",
    ),
    code(
        "TP-CFG-022",
        "secret stands in the config file",
        "It works, but whoever may read or copy the file has the secret. Put it into a file that only Tillpost may read and write { file = \"PATH\" }.",
    ),
    code(
        "TP-CFG-023",
        "environment variable or flag is not understood",
        "Variables are written TILLPOST__SECTION__KEY with two underscores between the levels, flags as section.key=value.",
    ),
    code("TP-CFG-024", "channel without providers", "Nothing can be sent on a channel that has no providers."),
    code("TP-CFG-025", "two settings contradict each other", "Both are allowed by themselves, but together one of them has no effect."),
    code(
        "TP-CFG-026",
        "key looks mistyped",
        "It begins as keys do that Tillpost made, but its check sum is wrong: a character was lost or changed while it was copied.",
    ),
    code("TP-CFG-027", "the shop is not described", "Without a name and a time zone receipts show neither, and quiet hours follow UTC."),
    code(
        "TP-CFG-028",
        "source cannot work as it stands",
        "Each key is right by itself, but its type needs something more, or its mapping file is missing or wrong.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tree::Layer;

    #[test]
    fn the_form_is_that_of_the_handbook() {
        let place = Place { layer: Layer::File, source: "/etc/tillpost/tillpost.toml".into(), line: 31, column: 12 };
        let p = Problem::error(
            "TP-CFG-012",
            &place,
            "providers.sendgrid.api_key",
            "provider \"sendgrid\": api key file not found",
            "create it",
        )
        .why("/etc/tillpost/key does not exist");
        assert_eq!(
            p.text(),
            "error[TP-CFG-012]: provider \"sendgrid\": api key file not found\n  at /etc/tillpost/tillpost.toml:31:12\n  why: /etc/tillpost/key does not exist\n  fix: create it\n"
        );
        assert_eq!(p.json()["line"], 31);
    }

    #[test]
    fn codes_are_in_order_and_explained() {
        for (n, c) in CODES.iter().enumerate() {
            assert_eq!(c.code, format!("TP-CFG-{:03}", n + 1));
            assert!(!c.title.is_empty() && c.text.ends_with('.'), "{}", c.code);
        }
        assert_eq!(explain("tp-cfg-003").unwrap().title, "unknown key");
        assert!(explain("TP-CFG-999").is_none());
    }

    #[test]
    fn the_most_important_stands_last() {
        let at = |line| Place { layer: Layer::File, source: "t".into(), line, column: 1 };
        let mut all = vec![
            Problem::error("TP-CFG-002", &at(1), "", "syntax", ""),
            Problem::error("TP-CFG-003", &at(9), "", "late", ""),
            Problem::error("TP-CFG-022", &at(5), "", "warn", "").warning(),
            Problem::error("TP-CFG-005", &at(2), "", "early", ""),
        ];
        sort(&mut all);
        assert_eq!(all.iter().map(|p| p.message.as_str()).collect::<Vec<_>>(), ["warn", "early", "late", "syntax"]);
        assert_eq!(count(&all), (3, 1));
    }
}
