//! The rules of a store's print, read from TOML: which lines are the total, the number, the date.
//!
//! A file is taken as a whole or refused as a whole, with the reason. Patterns run in linear time and have a
//! bound on their size.

use super::kind::Kind;
use super::values::Locale;
use regex_lite::{Regex, RegexBuilder};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// Bytes of a profile's file.
const FILE_MAX: usize = 64 * 1024;
/// Bytes of a compiled pattern.
const PATTERN_MAX: usize = 1024 * 1024;

/// The built-in ones, for common layouts: a guess, which a profile of the store's own always beats.
const BUILT_IN: &[&str] = &[
    include_str!("../../config/profiles/en.toml"),
    include_str!("../../config/profiles/de.toml"),
    include_str!("../../config/profiles/es.toml"),
    include_str!("../../config/profiles/fr.toml"),
    include_str!("../../config/profiles/it.toml"),
    include_str!("../../config/profiles/nl.toml"),
    include_str!("../../config/profiles/pt.toml"),
];

/// What a field's text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // their names say it
pub enum Type {
    #[default]
    Text,
    Int,
    Money,
    Date,
    Time,
    Datetime,
    Email,
    Phone,
    Last4,
    Digits,
}

/// Which hit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)] // their names say it
pub enum Pick {
    #[default]
    First,
    Last,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(rename = "match")]
    matches: Vec<String>,
    locale: String,
    currency: Option<String>,
    timezone: Option<String>,
    tax_included: Option<bool>,
    #[serde(default)]
    guess: bool,
    #[serde(default)]
    kind: Vec<WrittenKind>,
    #[serde(default)]
    field: Vec<WrittenField>,
    items: Option<WrittenItems>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKind {
    kind: String,
    re: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenField {
    name: String,
    re: Option<String>,
    #[serde(rename = "type", default)]
    kind: Type,
    #[serde(default)]
    format: Vec<String>,
    #[serde(default)]
    pick: Pick,
    #[serde(default)]
    many: bool,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    set: BTreeMap<String, String>,
    into: Option<String>,
    after: Option<String>,
    before: Option<String>,
    lines: Option<String>,
    style: Option<String>,
    from_symbol: Option<String>,
    #[serde(rename = "const")]
    constant: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenItems {
    from: Option<String>,
    to: Option<String>,
    line: String,
    extra: Option<String>,
}

/// The rules of one format.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// A line that fits one of these makes it the profile of the print.
    pub matches: Vec<Regex>,
    /// How values are written.
    pub locale: Locale,
    /// Of all amounts.
    pub currency: Option<String>,
    /// Of all times.
    pub timezone: Option<String>,
    /// Whether prices contain the tax.
    pub tax_included: Option<bool>,
    /// It guesses: its values are worth less, and lines that do not add up are left out.
    pub guess: bool,
    /// Patterns of kinds.
    pub kinds: Vec<(Kind, Regex)>,
    /// What is looked for.
    pub fields: Vec<Field>,
    /// Where the lines stand.
    pub items: Option<Items>,
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Field {
    /// The field that it gives.
    pub name: String,
    /// What it looks for.
    pub re: Option<Regex>,
    /// What the text is.
    pub kind: Type,
    /// Forms of day and time.
    pub format: Vec<String>,
    /// Which hit counts.
    pub pick: Pick,
    /// All hits count: a list.
    pub many: bool,
    /// Without it the receipt is not sent.
    pub required: bool,
    /// Constants beside the groups.
    pub set: BTreeMap<String, String>,
    /// The list whose last entry before the line takes it.
    pub into: Option<String>,
    /// Only lines after the first hit of this.
    pub after: Option<Regex>,
    /// Only lines before the first hit of this.
    pub before: Option<Regex>,
    /// Only these lines, from 1; below 0 counted from the end.
    pub lines: Option<RangeInclusive<i64>>,
    /// Only text that looks so.
    pub style: Option<Look>,
    /// The data of the first code of this kind.
    pub from_symbol: Option<String>,
    /// A fixed value.
    pub constant: Option<String>,
}

/// Where the lines of a receipt stand, and what they look like.
#[derive(Clone, Debug)]
pub struct Items {
    /// The line before the first; without it the lines may begin at the top.
    pub from: Option<Regex>,
    /// The line behind the last.
    pub to: Option<Regex>,
    /// An item.
    pub line: Regex,
    /// More about the item before.
    pub extra: Option<Regex>,
}

/// A condition on the style of text: `width>=2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// `width`, `height`, `bold`, `underline`, `invert`, `font`.
    pub what: String,
    /// The least and the most.
    pub range: RangeInclusive<u8>,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Profile, String> {
        if text.len() > FILE_MAX {
            return Err(format!("a profile has at most {FILE_MAX} bytes"));
        }
        let written: Written = toml::from_str(text).map_err(|e| e.to_string())?;
        if written.name.is_empty() || written.matches.is_empty() {
            return Err("`name` and `match` must not be empty".into());
        }
        Ok(Profile {
            matches: written.matches.iter().map(|re| compile(re)).collect::<Result<_, _>>()?,
            locale: Locale::new(&written.locale),
            currency: written.currency,
            timezone: written.timezone,
            tax_included: written.tax_included,
            guess: written.guess,
            kinds: written.kind.iter().map(kind).collect::<Result<_, _>>()?,
            fields: written.field.into_iter().map(field).collect::<Result<_, _>>()?,
            items: written.items.map(items).transpose()?,
            name: written.name,
        })
    }

    /// The built-in ones.
    pub fn built_in() -> Vec<Profile> {
        BUILT_IN.iter().filter_map(|text| Profile::parse(text).ok()).collect()
    }
}

/// The profile of a print: the first of the store's own that a line fits; else the built-in one of whose
/// marks the most are there.
pub fn choose<'a>(own: &'a [Profile], built_in: &'a [Profile], lines: &[String]) -> Option<&'a Profile> {
    let hits = |profile: &Profile| profile.matches.iter().filter(|re| lines.iter().any(|line| re.is_match(line))).count();
    if let Some(profile) = own.iter().find(|profile| hits(profile) > 0) {
        return Some(profile);
    }
    let mut best = None;
    for profile in built_in {
        let n = hits(profile);
        if n > best.map_or(0, |(most, _)| most) {
            best = Some((n, profile));
        }
    }
    best.map(|(_, profile)| profile)
}

fn kind(written: &WrittenKind) -> Result<(Kind, Regex), String> {
    let kind = Kind::from_word(&written.kind).ok_or_else(|| format!("there is no kind {:?}", written.kind))?;
    Ok((kind, compile(&written.re)?))
}

fn field(written: WrittenField) -> Result<Field, String> {
    let name = written.name;
    let say = |why: &str| format!("field {name}: {why}");
    let pattern = written.re.as_deref().or(match written.kind {
        Type::Email => Some(r"(?P<v>[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,})"),
        Type::Phone => Some(r"(?P<v>\+?[0-9][0-9 ()./-]{6,}[0-9])"),
        _ => None,
    });
    if pattern.is_none() && written.constant.is_none() && written.from_symbol.is_none() {
        return Err(say("it needs `re`, `const` or `from_symbol`"));
    }
    let optional = |re: Option<&str>| re.map(compile).transpose().map_err(|why| say(&why));
    Ok(Field {
        re: optional(pattern)?,
        after: optional(written.after.as_deref())?,
        before: optional(written.before.as_deref())?,
        lines: written.lines.map(|text| range(&text).ok_or_else(|| say("`lines` is \"1..8\" or \"-6..\""))).transpose()?,
        style: written.style.map(|text| look(&text).ok_or_else(|| say("`style` is such as \"width>=2\""))).transpose()?,
        kind: written.kind,
        format: written.format,
        pick: written.pick,
        many: written.many,
        required: written.required,
        set: written.set,
        into: written.into,
        from_symbol: written.from_symbol,
        constant: written.constant,
        name,
    })
}

fn items(written: WrittenItems) -> Result<Items, String> {
    let optional = |re: Option<String>| re.as_deref().map(compile).transpose();
    Ok(Items { from: optional(written.from)?, to: optional(written.to)?, line: compile(&written.line)?, extra: optional(written.extra)? })
}

/// The library folds ASCII only: where case does not matter, other letters stand for both of theirs.
fn compile(pattern: &str) -> Result<Regex, String> {
    let folded = if pattern.contains("(?i)") { fold(pattern) } else { pattern.to_owned() };
    RegexBuilder::new(&folded).size_limit(PATTERN_MAX).build().map_err(|why| format!("the pattern {pattern:?} cannot be used: {why}"))
}

fn fold(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut class = false;
    let mut escaped = false;
    for c in pattern.chars() {
        match c {
            _ if escaped => {}
            '[' => class = true,
            ']' => class = false,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        let (mut low, mut up) = (c.to_lowercase(), c.to_uppercase());
        match (low.next(), up.next()) {
            (Some(a), Some(b)) if !c.is_ascii() && a != b && low.next().is_none() && up.next().is_none() => {
                out.push_str(&if class { format!("{a}{b}") } else { format!("[{a}{b}]") });
            }
            _ => out.push(c),
        }
    }
    out
}

/// `1..8`, `3..`, `..2`, `-6..`: both ends count.
fn range(text: &str) -> Option<RangeInclusive<i64>> {
    let (from, to) = text.split_once("..")?;
    let end = |text: &str, open: i64| if text.trim().is_empty() { Some(open) } else { text.trim().parse().ok() };
    Some(end(from, 1)?..=end(to.trim_start_matches('='), -1)?)
}

fn look(text: &str) -> Option<Look> {
    let at = text.find(['<', '>', '='])?;
    let (what, rest) = text.split_at_checked(at)?;
    let what = what.trim();
    let op: String = rest.chars().take_while(|c| "<>=".contains(*c)).collect();
    let n: u8 = match rest.get(op.len()..)?.trim() {
        "true" => 1,
        "false" => 0,
        n => n.parse().ok()?,
    };
    let range = match op.as_str() {
        ">=" => n..=u8::MAX,
        ">" => n.checked_add(1)?..=u8::MAX,
        "<=" => 0..=n,
        "<" => 0..=n.checked_sub(1)?,
        "=" | "==" => n..=n,
        _ => return None,
    };
    let known = ["width", "height", "bold", "underline", "invert", "font"].contains(&what);
    known.then(|| Look { what: what.to_owned(), range })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_ones_are_good() {
        for text in BUILT_IN {
            let profile = Profile::parse(text).unwrap_or_else(|why| panic!("{why}"));
            assert!(profile.guess && profile.fields.iter().any(|f| f.name == "total"), "{}", profile.name);
        }
        assert_eq!(Profile::built_in().len(), BUILT_IN.len());
    }

    #[test]
    fn a_bad_one_is_refused_with_its_reason() {
        let head = "name = \"x\"\nmatch = [\"x\"]\nlocale = \"en-US\"\n";
        for (text, why) in [
            ("name = \"x\"", "match"),
            (&format!("{head}[[field]]\nname = \"total\"\n"), "field total: it needs"),
            (&format!("{head}[[field]]\nname = \"total\"\nre = \"(\"\n"), "cannot be used"),
            (&format!("{head}[[field]]\nname = \"total\"\nre = \"x\"\ntyp = \"money\"\n"), "unknown field `typ`"),
            (&format!("{head}[[kind]]\nkind = \"party\"\nre = \"x\"\n"), "no kind \"party\""),
            (&format!("{head}[[field]]\nname = \"a\"\nre = \"x\"\nlines = \"some\"\n"), "`lines`"),
            (&format!("{head}[[field]]\nname = \"a\"\nre = \"x\"\nstyle = \"wide\"\n"), "`style`"),
            (&format!("{head}[[field]]\nname = \"a\"\nre = \"(x{{1000}}){{1000}}{{1000}}\"\n"), "cannot be used"),
        ] {
            let said = Profile::parse(text).map(|p| p.name).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn case_does_not_matter_for_any_letter() {
        let re = compile("(?i)^rückgeld [äö]x$").unwrap();
        assert!(re.is_match("RÜCKGELD ÄX") && re.is_match("Rückgeld öx") && !re.is_match("RUCKGELD ÄX"));
        assert!(!compile("^ü$").unwrap().is_match("Ü"));
    }

    #[test]
    fn conditions() {
        assert_eq!(look("width>=2").unwrap().range, 2..=255);
        assert_eq!(look("bold = true").unwrap().range, 1..=1);
        assert_eq!(range("-6.."), Some(-6..=-1));
        assert_eq!(range("1..8"), Some(1..=8));
    }
}
