//! The check of every value against the key table: types, units, words, forms, secrets. Finds all
//! problems and gives what is right. Values of secrets and of unknown keys never get into a message.

use crate::config::checked::{Setting, Settings};
use crate::config::forms;
use crate::config::key::{Key, Kinds, Shape};
use crate::config::keys::{Known, PROVIDER_TYPES, ROOT, SOURCE_TYPES, known};
use crate::config::problem::Problem;
use crate::config::secrets::{Fetch, Reference, reference};
use crate::config::tree::{Layer, Node, Place, Table, Value};
use crate::config::units;
use crate::domain::text::one_line;
use jiff::tz::TimeZoneDatabase;

/// One check of one tree.
pub struct Walk<'a> {
    /// Types of sources and providers.
    pub kinds: &'a Kinds,
    /// Every type of the contract is taken, and no key is demanded but `type`.
    pub lenient: bool,
    /// Keys that are missing are named; not where a file could be read in part only.
    pub demand: bool,
    /// Where secrets come from.
    pub fetch: Fetch<'a>,
    /// What was found.
    pub problems: Vec<Problem>,
    path: Vec<String>,
}

impl<'a> Walk<'a> {
    /// A strict check.
    pub fn new(kinds: &'a Kinds, fetch: Fetch<'a>) -> Self {
        Walk { kinds, lenient: false, demand: true, fetch, problems: Vec::new(), path: Vec::new() }
    }

    /// Checks a whole tree.
    pub fn root(&mut self, tree: &Table) -> Settings {
        self.table(tree, ROOT, &Place::built_in())
    }

    fn table(&mut self, table: &Table, keys: &[Key], place: &Place) -> Settings {
        let known = known(&self.path, keys, Some(table), self.kinds);
        if known.open {
            self.check_type(table);
        }
        let mut settings = Settings::default();
        for (name, node) in table {
            let value = match known.key(name) {
                Some(key) => self.below(name, |walk| walk.value(node, &key.shape)),
                None if known.open => Some(loose(node)),
                None => {
                    self.unknown(name, node, &known);
                    None
                }
            };
            settings.0.extend(value.map(|v| (name.clone(), v)));
        }
        for key in known.keys.iter().filter(|k| k.required && !table.contains_key(k.name)) {
            self.absent(key, place);
        }
        settings
    }

    fn below<T>(&mut self, name: &str, work: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(name.to_owned());
        let done = work(self);
        self.path.pop();
        done
    }

    fn absent(&mut self, key: &Key, place: &Place) {
        if self.demand && (!self.lenient || key.name == "type") {
            let path = format!("{}.{}", self.path.join("."), key.name);
            let message = format!("{}: {} is missing", subject(&self.path), key.name);
            let fix = format!("add {} = … ({})", key.name, what(&key.shape));
            self.problems.push(Problem::error("TP-CFG-009", place, path, message, fix).why(key.doc));
        }
    }

