//! The JSON Schema (2020-12) of a config file, made from the key table: for editors and for checking
//! configs elsewhere. It says less than `config check`: not what refers to what.

use crate::config::key::{Key, Kinds, Shape, TypeKeys};
use crate::config::keys::{ROOT, known};
use crate::config::raw::one_value;
use crate::config::tree::{Node, Place, Table, Value};
use crate::config::walk::what;
use serde_json::{Map, Value as Json, json};

/// The schema of the whole file.
pub fn schema(kinds: &Kinds) -> Json {
    let mut root = table(ROOT, &mut Vec::new(), kinds);
    if let Some(object) = root.as_object_mut() {
        object.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".into(), json!("Tillpost configuration"));
        object.insert("$defs".into(), json!({ "secret": secret() }));
    }
    root
}

fn secret() -> Json {
    let by = |word: &str, doc: &str| {
        json!({
            "type": "object", "required": [word], "additionalProperties": false,
            "properties": { word: { "type": "string", "minLength": 1, "description": doc } },
        })
    };
    json!({
        "description": "A secret: a reference, or literal text.",
        "anyOf": [
            by("file", "Path of a file that holds it."),
            by("env", "Name of an environment variable."),
            by("credential", "Name of a credential of the service manager."),
            { "type": "string", "minLength": 1 },
        ],
    })
}

fn table(keys: &[Key], path: &mut Vec<String>, kinds: &Kinds) -> Json {
    let mut properties = Map::new();
    for key in keys {
        path.push(key.name.to_owned());
        let mut one = shape(&key.shape, path, kinds);
        path.pop();
        if let Some(object) = one.as_object_mut() {
            object.insert("description".into(), json!(key.doc));
            if let Some(node) = key.default.and_then(|text| one_value(text, &Place::built_in())) {
                object.insert("default".into(), plain(&node));
            }
        }
        properties.insert(key.name.to_owned(), one);
    }
    let required: Vec<&str> = keys.iter().filter(|k| k.required).map(|k| k.name).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

fn shape(of: &Shape, path: &mut Vec<String>, kinds: &Kinds) -> Json {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match of {
        Shape::Text | Shape::TimeZone | Shape::Provider => json!({ "type": "string" }),
        Shape::Path => json!({ "type": "string", "minLength": 1 }),
        Shape::Bool => json!({ "type": "boolean" }),
        Shape::Int(least, most) => json!({ "type": "integer", "minimum": least, "maximum": most }),
        Shape::Duration => text("^ *[0-9]+ *(ms|s|min|h|d|y) *$"),
        Shape::Size => text("^ *[0-9]+ *(B|[kK]B|KiB|[MGT]i?B) *$"),
        Shape::Rate => text("^ *[1-9][0-9]* */ *(s|min|h|d) *$"),
        Shape::Word(words) => json!({ "type": "string", "enum": words }),
        Shape::Secret => json!({ "$ref": "#/$defs/secret" }),
        Shape::Socket => text("^.+:[0-9]+$"),
        Shape::Url => text("^https?://"),
        Shape::Mailbox => text("@"),
        Shape::Form(form) => json!({ "type": "string", "title": what(of), "examples": [form.example] }),
        Shape::List(each) => json!({ "type": "array", "items": shape(each, path, kinds) }),
        Shape::Table(keys) => table(keys, path, kinds),
        Shape::Map(each) => json!({ "type": "object", "additionalProperties": entry(each, path, kinds) }),
        Shape::Either(all) => json!({ "anyOf": all.iter().map(|s| shape(s, path, kinds)).collect::<Vec<_>>() }),
    }
}

/// A table with a free name; those of sources and providers depend on their type.
fn entry(each: &Shape, path: &mut Vec<String>, kinds: &Kinds) -> Json {
    let all: &[TypeKeys] = match path.as_slice() {
        [section] if section == "sources" => &kinds.sources,
        [section] if section == "providers" => &kinds.providers,
        _ => &[],
    };
    match each {
        Shape::Table(keys) if !all.is_empty() => json!({ "oneOf": all.iter().map(|k| typed(k, keys, path, kinds)).collect::<Vec<_>>() }),
        other => shape(other, path, kinds),
    }
}

fn typed(kind: &TypeKeys, common: &[Key], path: &mut Vec<String>, kinds: &Kinds) -> Json {
    let place = Place::built_in();
    let word = Table::from([("type".to_owned(), Node::at(&place, Value::Text(kind.name.to_owned())))]);
    path.push("NAME".to_owned());
    let mut one = table(&known(path, common, Some(&word), kinds).keys, path, kinds);
    path.pop();
    if let Some(object) = one.as_object_mut() {
        object.insert("title".into(), json!(kind.name));
        object.insert("description".into(), json!(kind.doc));
    }
    if let Some(word) = one.pointer_mut("/properties/type").and_then(Json::as_object_mut) {
        word.insert("const".into(), json!(kind.name));
    }
    one
}

/// A default as JSON.
fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Text(text) | Value::Date(text) => json!(text),
        Value::Int(n) => json!(n),
        Value::Float(n) => json!(n),
        Value::Bool(yes) => json!(yes),
        Value::Null => Json::Null,
        Value::List(all) => all.iter().map(plain).collect(),
        Value::Table(table) => Json::Object(table.iter().map(|(k, n)| (k.clone(), plain(n))).collect()),
    }
}
