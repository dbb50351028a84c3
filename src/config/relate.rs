//! The check of values against each other: names that must lead somewhere, keys that must differ,
//! connections that must be private, settings that contradict each other.

use crate::config::build;
use crate::config::checked::{Setting, Settings};
use crate::config::forms;
use crate::config::key::Kinds;
use crate::config::problem::Problem;
use crate::config::till_key;
use crate::config::tree::{Layer, Node, Place, Table, find};
use crate::config::walk::nearest;
use crate::domain::channel::Channel;
use crate::domain::event::TYPES;
use crate::domain::text::one_line;

/// What is looked at: the tree for places, the settings for values.
pub struct Related<'a> {
    /// As written.
    pub tree: &'a Table,
    /// As read.
    pub settings: &'a Settings,
    /// Types of sources and providers.
    pub kinds: &'a Kinds,
    /// Types that are not built may send on every channel.
    pub lenient: bool,
}

/// The shortest key of a till.
const SHORTEST_KEY: usize = 16;

/// All problems between settings.
pub fn check(related: &Related<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    channels(related, &mut problems);
    till_keys(related, &mut problems);
    listener(related, &mut problems);
    provider_urls(related, &mut problems);
    routes(related, &mut problems);
    contradictions(related, &mut problems);
    shop(related, &mut problems);
    problems
}

fn section<'t>(tree: &'t Table, name: &str) -> impl Iterator<Item = (&'t String, &'t Node, &'t Table)> {
    let table = tree.get(name).and_then(Node::table);
    table.into_iter().flatten().filter_map(|(name, node)| Some((name, node, node.table()?)))
}

fn channels(r: &Related<'_>, problems: &mut Vec<Problem>) {
    for (name, node, table) in section(r.tree, "channels") {
        let Some(channel) = Channel::from_word(name) else { continue };
        let named: Vec<&Node> = table.get("providers").map(|n| n.entries().iter().collect()).unwrap_or_default();
        let path = format!("channels.{name}.providers");
        if named.is_empty() {
            let fix = "name providers in it, or remove the table";
            let message = format!("channel \"{name}\": has no providers, so nothing goes out on it");
            problems.push(Problem::error("TP-CFG-024", &node.key_place, path, message, fix).warning());
            continue;
        }
        for entry in named {
            let Some(provider) = entry.text() else { continue };
            problems.extend(provider_problem(r, channel, provider, &entry.place, &path));
        }
    }
}

fn provider_problem(r: &Related<'_>, channel: Channel, name: &str, place: &Place, path: &str) -> Option<Problem> {
    let all = r.tree.get("providers").and_then(Node::table);
    let shown = one_line(name, 40);
    let Some(provider) = all.and_then(|t| t.get(name)) else {
        let names: Vec<&str> = all.into_iter().flatten().map(|(n, _)| n.as_str()).collect();
        let fix = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("add a table [providers.{shown}], or name another"),
        };
        return Some(Problem::error("TP-CFG-015", place, path, format!("channel \"{channel}\": there is no provider \"{shown}\""), fix));
    };
    let word = find(provider.table()?, &["type"])?.text()?;
    let kind = r.kinds.providers.iter().find(|k| k.name == word)?;
    if r.lenient || kind.channels.contains(&channel) {
        return None;
    }
    let can: Vec<&str> = kind.channels.iter().map(|c| c.word()).collect();
    let message = format!("channel \"{channel}\": provider \"{shown}\" cannot send on it");
    let why = format!("type \"{word}\" sends on {}", can.join(", "));
    Some(Problem::error("TP-CFG-016", place, path, message, format!("name a provider that sends {channel}")).why(why))
}

