//! What the box says about itself in words: days in figures, and what is wrong.
//!
//! Pure. No address of a customer is known here.

use crate::compose::facts;
use crate::compose::news::{Fact, News};
use crate::compose::view::{Pair, pairs, view};
use crate::domain::notice::{About, Alert, ChannelTally, Day, Digest, Incident, Tally};
use crate::domain::text::one_line;
use crate::domain::time::for_people;
use minijinja::value::{Enumerator, Object, Value};
use std::sync::Arc;
use std::time::Duration;

/// Days and incidents that one message lists.
const MOST: usize = 50;

view! {
    /// One day in figures.
    DayView { label, facts, lists }
}
view! {
    /// Something that is wrong, or no longer is.
    IncidentView { text, details, resolved }
}

/// `Report for Mar 3, 2026`, or from the first to the last of several days.
pub fn digest_title(n: &News<'_>, digest: &Digest) -> String {
    match digest.days.as_slice() {
        [first, .., last] => n.say("digest.title_days", &[("from", &n.day(&first.date)), ("to", &n.day(&last.date))]),
        [day] => n.say("digest.title", &[("date", &n.day(&day.date))]),
        [] => n.say("digest.title", &[("date", &n.day(&digest.business_date))]),
    }
}

/// The incident, or how many there are.
pub fn alert_title(n: &News<'_>, alert: &Alert) -> String {
    match alert.incidents.as_slice() {
        [one] => incident_text(n, one),
        many => facts::counted(n.speaker, "alert.title", many.len()),
    }
}

fn tally(n: &News<'_>, tally: Tally) -> String {
    n.say("digest.counted", &[("n", &tally.n.to_string()), ("total", &n.amount(tally.total))])
}

/// The figures of a day.
pub fn day_facts(n: &News<'_>, day: &Day) -> Vec<Fact> {
    let mut all = vec![("digest.sales", tally(n, day.sales))];
    let counted = |count: u64| if count == 0 { String::new() } else { count.to_string() };
    if day.refunds.n > 0 {
        all.push(("digest.refunds", tally(n, day.refunds)));
    }
    all.push(("digest.voids", counted(day.voids)));
    all.push(("digest.waiting", counted(day.waiting)));
    all.push(("digest.dead", counted(day.dead)));
    let offline = Duration::from_secs(day.offline_minutes.min(1_000_000) * 60);
    all.push(("digest.offline", if offline.is_zero() { String::new() } else { for_people(offline) }));
    let known = all.into_iter().filter(|(_, v)| !v.is_empty()).map(|(key, value)| (n.say(key, &[]), value));
    known.chain(day.by_channel.iter().take(10).map(|c| channel(n, c)).filter(|(_, v)| !v.is_empty())).collect()
}

fn channel(n: &News<'_>, tally: &ChannelTally) -> Fact {
    let key = format!("channel.{}", tally.channel);
    let name = if n.speaker.has(&key) { n.say(&key, &[]) } else { one_line(&tally.channel, 40) };
    let states = tally.states.iter().filter(|(_, count)| **count > 0).map(|(state, count)| {
        let key = format!("state.{state}");
        if n.speaker.has(&key) { n.say(&key, &[("n", &count.to_string())]) } else { format!("{count} {}", one_line(state, 40)) }
    });
    (name, states.take(12).collect::<Vec<_>>().join(", "))
}

/// Late sales and errors of a day, each list under its name.
pub fn day_lists(n: &News<'_>, day: &Day) -> Vec<(String, Vec<String>)> {
    let corrections = day.corrections.iter().take(MOST).map(|c| {
        let fill = [("date", n.day(&c.date)), ("n", c.sales.n.to_string()), ("total", n.amount(c.sales.total))];
        n.say("digest.correction", &fill.each_ref().map(|(name, value)| (*name, value.as_str())))
    });
    let errors = day.top_errors.iter().take(5).map(|(text, count)| format!("{count} × {}", one_line(text, 160)));
    let lists = [("digest.corrections", corrections.collect::<Vec<_>>()), ("digest.errors", errors.collect())];
    lists.into_iter().filter(|(_, lines)| !lines.is_empty()).map(|(key, lines)| (n.say(key, &[]), lines)).collect()
}

/// A day in one line, for a digest of several.
pub fn day_line(n: &News<'_>, day: &Day) -> String {
    let fill = [
        ("date", n.day(&day.date)),
        ("n", day.sales.n.to_string()),
        ("total", n.amount(day.sales.total)),
        ("waiting", day.waiting.to_string()),
        ("dead", day.dead.to_string()),
    ];
    let count = i64::try_from(day.sales.n).unwrap_or(i64::MAX);
    n.speaker.say_counted("digest.day", count, &fill.each_ref().map(|(name, value)| (*name, value.as_str())))
}

/// The days of a digest for a template; nothing for other notices.
pub fn days(n: &News<'_>) -> Value {
    let About::Digest(digest) = n.about else { return Value::from(Vec::<Value>::new()) };
    let several = digest.days.len() > 1;
    let view = |day: &Day| -> Value {
        let list = |(name, lines): (String, Vec<String>)| -> Value { Pair { name: Value::from(name), value: Value::from(lines) }.into() };
        DayView {
            label: Value::from(if several { n.day(&day.date) } else { String::new() }),
            facts: pairs(day_facts(n, day)),
            lists: Value::from(day_lists(n, day).into_iter().map(list).collect::<Vec<_>>()),
        }
        .into()
    };
    Value::from(digest.days.iter().take(MOST).map(view).collect::<Vec<_>>())
}

/// `provider_down` of `TillpostProviderDown`; other words as they are.
fn word(alert: &str) -> String {
    let mut out = String::new();
    for c in alert.trim_start_matches("Tillpost").chars().take(60) {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// What is wrong, in a sentence.
pub fn incident_text(n: &News<'_>, incident: &Incident) -> String {
    let object = one_line(&incident.object, 60);
    let key = format!("incident.{}", word(&incident.alert));
    let what =
        if n.speaker.has(&key) { n.say(&key, &[("object", &object)]) } else { format!("{} {object}", one_line(&incident.alert, 60)) };
    let what = one_line(&what, 200);
    if incident.resolved() { n.say("alert.resolved", &[("what", &what)]) } else { what }
}

/// Since when, how many it holds up, what the other side said, and what to do.
pub fn incident_details(n: &News<'_>, incident: &Incident) -> Vec<String> {
    let mut all = Vec::new();
    if !incident.since.is_empty() {
        all.push(n.say("alert.since", &[("at", &n.day(&incident.since))]));
    }
    if incident.resolved() {
        return all;
    }
    if let Some(count) = incident.n.filter(|count| *count > 0) {
        all.push(n.speaker.say_counted("alert.held_up", i64::try_from(count).unwrap_or(i64::MAX), &[]));
    }
    if !incident.text.is_empty() {
        all.push(one_line(&incident.text, 200));
    }
    let key = format!("step.{}", word(&incident.alert));
    if n.speaker.has(&key) {
        all.push(n.say("alert.do", &[("step", &n.say(&key, &[]))]));
    }
    all
}

/// The incidents of an alert for a template; nothing for other notices.
pub fn incidents(n: &News<'_>) -> Value {
    let About::Alert(alert) = n.about else { return Value::from(Vec::<Value>::new()) };
    let view = |incident: &Incident| -> Value {
        IncidentView {
            text: Value::from(incident_text(n, incident)),
            details: Value::from(incident_details(n, incident)),
            resolved: Value::from(incident.resolved()),
        }
        .into()
    };
    Value::from(alert.incidents.iter().take(MOST).map(view).collect::<Vec<_>>())
}
