//! `tillpost init`: a short config with the chosen parts and a key for the first till. What it writes
//! passes `config check` at once: accounts that are not filled in yet stand there as comments, and
//! until then messages land in the test inbox. Asks nothing, prints no key, overwrites only when told.

use crate::cli::config::{FAILED, INVALID, OK, USAGE};
use crate::config::document::comment;
use crate::config::key::Kinds;
use crate::config::show::quoted;
use crate::config::{Secret, Sources, forms, load, problem, till_key};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// `tillpost init`
#[derive(Clone, Debug, Default, clap::Args)]
pub struct InitArgs {
    /// Name of the shop as customers know it.
    #[arg(long, value_name = "NAME")]
    pub shop: Option<String>,
    /// Country of the shop, two letters; time zone, language and currency follow from it.
    #[arg(long, value_name = "CC")]
    pub country: Option<String>,
    /// Account that e-mail goes out by.
    #[arg(long, value_name = "TYPE", value_parser = ["smtp", "none"])]
    pub email: Option<String>,
    /// Account that text messages go out by.
    #[arg(long, value_name = "TYPE", value_parser = ["twilio", "none"])]
    pub sms: Option<String>,
    /// File to write; without it ./tillpost.toml.
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// `--yes`, as everywhere.
    #[arg(skip)]
    pub yes: bool,
    /// Overwrite a config that is there. A till key that is there is kept.
    #[arg(long)]
    pub force: bool,
    /// `--json`, as everywhere.
    #[arg(skip)]
    pub json: bool,
}

/// What was chosen, with nothing left open.
struct Choice<'a> {
    shop: &'a str,
    country: &'a str,
    email: bool,
    sms: bool,
}

/// Country, time zone, locale, currency. Where a country has several time zones: that of most people.
const COUNTRIES: &[(&str, &str, &str, &str)] = &[
    ("AT", "Europe/Vienna", "de-AT", "EUR"),
    ("AU", "Australia/Sydney", "en-AU", "AUD"),
    ("BE", "Europe/Brussels", "nl-BE", "EUR"),
    ("BR", "America/Sao_Paulo", "pt-BR", "BRL"),
    ("CA", "America/Toronto", "en-CA", "CAD"),
    ("CH", "Europe/Zurich", "de-CH", "CHF"),
    ("CZ", "Europe/Prague", "cs-CZ", "CZK"),
    ("DE", "Europe/Berlin", "de-DE", "EUR"),
    ("DK", "Europe/Copenhagen", "da-DK", "DKK"),
    ("ES", "Europe/Madrid", "es-ES", "EUR"),
    ("FI", "Europe/Helsinki", "fi-FI", "EUR"),
    ("FR", "Europe/Paris", "fr-FR", "EUR"),
    ("GB", "Europe/London", "en-GB", "GBP"),
    ("IE", "Europe/Dublin", "en-IE", "EUR"),
    ("IN", "Asia/Kolkata", "en-IN", "INR"),
    ("IT", "Europe/Rome", "it-IT", "EUR"),
    ("JP", "Asia/Tokyo", "ja-JP", "JPY"),
    ("LU", "Europe/Luxembourg", "fr-LU", "EUR"),
    ("MX", "America/Mexico_City", "es-MX", "MXN"),
    ("NL", "Europe/Amsterdam", "nl-NL", "EUR"),
    ("NO", "Europe/Oslo", "nb-NO", "NOK"),
    ("NZ", "Pacific/Auckland", "en-NZ", "NZD"),
    ("PL", "Europe/Warsaw", "pl-PL", "PLN"),
    ("PT", "Europe/Lisbon", "pt-PT", "EUR"),
    ("SE", "Europe/Stockholm", "sv-SE", "SEK"),
    ("US", "America/New_York", "en-US", "USD"),
];

const KEY_FILE: &str = "secrets/front.key";

/// Where a new key's randomness comes from.
pub type Random<'r> = &'r mut dyn FnMut() -> io::Result<[u8; 20]>;

