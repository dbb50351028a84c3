//! The rules of the code, read from the code: who may know whom, where SQL stands, and what every file
//! must have.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room with the rooms that it may know. `domain` knows nobody; `sys` only the domain's time.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("sys", &["domain"]),
    ("printer", &["domain"]),
    ("config", &["domain", "sys"]),
    ("http", &["domain", "sys"]),
    ("store", &["domain", "sys"]),
    ("sources", &["domain", "printer", "http", "config", "sys"]),
    ("providers", &["domain", "http", "printer", "config", "sys"]),
    ("compose", &["domain", "printer", "config", "sys"]),
    ("pipeline", &["domain", "store", "sources", "compose", "config", "sys"]),
    ("dispatch", &["domain", "store", "providers", "sources", "compose", "http", "config", "sys"]),
    ("observe", &["domain", "store", "config", "sys"]),
    ("web", &["domain", "store", "sources", "providers", "pipeline", "compose", "observe", "config", "dispatch", "sys"]),
    (
        "simulate",
        &["app", "domain", "store", "sources", "providers", "pipeline", "compose", "dispatch", "observe", "http", "config", "sys"],
    ),
    (
        "app",
        &[
            "domain",
            "store",
            "sources",
            "providers",
            "pipeline",
            "compose",
            "dispatch",
            "observe",
            "http",
            "config",
            "sys",
            "web",
            "simulate",
            "printer",
        ],
    ),
    (
        "cli",
        &[
            "app",
            "domain",
            "store",
            "sources",
            "providers",
            "pipeline",
            "compose",
            "dispatch",
            "observe",
            "http",
            "config",
            "sys",
            "simulate",
            "printer",
        ],
    ),
];

/// The one exception: the demo gives its page the buttons.
const EXCEPTIONS: &[(&str, &str)] = &[("src/cli/demo/mod.rs", "web")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder of the project with this ending, by their path within it, and their text.
fn files(folder: &str, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "{folder}");
    found
}

/// Code without comments; without the tests at its end where `tests` says so.
fn code(text: &str, tests: bool) -> String {
    let text = if tests { text } else { text.split("#[cfg(test)]\nmod tests {").next().unwrap() };
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// Rooms of this crate that a piece of code names: `crate::X`, also as `crate::{X, Y}`.
fn rooms_named(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(list.split('}').next().unwrap().split(',').map(|item| word(item.trim()))),
            None => _ = rooms.insert(word(rest)),
        }
    }
    rooms.remove("");
    rooms
}

fn room_of(path: &str) -> &str {
    path.strip_prefix("src/").unwrap().split(['/', '.']).next().unwrap()
}

#[test]
fn rooms_know_only_whom_they_may() {
    let mut wrong = Vec::new();
    let (mut looked_at, mut used) = (0, BTreeSet::<&(&str, &str)>::new());
    for (path, text) in files("src", &[".rs"]) {
        let room = room_of(&path);
        if matches!(room, "lib" | "main") || path.ends_with("/tests.rs") {
            continue;
        }
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(name, _)| *name == room) else {
            wrong.push(format!("{path}: the room {room} is not in the table"));
            continue;
        };
        for other in rooms_named(&code(&text, false)) {
            looked_at += 1;
            let excepted = EXCEPTIONS.iter().find(|(file, to)| *file == path && *to == other);
            used.extend(excepted);
            if other != room && !allowed.contains(&other.as_str()) && excepted.is_none() {
                wrong.push(format!("{path} ({room}) knows {other}"));
            }
            if room == "sys" && code(&text, false).contains("crate::domain::") && !code(&text, false).contains("crate::domain::time") {
                wrong.push(format!("{path}: sys knows the domain's time only"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(looked_at > 100, "only {looked_at} were looked at");
    assert_eq!(used.len(), EXCEPTIONS.len(), "an exception that nobody needs any more");
}

#[test]
fn every_room_is_on_the_list() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rooms: BTreeSet<&str> = lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let table: BTreeSet<&str> = MAY_KNOW.iter().map(|(room, _)| *room).collect();
    assert_eq!(rooms, table);
}

#[test]
fn imports_are_read_in_each_form() {
    let code = "use crate::store::Tx;\nuse crate::{app, sys::clock};\nfn f(x: crate::web::Web) {}";
    assert_eq!(rooms_named(code).into_iter().collect::<Vec<_>>(), ["app", "store", "sys", "web"]);
}

#[test]
fn sql_stands_in_the_store_only() {
    let words =
        ["SELECT ", "INSERT INTO", "INSERT OR", "DELETE FROM", "CREATE TABLE", "PRAGMA ", "BEGIN IMMEDIATE", "ON CONFLICT", "rusqlite"];
    let wrong: Vec<String> = files("src", &[".rs"])
        .iter()
        .filter(|(path, _)| room_of(path) != "store")
        .flat_map(|(path, text)| words.iter().filter(|word| code(text, true).contains(**word)).map(move |word| format!("{path}: {word}")))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(files("src/store", &[".rs"]).iter().any(|(_, text)| text.contains(words[0])), "the words are those that are used");
}

#[test]
fn what_is_allowed_says_why() {
    for (path, text) in files("src", &[".rs"]).into_iter().chain(files("tests/it", &[".rs"])) {
        for (n, line) in text.lines().enumerate() {
            let allows = line.trim_start().starts_with("#[allow(") || line.trim_start().starts_with("#![allow(");
            assert!(!allows || line.contains(")] // "), "{path}:{}: say why: {line}", n + 1);
        }
    }
}

#[test]
fn each_file_says_what_it_is_and_is_no_longer_than_people_read() {
    for (path, text) in files("src", &[".rs"]).into_iter().chain(files("tests/it", &[".rs"])) {
        assert!(text.starts_with("//! "), "{path} begins with a sentence of what it is");
        let lines = text.lines().count();
        // The canonical sale is one form, and is read as one.
        let most = if path == "src/domain/sale.rs" { 900 } else { 700 };
        assert!(lines <= most, "{path} has {lines} lines");
    }
}

#[test]
fn no_text_knows_the_machine_it_was_written_on() {
    let mut all = files("src", &[".rs", ".md", ".sql", ".j2", ".toml", ".html", ".css", ".js"]);
    all.extend(files("tests", &[".rs", ".py", ".json", ".md"]));
    all.extend(files("config", &[".toml", ".json", ".j2", ".html"]));
    for (path, text) in all {
        // Written in pieces, so that this file is none of its own finds.
        for place in [["/wo", "rk/"], ["/ro", "ot/"], ["/Use", "rs/"], ["/tmp", "/wt"], ["/tmp", "/tg"], ["C:", "\\Us"]] {
            let place = place.concat();
            assert!(!text.contains(&place), "{path} names {place}");
        }
    }
}
