//! The words of receipts in the customer's language.
//!
//! A language is a TOML file of texts with `{names}` to fill; it is read once. A key is looked up in
//! the customer's language, then in the shop's, then in English. Pure: the files are handed in.

use minijinja::value::{Kwargs, Object, ObjectRepr, Value, from_args};
use minijinja::{Error, ErrorKind, State};
use std::collections::HashMap;
use std::sync::Arc;

/// One language.
#[derive(Debug)]
pub struct Language {
    /// Its tag, e.g. `de` or `fr-CA`.
    pub tag: String,
    texts: HashMap<String, Text>,
}

#[derive(Debug)]
enum Text {
    /// Nothing to fill.
    Plain(Value),
    Filled(Vec<Part>),
    /// By the form that `n` takes.
    Plural(Vec<(String, Vec<Part>)>),
}

#[derive(Debug)]
enum Part {
    Said(String),
    Name(String),
}

const FORMS: &[&str] = &["zero", "one", "two", "few", "many", "other"];

impl Language {
    /// Reads a language file; what is wrong is said in one sentence.
    pub fn parse(tag: &str, toml: &str) -> Result<Language, String> {
        let table: toml::Table = toml.parse().map_err(|e: toml::de::Error| e.message().to_owned())?;
        let mut texts = HashMap::new();
        flatten("", &table, &mut texts)?;
        Ok(Language { tag: tag.to_owned(), texts })
    }

    /// Takes over the texts of another file for the same language.
    pub fn extend(&mut self, other: Language) {
        self.texts.extend(other.texts);
    }

    /// The keys that it has a text for.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.texts.keys().map(String::as_str)
    }
}

fn flatten(prefix: &str, table: &toml::Table, texts: &mut HashMap<String, Text>) -> Result<(), String> {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::String(said) => {
                let parts = parts(&key, said)?;
                let plain = parts.iter().all(|p| matches!(p, Part::Said(_)));
                texts.insert(key, if plain { Text::Plain(Value::from(said.as_str())) } else { Text::Filled(parts) });
            }
            toml::Value::Table(inner) if inner.contains_key("other") && inner.keys().all(|k| FORMS.contains(&k.as_str())) => {
                let mut forms = Vec::new();
                for (form, said) in inner {
                    let said = said.as_str().ok_or_else(|| format!("`{key}.{form}` must be text"))?;
                    forms.push((form.clone(), parts(&key, said)?));
                }
                texts.insert(key, Text::Plural(forms));
            }
            toml::Value::Table(inner) => flatten(&key, inner, texts)?,
            _ => return Err(format!("`{key}` must be text")),
        }
    }
    Ok(())
}

fn parts(key: &str, said: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = said;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').ok_or_else(|| format!("`{key}` has a `{{` without its `}}`"))?;
        if !before.is_empty() {
            parts.push(Part::Said(before.to_owned()));
        }
        parts.push(Part::Name(name.trim().to_owned()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Said(rest.to_owned()));
    }
    Ok(parts)
}

/// The plural form of whole numbers (Unicode's rules for the languages that shops asked for).
fn plural(language: &str, n: i64) -> &'static str {
    let n = n.unsigned_abs();
    let (ten, hundred) = (n % 10, n % 100);
    match language {
        "ja" | "zh" | "ko" | "vi" | "th" | "id" => "other",
        "fr" | "pt" if n < 2 => "one",
        "cs" | "sk" if (2..=4).contains(&n) => "few",
        "pl" if (2..=4).contains(&ten) && !(12..=14).contains(&hundred) => "few",
        "pl" if n != 1 => "many",
        "ru" | "uk" if ten == 1 && hundred != 11 => "one",
        "ru" | "uk" if (2..=4).contains(&ten) && !(12..=14).contains(&hundred) => "few",
        "ru" | "uk" => "many",
        "ar" if n == 0 => "zero",
        "ar" if n == 2 => "two",
        "ar" if (3..=10).contains(&hundred) => "few",
        "ar" if hundred >= 11 => "many",
        _ if n == 1 => "one",
        _ => "other",
    }
}

/// Speaks for one receipt: the languages in the order in which they are asked.
#[derive(Clone, Debug)]
pub struct Speaker {
    chain: [Option<Arc<Language>>; 3],
}

impl Speaker {
    /// Asks the customer's language first, then the shop's, then English.
    pub fn new(chain: [Option<Arc<Language>>; 3]) -> Self {
        Speaker { chain }
    }

