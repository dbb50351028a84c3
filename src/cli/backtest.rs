//! `config backtest NEW`: what another config would have decided about the sales that are there. The store is
//! opened for reading; nothing is sent or written.

use super::{Failure, Global, Outcome, Said, exit};
use crate::app;
use crate::config::checked::Config;
use crate::config::load::{self, Sources};
use crate::config::{last_good, problem, units};
use crate::domain::time::UnixMs;
use crate::pipeline::backtest::{self, Difference, Findings};
use crate::store::{Options, reader};
use crate::sys::device_key::DeviceKey;
use crate::sys::random::SystemRandom;
use serde_json::json;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Differences that are shown one by one to people.
const SHOWN: usize = 40;

/// `tillpost config backtest`
#[derive(Clone, Debug, clap::Args)]
pub struct BacktestArgs {
    /// The config file to try.
    new: PathBuf,
    /// How far back: a length such as 7d or 12h, or a moment.
    #[arg(long, default_value = "7d", value_name = "TIME")]
    since: String,
}

/// Does it.
pub fn run(args: &BacktestArgs, global: &Global) -> Outcome {
    let since = since(&args.since, super::now())?;
    let folder = global.folder();
    let (old, new) = (current(global)?, candidate(global, &args.new)?);
    let file = folder.join("tillpost.db");
    if !file.exists() {
        return Err(Failure::new(exit::NOT_FOUND, format!("nothing is stored in {}", folder.display())));
    }
    let key = key(&folder);
    let random = SystemRandom::default();
    let found = reader::look(&Options::new(file), |read| backtest::run(read, (&old, &new), &key, &random, since));
    let found = found.map_err(|e| Failure::new(exit::FAILED, e.to_string()))?;
    Ok(said(&found, since))
}

fn since(text: &str, now: UnixMs) -> Result<UnixMs, Failure> {
    let length = units::parse_duration(text).map(|length| now - length);
    let wrong = || Failure::new(exit::USAGE, "--since wants a length such as 7d or 12h, or a moment such as 2026-10-03T18:07:44+02:00");
    length.or_else(|| UnixMs::parse_rfc3339(text)).ok_or_else(wrong)
}

/// The config that holds now: where the files are wrong, the last good one.
fn current(global: &Global) -> Result<Config, Failure> {
    let (sources, kinds) = (global.sources(), app::kinds());
    let loaded = load::load(&sources, &kinds);
    let kept = || last_good::recall(&last_good::data_dir(&loaded.tree, &sources.data_dir()));
    let config = loaded.config.clone().or_else(|| load::load(&Sources { last_good: kept(), ..sources.clone() }, &kinds).config);
    config
        .ok_or_else(|| Failure::new(exit::INVALID, "the present config cannot be used\n  fix: `tillpost config check` says what is wrong"))
}

/// The config to try, checked as at a start.
fn candidate(global: &Global, path: &Path) -> Result<Config, Failure> {
    let sources = Sources { explicit: Some(path.to_owned()), ..global.sources() };
    let loaded = load::load(&sources, &app::kinds());
    let wrong = |why: String| Failure::new(exit::INVALID, format!("{} cannot be used\n{why}", path.display()));
    let config = loaded.config.ok_or_else(|| wrong(problem::text(&loaded.problems)))?;
    app::composer(&config).map_err(|e| wrong(e.to_string()))?;
    app::accounts(&config).map_err(|e| wrong(e.to_string()))?;
    Ok(config)
}

/// The key of the box, by which it knows who asked to be forgotten; another one where it cannot be read.
fn key(folder: &Path) -> DeviceKey {
    let bytes = std::fs::read(folder.join("keys/device.key")).ok().and_then(|bytes| bytes.try_into().ok());
    if bytes.is_none() {
        eprintln!("note: the key of this box cannot be read: who asked to be forgotten is not known");
    }
    DeviceKey::new(bytes.unwrap_or([0; 32]))
}

fn said(found: &Findings, since: UnixMs) -> Said {
    let none = |text: &str| text.starts_with("nothing");
    let count = |what: fn(bool, bool) -> bool| found.differences.iter().filter(|d| what(none(&d.now), none(&d.then))).count();
    let (gain, lose) = (count(|now, then| now && !then), count(|now, then| !now && then));
    let blocked = |text: &str| text.contains("suppressed:");
    let suppressed = found.differences.iter().filter(|d| !blocked(&d.now) && blocked(&d.then)).count();
    let all = found.differences.len();
    let mut text = format!(
        "{} receipts since {}: {all} would be decided otherwise ({gain} get a message that had none, {lose} get none any more, {} go another way or at another time)\n",
        found.receipts,
        since.rfc3339(),
        all - gain - lose
    );
    if found.unreadable > 0 {
        let _ = writeln!(text, "{} documents could not be read", found.unreadable);
    }
    for d in found.differences.iter().take(SHOWN) {
        line(&mut text, d);
    }
    if all > SHOWN {
        let _ = writeln!(text, "and {} more: --json lists all", all - SHOWN);
    }
    text.push_str("nothing was sent or written\n");
    let json = json!({"schema": "tillpost.backtest/1", "since": since.rfc3339(), "receipts": found.receipts, "unreadable": found.unreadable,
        "changed": all, "gain": gain, "lose": lose, "suppressed": suppressed, "differences": found.differences});
    Said::new(json, text)
}

fn line(text: &mut String, d: &Difference) {
    let _ = writeln!(text, "{}  {}  {}\n  now:  {}\n  then: {}", d.receipt_id, d.at, d.receipt_number, d.now, d.then);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_back() {
        let now = UnixMs(1_791_043_664_000);
        assert_eq!(since("7d", now).unwrap(), UnixMs(now.0 - 604_800_000));
        assert_eq!(since("2026-10-03T18:07:44+02:00", now).unwrap(), UnixMs(1_791_043_664_000));
        assert_eq!(since("lately", now).unwrap_err().code, exit::USAGE);
    }

    #[test]
    fn differences_are_counted_by_what_they_mean() {
        let one = |now: &str, then: &str| Difference {
            receipt_id: "01k".into(),
            receipt_number: "R-1".into(),
            at: "2026-10-03T16:07:44Z".into(),
            now: now.into(),
            then: then.into(),
        };
        let differences = vec![
            one("email", "nothing (undeliverable): email suppressed:manual"),
            one("nothing (no_contact): email no_address", "sms"),
            one("email, then sms", "sms, then email"),
        ];
        let said = said(&Findings { receipts: 9, differences, unreadable: 1 }, UnixMs(0));
        let of = |name: &str| said.json[name].as_u64().unwrap();
        assert_eq!((of("changed"), of("gain"), of("lose"), of("suppressed"), of("receipts")), (3, 1, 1, 1, 9));
        for word in ["9 receipts", "3 would be decided otherwise", "1 documents could not", "then: sms, then email", "nothing was sent"] {
            assert!(said.text.contains(word), "{word}: {}", said.text);
        }
    }
}