fn till_keys(r: &Related<'_>, problems: &mut Vec<Problem>) {
    let mut seen: Vec<(String, &String)> = Vec::new();
    for (name, _, table) in section(r.tree, "tills") {
        let Some(node) = table.get("key") else { continue };
        let till = r.settings.table("tills").and_then(|t| t.table(name)).cloned().unwrap_or_default();
        let nodes = node.entries();
        for (at, secret) in till.secrets("key").iter().enumerate().filter(|(_, s)| !s.is_empty()) {
            let place = &nodes.get(at).unwrap_or(node).place;
            let path = format!("tills.{name}.key");
            let key = secret.expose();
            if key.chars().count() < SHORTEST_KEY {
                let message = format!("till \"{name}\": key is too short");
                let fix = format!("use {SHORTEST_KEY} characters or more; `tillpost init` makes good keys");
                problems.push(Problem::error("TP-CFG-017", place, &path, message, fix).why("whoever guesses it can post sales"));
            } else if till_key::looks_like_ours(key) && !till_key::verify(key) {
                let message = format!("till \"{name}\": key looks mistyped");
                let fix = "copy the key again, whole";
                problems.push(Problem::error("TP-CFG-026", place, &path, message, fix).why("its check sum does not fit").warning());
            }
            match seen.iter().find(|(other, owner)| other == key && *owner != name) {
                Some((_, owner)) => {
                    let message = format!("till \"{name}\": key is also that of till \"{owner}\"");
                    problems.push(Problem::error("TP-CFG-018", place, path, message, "give each till a key of its own"));
                }
                None => seen.push((key.to_owned(), name)),
            }
        }
    }
}

fn listener(r: &Related<'_>, problems: &mut Vec<Problem>) {
    let Some(node) = find(r.tree, &["http", "listen"]) else { return };
    let Some(address) = node.text().and_then(forms::listen_address) else { return };
    if address.ip().to_canonical().is_loopback() {
        return;
    }
    let off = find(r.tree, &["http", "tls"]).filter(|n| n.text() == Some("off"));
    let message = format!("[http]: plain HTTP on {address} can be reached from other machines");
    let fix = "listen on 127.0.0.1:8480 behind a proxy with TLS, or write tls = \"off\" in [http] if this network is trusted";
    let found =
        Problem::error("TP-CFG-019", &node.place, "http.listen", message, fix).why("receipts and keys cross the network unencrypted");
    problems.push(match off {
        Some(node) => Problem {
            code: "TP-CFG-020",
            place: node.place.clone(),
            path: "http.tls".into(),
            fix: "keep tills and this box in a network of their own".into(),
            ..found.warning()
        },
        None => found,
    });
}

fn provider_urls(r: &Related<'_>, problems: &mut Vec<Problem>) {
    for (name, _, table) in section(r.tree, "providers") {
        let Some((node, url)) = table.get("base_url").and_then(|n| Some((n, forms::url(n.text()?)?))) else { continue };
        let meant = r.settings.table("providers").and_then(|t| t.table(name)).is_some_and(|p| p.flag("allow_insecure"));
        if url.plain && !meant && !forms::is_loopback(url.host) {
            let message = format!("provider \"{name}\": base_url is not encrypted and leads beyond this machine");
            let fix = "begin it with https://, or write allow_insecure = true if that is meant";
            let why = "credentials and receipts could be read on the way";
            problems.push(Problem::error("TP-CFG-021", &node.place, format!("providers.{name}.base_url"), message, fix).why(why));
        }
    }
}

