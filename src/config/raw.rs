//! Reading what was written: TOML text, environment variables, flags and JSON become one tree each,
//! with places. Does not know whether a value is right; opens no file.

use crate::config::key::{Key, Kinds, Shape};
use crate::config::keys::{ROOT, known};
use crate::config::problem::Problem;
use crate::config::tree::{Layer, Node, Place, Table, Value, find, merge, nested};
use crate::domain::text::one_line;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// Reads TOML. Everything that can be read is in the tree, also beside mistakes.
pub fn from_toml(text: &str, layer: Layer, source: &str) -> (Table, Vec<Problem>) {
    let lines = Lines::new(text, layer, source);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut problems: Vec<Problem> = errors.iter().map(|e| syntax(&lines.place(e.span().map_or(0, |s| s.start)), e.message())).collect();
    problems.dedup();
    (lines.table(document.get_ref()), problems)
}

fn syntax(place: &Place, message: &str) -> Problem {
    let message = format!("not valid TOML: {}", one_line(message, 120));
    Problem::error("TP-CFG-002", place, "", message, "correct the line; text stands in double quotes, each table and key only once")
}

/// Turns byte offsets into lines and columns.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    layer: Layer,
    source: Arc<str>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str, layer: Layer, source: &str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Lines { text, starts, layer, source: source.into() }
    }

    fn place(&self, at: usize) -> Place {
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..at).map_or(0, |before| before.chars().count());
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Place { layer: self.layer, source: self.source.clone(), line: small(line), column: small(column + 1) }
    }

    fn table(&self, table: &DeTable<'_>) -> Table {
        let entry = |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
            let mut node = self.node(value);
            node.key_place = self.place(key.span().start);
            (key.get_ref().to_string(), node)
        };
        table.iter().map(entry).collect()
    }

    fn node(&self, value: &toml::Spanned<DeValue<'_>>) -> Node {
        let place = self.place(value.span().start);
        let read = match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => Value::Int(n),
                Err(_) => Value::Float(f64::INFINITY),
            },
            DeValue::Float(n) => Value::Float(n.as_str().parse().unwrap_or(f64::NAN)),
            DeValue::Boolean(yes) => Value::Bool(*yes),
            DeValue::Datetime(date) => Value::Date(date.to_string()),
            DeValue::Array(all) => Value::List(all.iter().map(|entry| self.node(entry)).collect()),
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node::at(&place, read)
    }
}

/// Reads one TOML value, such as a default of the key table; `None` where it is none.
pub fn one_value(text: &str, place: &Place) -> Option<Node> {
    let (value, errors) = DeValue::parse_recoverable(text);
    let lines = Lines::new(text, place.layer, &place.source);
    errors.is_empty().then(|| replaced(lines.node(&value), place))
}

/// The same value with all of it at one place.
fn replaced(node: Node, place: &Place) -> Node {
    let value = match node.value {
        Value::List(all) => Value::List(all.into_iter().map(|n| replaced(n, place)).collect()),
        Value::Table(table) => Value::Table(table.into_iter().map(|(k, n)| (k, replaced(n, place))).collect()),
        other => other,
    };
    Node::at(place, value)
}

/// Reads JSON as it is handed over.
pub fn from_json(json: &serde_json::Value, place: &Place) -> Node {
    let value = match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(yes) => Value::Bool(*yes),
        serde_json::Value::Number(n) => n.as_i64().map_or_else(|| Value::Float(n.as_f64().unwrap_or(f64::NAN)), Value::Int),
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(all) => Value::List(all.iter().map(|j| from_json(j, place)).collect()),
        serde_json::Value::Object(all) => Value::Table(all.iter().map(|(k, j)| (k.clone(), from_json(j, place))).collect()),
    };
    Node::at(place, value)
}

/// Lays the variables `TILLPOST__…` over the tree. Those that say a type go first, as the others
/// depend on it.
pub fn lay_environment<'e>(tree: &mut Table, variables: impl Iterator<Item = (&'e String, &'e String)>, kinds: &Kinds) -> Vec<Problem> {
    let prefix =
        |name: &'e str| name.split_at_checked(10).filter(|(head, _)| head.eq_ignore_ascii_case("TILLPOST__")).map(|(_, rest)| rest);
    let mut ours: Vec<_> = variables.filter_map(|(name, value)| Some((name, prefix(name)?.to_lowercase(), value))).collect();
    ours.sort_by_key(|(_, path, _)| (!path.ends_with("__type"), path.clone()));
    let mut problems = Vec::new();
    for (name, path, value) in ours {
        let place = Place::whole(Layer::Environment, name);
        let levels: Vec<&str> = path.split("__").collect();
        if levels.iter().any(|level| level.is_empty()) {
            problems.push(misnamed(
                &place,
                "an environment variable",
                "write TILLPOST__SECTION__KEY, with two underscores between the levels",
            ));
        } else {
            lay(tree, &levels, value, &place, kinds);
        }
    }
    problems
}

/// Lays flags of the form `section.key=value` over the tree.
pub fn lay_flags(tree: &mut Table, flags: &[String], kinds: &Kinds) -> Vec<Problem> {
    let mut problems = Vec::new();
    for flag in flags {
        let (path, value) = flag.split_once('=').unwrap_or(("", ""));
        let levels: Vec<&str> = path.split('.').collect();
        let place = Place::whole(Layer::Flag, &format!("the flag for {path}"));
        if levels.iter().any(|level| level.is_empty()) {
            problems.push(misnamed(&Place::whole(Layer::Flag, "a flag"), "a flag", "write section.key=value"));
        } else {
            lay(tree, &levels, value, &place, kinds);
        }
    }
    problems
}