    /// The tag of the language that is asked first.
    pub fn tag(&self) -> &str {
        self.chain.iter().flatten().next().map_or("en", |l| l.tag.as_str())
    }

    fn find(&self, key: &str) -> Option<(&Language, &Text)> {
        self.chain.iter().flatten().find_map(|l| l.texts.get(key).map(|t| (l.as_ref(), t)))
    }

    /// Whether any language has the key.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The text of a key, filled; the key itself where no language has it.
    pub fn say(&self, key: &str, fill: &[(&str, &str)]) -> String {
        self.said(key, None, fill)
    }

    /// The same in the form that `n` takes, with `{n}` filled too.
    pub fn say_counted(&self, key: &str, n: i64, fill: &[(&str, &str)]) -> String {
        self.said(key, Some(n), fill)
    }

    fn said(&self, key: &str, n: Option<i64>, fill: &[(&str, &str)]) -> String {
        let filled = self.fill(key, n, &mut |name, out| match (fill.iter().find(|(given, _)| *given == name), n) {
            (Some((_, value)), _) => {
                out.push_str(value);
                true
            }
            (None, Some(n)) if name == "n" => {
                out.push_str(&n.to_string());
                true
            }
            _ => false,
        });
        filled.ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_else(|| key.to_owned())
    }

    fn fill(&self, key: &str, n: Option<i64>, value: &mut dyn FnMut(&str, &mut String) -> bool) -> Result<Value, Error> {
        let Some((language, text)) = self.find(key) else {
            return Err(Error::new(ErrorKind::UndefinedError, format!("no language has a text for `{key}`")));
        };
        let parts = match text {
            Text::Plain(said) => return Ok(said.clone()),
            Text::Filled(parts) => parts,
            Text::Plural(forms) => {
                let wanted = plural(crate::compose::locale::language_of(&language.tag), n.unwrap_or(0));
                let of = |form: &str| forms.iter().find(|(f, _)| f == form).map(|(_, parts)| parts);
                match of(wanted).or_else(|| of("other")) {
                    Some(parts) => parts,
                    None => return Ok(Value::from("")),
                }
            }
        };
        let mut out = String::new();
        for part in parts {
            match part {
                Part::Said(said) => out.push_str(said),
                Part::Name(name) if value(name, &mut out) => {}
                Part::Name(name) => {
                    return Err(Error::new(ErrorKind::MissingArgument, format!("the text `{key}` needs `{name}`")));
                }
            }
        }
        Ok(Value::from(out))
    }
}

/// In templates: `t("key", n=3, store=name)`.
impl Object for Speaker {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _state: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (key, given): (&str, Kwargs) = from_args(args)?;
        let n = given.peek::<Option<i64>>("n").unwrap_or(None);
        self.fill(key, n, &mut |name, out| match given.peek::<&Value>(name) {
            Ok(value) => {
                use std::fmt::Write;
                write!(out, "{value}").is_ok()
            }
            Err(_) => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(own: &str, shop: &str, en: &str) -> Speaker {
        let language = |tag: &str, text: &str| Some(Arc::new(Language::parse(tag, text).unwrap()));
        Speaker::new([language("pl", own), language("de", shop), language("en", en)])
    }

    #[test]
    fn a_missing_text_falls_back() {
        let s = speaker("a = \"A\"", "a = \"x\"\nb = \"B {who}\"", "a = \"x\"\nb = \"x\"\nc = \"C\"");
        assert_eq!(s.say("a", &[]), "A");
        assert_eq!(s.say("b", &[("who", "Kim")]), "B Kim");
        assert_eq!(s.say("c", &[]), "C");
        assert_eq!(s.say("d", &[]), "d");
        assert_eq!(s.say("b", &[]), "b", "a name that was not filled");
    }

    #[test]
    fn faulty_languages_are_refused_in_words() {
        assert!(Language::parse("de", "a = 1").unwrap_err().contains("`a`"));
        assert!(Language::parse("de", "a = \"{x\"").unwrap_err().contains("`a`"));
        assert!(Language::parse("de", "a = ").is_err());
    }

    #[test]
    fn plural_forms() {
        for (language, n, form) in [
            ("en", 1, "one"),
            ("en", 0, "other"),
            ("de", 2, "other"),
            ("fr", 0, "one"),
            ("ja", 1, "other"),
            ("pl", 22, "few"),
            ("pl", 12, "many"),
            ("ru", 21, "one"),
            ("ru", 11, "many"),
            ("cs", 3, "few"),
            ("ar", 2, "two"),
        ] {
            assert_eq!(plural(language, n), form, "{language} {n}");
        }
    }
}