    fn unknown(&mut self, name: &str, node: &Node, known: &Known) {
        let names: Vec<&str> = known.keys.iter().map(|k| k.name).collect();
        let fix = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean {near}? Else remove it"),
            None => format!("remove it; known here: {}", names.join(", ")),
        };
        let shown = one_line(name, 60);
        let (code, message) = if self.path.is_empty() && node.table().is_some() {
            ("TP-CFG-004", format!("unknown table [{shown}]"))
        } else {
            ("TP-CFG-003", format!("{}: unknown key {shown}", subject(&self.path)))
        };
        let path = self.path.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(".");
        self.problems.push(Problem::error(code, &node.key_place, path, message, fix));
    }

    /// The type of a source or provider that is none of ours, or missing (which is said elsewhere).
    fn check_type(&mut self, table: &Table) {
        let Some((node, word)) = table.get("type").and_then(|n| Some((n, n.text()?))) else { return };
        let (all, contract) = match self.path.first().map(String::as_str) {
            Some("sources") => (&self.kinds.sources, SOURCE_TYPES),
            _ => (&self.kinds.providers, PROVIDER_TYPES),
        };
        if self.lenient && contract.contains(&word) {
            return;
        }
        let names: Vec<&str> = all.iter().map(|k| k.name).collect();
        let near = nearest(word, names.iter().copied()).map(|near| format!("did you mean \"{near}\"? ")).unwrap_or_default();
        let message = format!("{}: unknown type \"{}\"", subject(&self.path), one_line(word, 40));
        let fix = format!("{near}Types: {}", names.join(", "));
        let path = format!("{}.type", self.path.join("."));
        self.problems.push(Problem::error("TP-CFG-010", &node.place, path, message, fix));
    }

    fn value(&mut self, node: &Node, shape: &Shape) -> Option<Setting> {
        match (shape, &node.value) {
            (Shape::Secret, _) => self.secret(node),
            (Shape::Either(all), _) => self.either(node, all),
            (Shape::Bool, Value::Bool(yes)) => Some(Setting::Bool(*yes)),
            (Shape::Int(least, most), Value::Int(n)) => self.number(node, *n, *least, *most),
            (Shape::List(each), Value::List(all)) => {
                let read: Vec<_> = all.iter().map(|entry| self.value(entry, each)).collect();
                read.into_iter().collect::<Option<Vec<_>>>().map(Setting::List)
            }
            (Shape::Table(keys), Value::Table(table)) => Some(Setting::Table(self.table(table, keys, &node.place))),
            (Shape::Map(each), Value::Table(table)) => {
                let mut settings = Settings::default();
                for (name, entry) in table {
                    let value = self.below(name, |walk| walk.value(entry, each));
                    settings.0.extend(value.map(|v| (name.clone(), v)));
                }
                Some(Setting::Table(settings))
            }
            (Shape::Bool | Shape::Int(..) | Shape::List(_) | Shape::Table(_) | Shape::Map(_), other) => self.wrong_type(node, shape, other),
            (_, Value::Text(text)) => self.text(node, text, shape),
            (_, other) => self.wrong_type(node, shape, other),
        }
    }

    fn wrong_type(&mut self, node: &Node, shape: &Shape, value: &Value) -> Option<Setting> {
        let wanted = what(shape);
        self.report("TP-CFG-005", node, format!("must be {wanted}, not {}", value.what()), format!("write {}", example(shape)));
        None
    }

    fn number(&mut self, node: &Node, n: i64, least: i64, most: i64) -> Option<Setting> {
        if (least..=most).contains(&n) {
            return Some(Setting::Int(n));
        }
        self.report("TP-CFG-006", node, format!("is {n}"), format!("write a whole number from {least} to {most}"));
        None
    }

    /// All shapes that are text in the file.
    fn text(&mut self, node: &Node, text: &str, shape: &Shape) -> Option<Setting> {
        let kept = || Some(Setting::Text(text.to_owned()));
        let read = match shape {
            Shape::Duration => units::parse_duration(text).map(Setting::Duration),
            Shape::Size => units::parse_size(text).and_then(|n| i64::try_from(n).ok()).map(Setting::Int),
            Shape::Rate => units::parse_rate(text).and_then(|_| kept()),
            Shape::Word(words) => words.contains(&text).then(kept).flatten(),
            Shape::Path => Some(Setting::Text(node.place.resolve(text).to_string_lossy().into_owned())).filter(|_| !text.is_empty()),
            Shape::Socket => forms::is_socket(text).then(kept).flatten(),
            Shape::Url => forms::url(text).filter(|u| !u.has_user).and_then(|_| kept()),
            Shape::TimeZone => TimeZoneDatabase::bundled().get(text).ok().and_then(|_| kept()),
            Shape::Mailbox => forms::is_mailbox(text).then(kept).flatten(),
            Shape::Form(form) => (form.good)(text).then(kept).flatten(),
            _ => kept(),
        };
        if read.is_none() {
            self.wrong_text(node, text, shape);
        }
        read
    }

    fn wrong_text(&mut self, node: &Node, text: &str, shape: &Shape) {
        let given = one_line(text, 60);
        let message = format!("\"{given}\" is not {}", what(shape));
        let fix = format!("write {}", example(shape));
        match shape {
            Shape::Duration | Shape::Size | Shape::Rate => self.report("TP-CFG-007", node, message, fix),
            Shape::Word(words) => {
                let near = nearest(text, words.iter().copied()).map_or(fix, |near| format!("did you mean \"{near}\"?"));
                self.report("TP-CFG-008", node, message, near);
            }
            Shape::TimeZone => {
                let database = TimeZoneDatabase::bundled();
                let all: Vec<String> = database.available().map(|name| name.to_string()).collect();
                let near = nearest(text, all.iter().map(String::as_str)).map_or(fix, |near| format!("did you mean \"{near}\"?"));
                self.report("TP-CFG-014", node, message, near);
            }
            Shape::Url if forms::url(text).is_some() => {
                self.report("TP-CFG-011", node, "holds a user name or password".into(), "use the keys for credentials instead".into());
            }
            // What is no URL at all may hold a password in an unexpected place.
            Shape::Url => self.report("TP-CFG-011", node, format!("is not {}", what(shape)), fix),
            _ => self.report("TP-CFG-011", node, message, fix),
        }
    }

    fn secret(&mut self, node: &Node) -> Option<Setting> {
        let name = self.path.last().map(|n| n.replace('_', " ")).unwrap_or_default();
        match self.fetch.secret(node) {
            Ok(secret) => {
                let in_file = matches!(node.place.layer, Layer::File | Layer::Folder);
                if in_file && matches!(reference(node), Reference::Literal(_)) {
                    let message = format!("{}: {name} stands in the config file", subject(self.parents()));
                    let fix = format!("put it into a file of its own and write {} = {{ file = \"PATH\" }}", name.replace(' ', "_"));
                    self.problems.push(Problem::error("TP-CFG-022", &node.place, self.path.join("."), message, fix).warning());
                }
                Some(Setting::Secret(secret))
            }
            Err(missing) => {
                let message = format!("{}: {name} {}", subject(self.parents()), missing.what);
                let problem = Problem::error(missing.code, &node.place, self.path.join("."), message, missing.fix).why(missing.why);
                self.problems.push(problem);
                None
            }
        }
    }

    /// The first shape that takes the value; else the problems of the one that comes closest.
    fn either(&mut self, node: &Node, all: &[Shape]) -> Option<Setting> {
        let before = self.problems.len();
        let mut closest = None;
        for shape in all.iter().filter(|s| near_enough(s, &node.value)) {
            let value = self.value(node, shape);
            if value.is_some() {
                return value;
            }
            let said = self.problems.split_off(before);
            closest = closest.or(Some(said));
        }
        match closest {
            Some(said) => self.problems.extend(said),
            None => {
                let wanted = all.iter().map(what).collect::<Vec<_>>().join(" or ");
                let fix = all.first().map(example).unwrap_or_default();
                self.report("TP-CFG-005", node, format!("must be {wanted}, not {}", node.value.what()), format!("write {fix}"));
            }
        }
        None
    }

    fn parents(&self) -> &[String] {
        self.path.split_last().map_or(&[], |(_, parents)| parents)
    }

    fn report(&mut self, code: &'static str, node: &Node, message: String, fix: String) {
        let name = self.path.last().cloned().unwrap_or_default();
        let message = format!("{}: {name} {message}", subject(self.parents()));
        self.problems.push(Problem::error(code, &node.place, self.path.join("."), message, fix));
    }
}