/// Writes the config and the key of the first till; 2 where something is missing or in the way.
pub fn init(args: &InitArgs, kinds: &Kinds, random: Random<'_>, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<u8> {
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from("tillpost.toml"));
    let choice = match choose(args) {
        Ok(choice) => choice,
        Err(why) => return refuse(err, &why),
    };
    if !args.force && path.symlink_metadata().is_ok() {
        return refuse(
            err,
            &format!("{} is there already\n  fix: name another file with --output, or overwrite it with --force", path.display()),
        );
    }
    let text = text(&choice, kinds);
    let made = match write_all(&path, &text, random) {
        Ok(made) => made,
        Err(e) => {
            writeln!(err, "error: {} cannot be written: {}", path.display(), e.kind())?;
            return Ok(FAILED);
        }
    };
    let loaded = load(&Sources { explicit: Some(path.clone()), ..Sources::default() }, kinds);
    let (errors, _) = problem::count(&loaded.problems);
    write!(err, "{}", problem::text(&loaded.problems))?;
    let next = next(&path);
    if args.json {
        let key = path.with_file_name(KEY_FILE).display().to_string();
        let report = json!({
            "schema": "tillpost.init/1", "ok": errors == 0, "config": path.display().to_string(),
            "key_file": key, "key_made": made, "next": next,
        });
        writeln!(out, "{report:#}")?;
    } else {
        say(out, &path, made, &next)?;
    }
    Ok(if errors == 0 { OK } else { INVALID })
}

fn refuse(err: &mut dyn Write, why: &str) -> io::Result<u8> {
    writeln!(err, "error: {why}")?;
    Ok(USAGE)
}

fn choose(args: &InitArgs) -> Result<Choice<'_>, String> {
    let shop = match args.shop.as_deref().map(str::trim).filter(|s| !s.is_empty()) {
        Some(shop) => shop,
        None if args.yes => "My Shop",
        None => return Err("the name of the shop is missing\n  fix: add --shop \"Corner Mart\", or -y for the usual".to_owned()),
    };
    let country = args.country.as_deref().unwrap_or("US");
    if !(forms::COUNTRY.good)(country) {
        return Err(format!("--country {country} is not {}\n  fix: for example --country US", forms::COUNTRY.what));
    }
    let chosen = |given: &Option<String>, usual: &str| given.as_deref().unwrap_or(usual) != "none";
    Ok(Choice { shop, country, email: chosen(&args.email, "smtp"), sms: chosen(&args.sms, "none") })
}

fn text(choice: &Choice<'_>, kinds: &Kinds) -> String {
    let mut out = comment(
        "Tillpost. All settings with their defaults: config/tillpost.toml, or `tillpost config show`. After a change: `tillpost config check`.",
    );
    let known = COUNTRIES.iter().find(|(code, ..)| *code == choice.country);
    let (_, zone, locale, currency) = known.copied().unwrap_or(("", "UTC", "en-US", "USD"));
    let note = if known.is_some() {
        "Where a country has several time zones, see that this is yours."
    } else {
        "Please set these three for your country."
    };
    let _ = write!(
        out,
        "\n[shop]\nname = {}\ncountry = \"{}\"\n{}timezone = \"{zone}\"\nlocale = \"{locale}\"\ncurrency = \"{currency}\"\n",
        quoted(choice.shop),
        choice.country,
        comment(note)
    );
    let _ = write!(
        out,
        "\n{}[tills.front]\nkey = {{ file = \"{KEY_FILE}\" }}\n",
        comment("Who may post sales. The till sends the key that lies in this file. One table for each till.")
    );
    if choice.email || choice.sms {
        let doc = "The test inbox: messages are kept and shown on the page of the shop, and nobody gets them.";
        let _ = write!(out, "\n{}[providers.inbox]\ntype = \"capture\"\n", comment(doc));
    }
    if choice.email {
        let from = format!("from = {}", quoted(&format!("{} <receipts@shop.example>", name_in_mailbox(choice.shop))));
        part(&mut out, kinds, "smtp", "mail", "email", &from);
    }
    if choice.sms {
        part(&mut out, kinds, "twilio", "texts", "sms", "#from = \"+16075550100\"");
    }
    out
}

/// One channel: the account as a comment, and the channel over the test inbox until it is filled in.
fn part(out: &mut String, kinds: &Kinds, kind: &str, provider: &str, channel: &str, from: &str) {
    let doc =
        format!("The account that sends. Fill it in, remove the # of its lines, and name \"{provider}\" in place of \"inbox\" below.");
    let _ = write!(out, "\n{}#[providers.{provider}]\n#type = \"{kind}\"\n", comment(&doc));
    let example = kinds.providers.iter().find(|k| k.name == kind).map(|k| k.example).unwrap_or_default();
    for line in example.lines().filter(|l| !l.trim().is_empty() && !l.trim_start().starts_with("type ")) {
        let _ = writeln!(out, "#{line}");
    }
    let _ = write!(out, "\n[channels.{channel}]\n{from}\nproviders = [\"inbox\"]\n");
}

/// A name that needs no quoting in front of a mail address.
fn name_in_mailbox(name: &str) -> String {
    name.chars().filter(|c| !c.is_control() && !"<>\"@,;:\\".contains(*c)).collect()
}