/// Rules lead to providers that exist, and act on events that can happen.
fn routes(r: &Related<'_>, problems: &mut Vec<Problem>) {
    let all: Vec<&str> = section(r.tree, "providers").map(|(name, _, _)| name.as_str()).collect();
    for (name, _, table) in section(r.tree, "routes") {
        let to = table.get("to").into_iter();
        let listed = table.get("providers").into_iter().flat_map(|n| n.entries());
        for node in to.chain(listed) {
            let Some(word) = node.text().map(|t| t.strip_prefix("providers.").unwrap_or(t)) else { continue };
            if !all.contains(&word) {
                let shown = one_line(word, 40);
                let near = nearest(word, all.iter().copied());
                let fix = near.map_or_else(
                    || format!("add a table [providers.{shown}], or name another"),
                    |near| format!("did you mean \"{near}\"?"),
                );
                let message = format!("rule \"{}\": there is no provider \"{shown}\"", one_line(name, 40));
                problems.push(Problem::error("TP-CFG-015", &node.place, format!("routes.{name}"), message, fix));
            }
        }
        for node in table.get("on").map(|n| n.entries().iter()).into_iter().flatten() {
            let Some(word) = node.text() else { continue };
            let family = word.strip_suffix('*').is_some_and(|start| TYPES.iter().any(|t| t.starts_with(start)));
            if !family && !word.starts_with("x.") && !TYPES.contains(&word) {
                let near = nearest(word, TYPES.iter().copied());
                let fix =
                    near.map_or_else(|| "events of the shop's own begin with x.".to_owned(), |near| format!("did you mean \"{near}\"?"));
                let message = format!("rule \"{}\": there is no event \"{}\"", one_line(name, 40), one_line(word, 40));
                problems.push(Problem::error("TP-CFG-008", &node.place, format!("routes.{name}.on"), message, fix));
            }
        }
    }
}

fn contradictions(r: &Related<'_>, problems: &mut Vec<Problem>) {
    let Some(routing) = r.settings.table("routing") else { return };
    let length = |key| build::duration(routing, key);
    if length("failover_after").zip(length("fallback_after")).is_some_and(|(failover, fallback)| failover >= fallback) {
        let message = "failover_after is not below fallback_after, so the channel gives up first";
        problems.extend(contradiction(r, ["failover_after", "fallback_after"], message));
    }
    if routing.int("failover_attempts").zip(routing.int("max_attempts")).is_some_and(|(failover, most)| failover > most) {
        let message = "failover_attempts is above max_attempts, so no second provider is tried";
        problems.extend(contradiction(r, ["failover_attempts", "max_attempts"], message));
    }
    if let (Some(Setting::List(all)), Some(node)) = (routing.0.get("retry"), find(r.tree, &["routing", "retry"]))
        && all.is_empty()
    {
        let fix = "write at least one pause, for example [\"30 s\"]";
        problems.push(Problem::error("TP-CFG-006", &node.place, "routing.retry", "[routing]: retry is empty", fix));
    }
}

/// Stands at the first of the two that somebody wrote.
fn contradiction(r: &Related<'_>, keys: [&str; 2], message: &str) -> Option<Problem> {
    let nodes = keys.into_iter().filter_map(|key| Some((key, find(r.tree, &["routing", key])?)));
    let (key, node) = nodes.max_by_key(|(key, node)| (node.place.layer != Layer::Default, *key == keys[0]))?;
    let fix = format!("make {} smaller or {} larger", keys[0], keys[1]);
    Some(Problem::error("TP-CFG-025", &node.place, format!("routing.{key}"), format!("[routing]: {message}"), fix).warning())
}

/// A file without a name or time zone of the shop was probably not finished.
fn shop(r: &Related<'_>, problems: &mut Vec<Problem>) {
    let written = |key| find(r.tree, &["shop", key]).filter(|n| n.place.layer != Layer::Default);
    let missing: Vec<&str> = ["name", "timezone"].into_iter().filter(|key| written(key).is_none()).collect();
    let in_file = |p: &&Place| matches!(p.layer, Layer::File | Layer::Folder);
    let Some(file) = r.tree.values().map(|n| &n.place).find(in_file).filter(|_| !missing.is_empty()) else { return };
    let table = r.tree.get("shop").map(|n| n.place.clone()).filter(|p| in_file(&p));
    let place = table.unwrap_or_else(|| Place::whole(file.layer, &file.source));
    let message = format!("[shop]: {} not set", missing.join(" and "));
    problems.push(Problem::error("TP-CFG-027", &place, "shop", message, "write it in [shop]").warning());
}