fn misnamed(place: &Place, what: &str, fix: &str) -> Problem {
    Problem::error("TP-CFG-023", place, "", format!("{what} names no key"), fix)
}

fn lay(tree: &mut Table, levels: &[&str], text: &str, place: &Place, kinds: &Kinds) {
    let (path, shape) = resolve(tree, levels, kinds);
    let value = shape
        .filter(|shape| !takes_text_only(shape))
        .and_then(|shape| one_value(text, place).filter(|node| fits(&shape, &node.value)))
        .unwrap_or_else(|| Node::at(place, Value::Text(text.to_owned())));
    merge(tree, nested(&path, value));
}

/// The real names behind names in any case, and the shape of what they lead to.
fn resolve(tree: &Table, levels: &[&str], kinds: &Kinds) -> (Vec<String>, Option<Shape>) {
    let mut path: Vec<String> = Vec::new();
    let mut shape = Some(Shape::Table(ROOT));
    for level in levels {
        let here: Vec<&str> = path.iter().map(String::as_str).collect();
        let table = if here.is_empty() { Some(tree) } else { find(tree, &here).and_then(Node::table) };
        let (name, next) = step(shape, &path, table, level, kinds);
        path.push(name);
        shape = next;
    }
    (path, shape)
}

fn step(shape: Option<Shape>, path: &[String], table: Option<&Table>, level: &str, kinds: &Kinds) -> (String, Option<Shape>) {
    let same = |name: &str| name.eq_ignore_ascii_case(level) || name.to_lowercase().replace('-', "_") == level;
    let written = || table.and_then(|t| t.keys().find(|name| same(name)).cloned()).unwrap_or_else(|| level.to_owned());
    match shape.map(table_of) {
        Some(TableOf::Keys(keys)) => match known(path, keys, table, kinds).keys.iter().find(|k| same(k.name)) {
            Some(key) => (key.name.to_owned(), Some(key.shape)),
            None => (written(), None),
        },
        Some(TableOf::Names(each)) => (written(), Some(*each)),
        _ => (level.to_owned(), None),
    }
}

enum TableOf {
    Keys(&'static [Key]),
    Names(&'static Shape),
    Nothing,
}

fn table_of(shape: Shape) -> TableOf {
    match shape {
        Shape::Table(keys) => TableOf::Keys(keys),
        Shape::Map(each) => TableOf::Names(each),
        Shape::Either(all) => all.iter().map(|s| table_of(*s)).find(|t| !matches!(t, TableOf::Nothing)).unwrap_or(TableOf::Nothing),
        _ => TableOf::Nothing,
    }
}

fn takes_text_only(shape: &Shape) -> bool {
    use Shape::{Bool, Either, Int, List, Map, Secret, Table};
    !matches!(shape, Bool | Int(..) | List(_) | Table(_) | Map(_) | Either(_) | Secret)
}

/// Whether a value has the outer form of the shape; a secret counts as one only as a reference, so
/// that a password of digits stays text.
fn fits(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Bool, Value::Bool(_)) | (Shape::Int(..), Value::Int(_)) | (Shape::List(_), Value::List(_)) => true,
        (Shape::Table(_) | Shape::Map(_) | Shape::Secret, Value::Table(_)) => true,
        (Shape::Either(all), value) => all.iter().any(|s| fits(s, value)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lines_and_characters() {
        let (tree, problems) = from_toml("# ä\n[shop]\nname = \"Ä\" # c\nü = { a = 1, b = [2,\n 3] }\n", Layer::File, "t.toml");
        assert!(problems.iter().all(|p| p.code == "TP-CFG-002") && problems.len() <= 1);
        let name = find(&tree, &["shop", "name"]).unwrap();
        assert_eq!((name.place.to_string(), name.key_place.to_string()), ("t.toml:3:8".into(), "t.toml:3:1".into()));
    }

    #[test]
    fn all_syntax_errors_at_once_and_the_rest_is_read() {
        let (tree, problems) =
            from_toml("[shop]\nname = Corner\nid = \"a\"\ntax_id = \"x\n[http]\nlisten = \"127.0.0.1:1\"\n", Layer::File, "t");
        assert_eq!(problems.iter().map(|p| p.place.line).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(find(&tree, &["http", "listen"]).unwrap().text(), Some("127.0.0.1:1"));
        assert_eq!(find(&tree, &["shop", "id"]).unwrap().text(), Some("a"));
    }

    #[test]
    fn a_reference_to_a_secret_is_replaced_and_tables_join() {
        let read = |text| from_toml(text, Layer::File, "t").0;
        let mut tree = read("a = { env = \"X\" }\nb = { x = 1, y = 2 }\nc = [1]");
        merge(&mut tree, read("a = { file = \"Y\" }\nb = { y = 3, z = 4 }\nc = [2]"));
        assert_eq!(find(&tree, &["a"]).unwrap().table().unwrap().keys().collect::<Vec<_>>(), ["file"]);
        assert_eq!(find(&tree, &["b"]).unwrap().table().unwrap().len(), 3);
        assert!(find(&tree, &["c"]).unwrap().entries()[0].value == Value::Int(2));
    }

    #[test]
    fn flags_without_a_key_are_named() {
        let mut tree = Table::new();
        let problems = lay_flags(&mut tree, &["agent.data_dir=/x=y".into(), "nonsense".into(), "=1".into()], &Kinds::default());
        assert_eq!(problems.len(), 2);
        assert_eq!(find(&tree, &["agent", "data_dir"]).unwrap().text(), Some("/x=y"));
    }
}