/// Writes both files; says whether a key was made.
fn write_all(path: &Path, text: &str, random: Random<'_>) -> io::Result<bool> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)?;
    }
    let key_file = path.with_file_name(KEY_FILE);
    let made = if key_file.symlink_metadata().is_ok() {
        false
    } else {
        if let Some(folder) = key_file.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let key: Secret = till_key::make(false, random()?);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key_file)?;
        writeln!(file, "{}", key.expose())?;
        true
    };
    std::fs::write(path, text)?;
    Ok(made)
}

fn next(path: &Path) -> [String; 3] {
    let shown = path.display();
    let key = path.with_file_name(KEY_FILE);
    [
        format!("tillpost config check --config {shown}"),
        format!("tillpost run --config {shown}"),
        format!("curl -H \"Authorization: Bearer $(cat {})\" --json @sale.json http://127.0.0.1:8480/v1/sales", key.display()),
    ]
}

fn say(out: &mut dyn Write, path: &Path, made: bool, next: &[String; 3]) -> io::Result<()> {
    let key = path.with_file_name(KEY_FILE);
    let kept = if made { "Wrote" } else { "Kept" };
    writeln!(out, "Wrote {}", path.display())?;
    writeln!(out, "{kept} {} (key of the till \"front\"; only this user can read it)\n", key.display())?;
    writeln!(out, "Next:")?;
    for (n, command) in next.iter().enumerate() {
        writeln!(out, "  {}. {command}", n + 1)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::config::{CheckArgs, check};
    use crate::config::fakes::kinds;
    use std::os::unix::fs::PermissionsExt;

    fn run(args: &InitArgs, random: [u8; 20]) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = init(args, &kinds(), &mut || Ok(random), &mut out, &mut err).unwrap();
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    fn args(path: &Path) -> InitArgs {
        InitArgs { shop: Some("Rosie's \"Café\"".into()), output: Some(path.to_owned()), ..InitArgs::default() }
    }

    #[test]
    fn what_it_writes_passes_the_check_at_once() {
        for (country, email, sms) in [("US", "smtp", "twilio"), ("DE", "smtp", "none"), ("GB", "none", "none"), ("ZZ", "none", "twilio")] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("new/tillpost.toml");
            let args = InitArgs { country: Some(country.into()), email: Some(email.into()), sms: Some(sms.into()), ..args(&path) };
            let (code, out, err) = run(&args, [9; 20]);
            assert_eq!((code, err.as_str()), (0, ""), "{out}");
            assert_eq!(out.matches("\n  ").count(), 3, "three next commands: {out}");
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!((text.contains("[channels.email]"), text.contains("[channels.sms]")), (email != "none", sms != "none"));
            let (mut checked, mut said) = (Vec::new(), Vec::new());
            let sources = Sources { explicit: Some(path.clone()), ..Sources::default() };
            assert_eq!(check(&CheckArgs { json: false }, &sources, &kinds(), &mut checked, &mut said).unwrap(), 0);
            assert!(said.is_empty() && String::from_utf8(checked).unwrap().contains("0 warnings"));
            let config = load(&sources, &kinds()).config.unwrap();
            assert_eq!(config.shop.name, "Rosie's \"Café\"");
            let key = config.tills["front"].keys[0].expose();
            assert!(till_key::verify(key) && !text.contains(key) && !out.contains(key));
            let mode = std::fs::metadata(path.with_file_name(KEY_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn nothing_is_overwritten_unless_told_and_the_key_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tillpost.toml");
        assert_eq!(run(&args(&path), [1; 20]).0, 0);
        let key = std::fs::read(folder.path().join(KEY_FILE)).unwrap();
        let (code, _, err) = run(&args(&path), [2; 20]);
        assert!(code == 2 && err.contains("--force"), "{err}");
        let (code, out, _) = run(&InitArgs { force: true, json: true, ..args(&path) }, [2; 20]);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &report["schema"], &report["key_made"]), (0, &json!("tillpost.init/1"), &json!(false)));
        assert_eq!(std::fs::read(folder.path().join(KEY_FILE)).unwrap(), key);
    }

    #[test]
    fn wrong_usage_is_2() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tillpost.toml");
        let (code, _, err) = run(&InitArgs { shop: None, ..args(&path) }, [1; 20]);
        assert!(code == 2 && err.contains("--shop") && !path.exists());
        let (code, _, _) = run(&InitArgs { country: Some("usa".into()), ..args(&path) }, [1; 20]);
        assert!(code == 2 && !path.exists());
        assert_eq!(run(&InitArgs { shop: None, yes: true, ..args(&path) }, [1; 20]).0, 0);
    }
}
