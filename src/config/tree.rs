//! Settings as written: values that know the layer, file, line and column they came from. Nothing
//! here knows what a key means. Values may be secrets: nothing in this file shows one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where a value can come from, in the order of the layers: a later one wins. The bundle of the head
/// office has its place between `Folder` and `Environment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// Compiled in.
    Default,
    /// The config file.
    File,
    /// A file of `conf.d` beside it.
    Folder,
    /// A variable `TILLPOST__SECTION__KEY`.
    Environment,
    /// The command line.
    Flag,
    /// Handed over as JSON, not read from a file.
    Given,
}

impl Layer {
    /// The word in `config show` and in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Layer::Default => "default",
            Layer::File => "file",
            Layer::Folder => "conf.d",
            Layer::Environment => "environment",
            Layer::Flag => "flag",
            Layer::Given => "given",
        }
    }
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which layer.
    pub layer: Layer,
    /// Path of the file, name of the variable, key of the flag.
    pub source: Arc<str>,
    /// From 1; 0 where there are no lines.
    pub line: u32,
    /// From 1, in characters; 0 where there are no lines.
    pub column: u32,
}

impl Place {
    /// A place without lines.
    pub fn whole(layer: Layer, source: &str) -> Place {
        Place { layer, source: source.into(), line: 0, column: 0 }
    }

    /// The compiled-in defaults.
    pub fn built_in() -> Place {
        Place::whole(Layer::Default, "built in")
    }

    /// The file, where there is one.
    pub fn file(&self) -> Option<PathBuf> {
        matches!(self.layer, Layer::File | Layer::Folder).then(|| PathBuf::from(&*self.source))
    }

    /// A path as written here: relative ones begin at the folder of the file that names them.
    pub fn resolve(&self, path: &str) -> PathBuf {
        match self.file().as_deref().and_then(std::path::Path::parent) {
            Some(folder) => folder.join(path),
            None => PathBuf::from(path),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 { f.write_str(&self.source) } else { write!(f, "{}:{}:{}", self.source, self.line, self.column) }
    }
}

/// A table as written.
pub type Table = BTreeMap<String, Node>;

/// A value and where it stands.
#[derive(Clone, PartialEq)]
pub struct Node {
    /// What was written.
    pub value: Value,
    /// Where the value stands.
    pub place: Place,
    /// Where its key stands.
    pub key_place: Place,
}

/// A value as written.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A date or time of TOML; no key takes one.
    Date(String),
    /// Nothing, as JSON can say.
    Null,
    /// A list.
    List(Vec<Node>),
    /// A table.
    Table(Table),
}

impl Node {
    /// A value all of which stands at one place.
    pub fn at(place: &Place, value: Value) -> Node {
        Node { value, place: place.clone(), key_place: place.clone() }
    }

    /// The table, if it is one.
    pub fn table(&self) -> Option<&Table> {
        if let Value::Table(table) = &self.value { Some(table) } else { None }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The entries of a list; any other value is a list of one.
    pub fn entries(&self) -> &[Node] {
        if let Value::List(all) = &self.value { all } else { std::slice::from_ref(self) }
    }
}

impl Value {
    /// What it is, for messages.
    pub const fn what(&self) -> &'static str {
        match self {
            Value::Text(_) => "text",
            Value::Int(_) => "a whole number",
            Value::Float(_) => "a number with a fraction",
            Value::Bool(_) => "true or false",
            Value::Date(_) => "a date",
            Value::Null => "nothing",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

/// The kind only: the value may be a secret.
impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.value.what(), self.place)
    }
}

/// The node at a path of names.
pub fn find<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Node> {
    let (last, parents) = path.split_last()?;
    let mut here = table;
    for name in parents {
        here = here.get(*name)?.table()?;
    }
    here.get(*last)
}

/// Lays `over` on top: tables join key by key, everything else is replaced whole.
pub fn merge(base: &mut Table, over: Table) {
    for (name, node) in over {
        match base.get_mut(&name) {
            Some(under) if under.table().is_some_and(joins) && node.table().is_some_and(joins) => {
                under.place = node.place;
                under.key_place = node.key_place;
                if let (Value::Table(under), Value::Table(over)) = (&mut under.value, node.value) {
                    merge(under, over);
                }
            }
            _ => {
                base.insert(name, node);
            }
        }
    }
}

/// The ways to refer to a secret.
pub const SECRET_WORDS: &[&str] = &["env", "file", "credential", "sealed"];

/// A reference to a secret is one value: it is replaced, never joined.
fn joins(table: &Table) -> bool {
    !(table.len() == 1 && table.keys().all(|k| SECRET_WORDS.contains(&k.as_str())))
}

/// A table holding one value below a path of names.
pub fn nested(path: &[String], node: Node) -> Table {
    let place = node.place.clone();
    let mut table = Table::new();
    let Some((last, parents)) = path.split_last() else { return table };
    table.insert(last.clone(), node);
    for name in parents.iter().rev() {
        table = Table::from([(name.clone(), Node::at(&place, Value::Table(table)))]);
    }
    table
}