/// A table, list or text is taken apart only by shapes of that form.
fn near_enough(shape: &Shape, value: &Value) -> bool {
    match shape {
        Shape::Secret => matches!(value, Value::Text(_) | Value::Table(_)),
        Shape::Bool => matches!(value, Value::Bool(_)),
        Shape::Int(..) => matches!(value, Value::Int(_)),
        Shape::List(_) => matches!(value, Value::List(_)),
        Shape::Table(_) | Shape::Map(_) => matches!(value, Value::Table(_)),
        Shape::Either(all) => all.iter().any(|s| near_enough(s, value)),
        _ => matches!(value, Value::Text(_)),
    }
}

/// A value of a type that is not built: kept as it is, and never shown.
fn loose(node: &Node) -> Setting {
    match &node.value {
        Value::Text(text) | Value::Date(text) => Setting::Text(text.clone()),
        Value::Int(n) => Setting::Int(*n),
        Value::Float(n) => Setting::Text(n.to_string()),
        Value::Bool(yes) => Setting::Bool(*yes),
        Value::Null => Setting::Text(String::new()),
        Value::List(all) => Setting::List(all.iter().map(loose).collect()),
        Value::Table(table) => Setting::Table(Settings(table.iter().map(|(k, n)| (k.clone(), loose(n))).collect())),
    }
}

