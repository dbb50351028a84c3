//! What holds and where each value comes from. Secrets are `***` with the place of the secret; a value
//! whose key is not known could be a secret that was misspelt, so it is `***` too.

use crate::config::forms::{url, without_user};
use crate::config::key::{Key, Kinds, Shape};
use crate::config::keys::{ROOT, known};
use crate::config::secrets::{Reference, reference};
use crate::config::tree::{Node, Place, Table, Value};
use serde_json::{Value as Json, json};
use std::fmt::Write;

/// One value.
#[derive(Clone, Debug)]
pub struct Row {
    /// Names from the section down.
    pub path: Vec<String>,
    /// The value; `***` for a secret.
    pub value: Json,
    /// For a secret where it lies, for an unknown key that it is one.
    pub note: Option<String>,
    /// Where it is written.
    pub place: Place,
}

/// All values, tables within tables after plain ones.
pub fn rows(tree: &Table, kinds: &Kinds) -> Vec<Row> {
    let mut rows = Vec::new();
    table(tree, ROOT, &mut Vec::new(), kinds, &mut rows);
    rows
}

fn table(here: &Table, keys: &[Key], path: &mut Vec<String>, kinds: &Kinds, rows: &mut Vec<Row>) {
    let known = known(path, keys, Some(here), kinds);
    let is_table = |name: &str, node: &Node| node.table().is_some() && known.key(name).is_none_or(|k| inner(&k.shape).is_some());
    for tables in [false, true] {
        for (name, node) in here.iter().filter(|(name, node)| is_table(name, node) == tables) {
            path.push(name.clone());
            node_rows(node, known.key(name).map(|k| k.shape), path, kinds, rows);
            path.pop();
        }
    }
}

/// The shape of a table, also as one of several.
fn inner(shape: &Shape) -> Option<Shape> {
    match shape {
        Shape::Table(_) | Shape::Map(_) => Some(*shape),
        Shape::Either(all) => all.iter().find_map(inner),
        _ => None,
    }
}

fn node_rows(node: &Node, shape: Option<Shape>, path: &mut Vec<String>, kinds: &Kinds, rows: &mut Vec<Row>) {
    match (shape.as_ref().and_then(inner), node.table()) {
        (Some(Shape::Table(keys)), Some(here)) => table(here, keys, path, kinds, rows),
        (Some(Shape::Map(each)), Some(here)) => {
            for (name, node) in here {
                path.push(name.clone());
                node_rows(node, Some(*each), path, kinds, rows);
                path.pop();
            }
        }
        _ => {
            let (value, note) = masked(node, shape);
            rows.push(Row { path: path.clone(), value, note, place: node.place.clone() });
        }
    }
}

fn masked(node: &Node, shape: Option<Shape>) -> (Json, Option<String>) {
    match shape {
        None => (json!("***"), Some("unknown key".to_owned())),
        Some(shape) if holds_secret(&shape) => {
            let from: Vec<String> = node.entries().iter().map(origin_of_secret).collect();
            let stars = if matches!(node.value, Value::List(_)) { json!(vec!["***"; from.len()]) } else { json!("***") };
            (stars, Some(from.join(", ")))
        }
        Some(Shape::Url) if node.text().is_some_and(|t| url(t).is_none()) => (json!("***"), Some("no URL".to_owned())),
        Some(_) => (open(node), None),
    }
}

fn holds_secret(shape: &Shape) -> bool {
    match shape {
        Shape::Secret => true,
        Shape::List(each) | Shape::Map(each) => holds_secret(each),
        Shape::Either(all) => all.iter().any(holds_secret),
        Shape::Table(keys) => keys.iter().any(|k| holds_secret(&k.shape)),
        _ => false,
    }
}

fn origin_of_secret(node: &Node) -> String {
    match reference(node) {
        Reference::Literal(_) => "literal".to_owned(),
        Reference::By("file", path) => format!("file {}", node.place.resolve(path).display()),
        Reference::By(word, name) => format!("{word} {name}"),
        Reference::Odd => "not understood".to_owned(),
    }
}

/// A value of a known key that is no secret. A table where none belongs is not taken apart.
fn open(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) | Value::Date(text) => json!(without_user(text)),
        Value::Int(n) => json!(n),
        Value::Float(n) => json!(n),
        Value::Bool(yes) => json!(yes),
        Value::Null => Json::Null,
        Value::List(all) => all.iter().map(open).collect(),
        Value::Table(_) => json!("***"),
    }
}

/// As TOML for people; with `origin` each line says where its value comes from.
pub fn text(rows: &[Row], origin: bool) -> String {
    let mut out = String::new();
    let mut heading: Option<&[String]> = None;
    for row in rows {
        let Some((name, parents)) = row.path.split_last() else { continue };
        if heading != Some(parents) && !parents.is_empty() {
            let names: Vec<String> = parents.iter().map(|n| bare(n)).collect();
            let _ = writeln!(out, "{}[{}]", if out.is_empty() { "" } else { "\n" }, names.join("."));
        }
        heading = Some(parents);
        let mut line = format!("{} = {}", bare(name), toml(&row.value));
        let from = origin.then(|| match row.place.layer {
            crate::config::tree::Layer::Default => "default".to_owned(),
            layer => format!("{} {}", layer.word(), row.place),
        });
        let notes: Vec<&str> = row.note.iter().chain(&from).map(String::as_str).collect();
        if !notes.is_empty() {
            let _ = write!(line, "{}  # {}", " ".repeat(40usize.saturating_sub(line.chars().count())), notes.join("; "));
        }
        let _ = writeln!(out, "{line}");
    }
    out
}

/// For programs: one object for each value.
pub fn json(rows: &[Row]) -> Json {
    let row = |row: &Row| {
        let lines = row.place.line > 0;
        json!({
            "key": row.path.iter().map(|n| bare(n)).collect::<Vec<_>>().join("."),
            "value": row.value,
            "note": row.note,
            "layer": row.place.layer.word(),
            "source": &*row.place.source,
            "line": lines.then_some(row.place.line),
            "column": lines.then_some(row.place.column),
        })
    };
    rows.iter().map(row).collect()
}

/// A name as TOML writes it.
pub fn bare(name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if plain { name.to_owned() } else { quoted(name) }
}

/// A text as TOML writes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out + "\""
}

fn toml(value: &Json) -> String {
    match value {
        Json::String(text) => quoted(text),
        Json::Array(all) => format!("[{}]", all.iter().map(toml).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
