//! The first layer: `config/tillpost.toml` as compiled in, and the defaults of tables that only exist
//! once they are named (tills, sources, providers, channels). Decides nothing.

use crate::config::key::{Key, Kinds, Shape};
use crate::config::keys::{ROOT, known};
use crate::config::raw::{from_toml, one_value};
use crate::config::tree::{Layer, Node, Place, Table, Value};

/// The documented default file; its active lines are the defaults.
pub const DOCUMENT: &str = include_str!("../../config/tillpost.toml");

/// The defaults of all fixed sections.
pub fn tree() -> Table {
    let (tree, _) = from_toml(DOCUMENT, Layer::Default, "built in");
    built_in(tree)
}

/// Lines of a file that nobody has on disk would only mislead.
fn built_in(tree: Table) -> Table {
    let plain = |node: Node| match node.value {
        Value::Table(table) => Value::Table(built_in(table)),
        Value::List(all) => Value::List(all.into_iter().map(|n| Node::at(&Place::built_in(), n.value)).collect()),
        other => other,
    };
    tree.into_iter().map(|(name, node)| (name, Node::at(&Place::built_in(), plain(node)))).collect()
}

/// Adds what holds where nothing is written, in every table that is there.
pub fn fill(tree: &mut Table, kinds: &Kinds) {
    table(tree, ROOT, &mut Vec::new(), kinds);
}

fn table(here: &mut Table, keys: &[Key], path: &mut Vec<String>, kinds: &Kinds) {
    for key in known(path, keys, Some(here), kinds).keys {
        if let Some(node) = here.get_mut(key.name) {
            path.push(key.name.to_owned());
            value(node, &key.shape, path, kinds);
            path.pop();
        } else if let Some(node) = key.default.and_then(|text| one_value(text, &Place::built_in())) {
            here.insert(key.name.to_owned(), node);
        }
    }
}

fn value(node: &mut Node, shape: &Shape, path: &mut Vec<String>, kinds: &Kinds) {
    let Value::Table(here) = &mut node.value else { return };
    match shape {
        Shape::Table(keys) => table(here, keys, path, kinds),
        Shape::Map(each) => {
            for (name, node) in here.iter_mut() {
                path.push(name.clone());
                value(node, each, path, kinds);
                path.pop();
            }
        }
        Shape::Either(all) => {
            if let Some(shape) = all.iter().find(|s| matches!(s, Shape::Table(_) | Shape::Map(_))) {
                value(node, shape, path, kinds);
            }
        }
        _ => {}
    }
}