/// How people call the table at a path: `provider "main"`, `[http]`.
pub fn subject(path: &[String]) -> String {
    let named = |word: &str, name: &str| format!("{word} \"{}\"", one_line(name, 40));
    match path {
        [] => "config".to_owned(),
        [section, name, ..] => match section.as_str() {
            "tills" => named("till", name),
            "sources" => named("source", name),
            "providers" => named("provider", name),
            "channels" => named("channel", name),
            _ => format!("[{}]", one_line(&path.join("."), 60)),
        },
        [section] => format!("[{section}]"),
    }
}

/// The known name that comes nearest, if any comes near.
pub fn nearest<'n>(name: &str, all: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = all.map(|known| (strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()), known));
    let most = (name.chars().count() / 3).clamp(1, 3);
    near.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= most).map(|(_, known)| known)
}

/// What a value of the shape is, for messages.
pub fn what(shape: &Shape) -> String {
    let words = |all: &[&str]| all.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>();
    match shape {
        Shape::Text => "text".into(),
        Shape::Bool => "true or false".into(),
        Shape::Int(least, most) => format!("a whole number from {least} to {most}"),
        Shape::Duration => "a length of time with its unit".into(),
        Shape::Size => "a size with its unit".into(),
        Shape::Rate => "a rate: a number per s, min, h or d".into(),
        Shape::Word(all) if all.len() == 1 => words(all).concat(),
        Shape::Word(all) => format!("one of {}", words(all).join(", ")),
        Shape::Secret => "a secret".into(),
        Shape::Socket => "a host and a port".into(),
        Shape::Url => "a URL that begins with https:// or http://".into(),
        Shape::TimeZone => "a time zone (IANA name)".into(),
        Shape::Mailbox => "an e-mail address, alone or as Name <address>".into(),
        Shape::Provider => "the name of a provider".into(),
        Shape::Path => "a path".into(),
        Shape::Form(form) => form.what.into(),
        Shape::List(_) => "a list".into(),
        Shape::Table(_) | Shape::Map(_) => "a table".into(),
        Shape::Either(all) => all.iter().map(what).collect::<Vec<_>>().join(" or "),
    }
}

/// A value of the shape that is right, as TOML.
pub fn example(shape: &Shape) -> String {
    match shape {
        Shape::Text => "text in double quotes".into(),
        Shape::Bool => "true or false, without quotes".into(),
        Shape::Int(least, most) => format!("a whole number from {least} to {most}, without quotes"),
        Shape::Duration => "\"30 s\", \"5 min\", \"72 h\" or \"120 d\"".into(),
        Shape::Size => "\"512 MiB\" or \"10 MB\"".into(),
        Shape::Rate => "\"10/s\", \"100/min\" or \"90/h\"".into(),
        Shape::Word(_) => what(shape),
        Shape::Secret => "{ file = \"PATH\" } or { env = \"NAME\" }".into(),
        Shape::Socket => "\"printer.shop:9100\"".into(),
        Shape::Url => "\"https://receipts.example\"".into(),
        Shape::TimeZone => "\"America/New_York\"".into(),
        Shape::Mailbox => "\"Corner Mart <receipts@cmart.example>\"".into(),
        Shape::Provider => "the name of a table [providers.NAME]".into(),
        Shape::Path => "\"/etc/tillpost/templates\"".into(),
        Shape::Form(form) => format!("for example \"{}\"", form.example),
        Shape::List(each) => format!("a list in brackets, each {}", what(each)),
        Shape::Table(_) | Shape::Map(_) => "a table: { key = value, … }".into(),
        Shape::Either(all) => all.first().map(example).unwrap_or_default(),
    }
}
