//! From checked values to the settings as used. Everything was found right before: what is missing
//! here is simply not given. Reports nothing.

use crate::config::Secret;
use crate::config::checked::*;
use crate::config::forms::listen_address;
use crate::config::routing;
use crate::config::units;
use crate::domain::channel::Channel;
use crate::domain::shop::{Brand, Shop};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Makes the settings. `data_dir` holds where none is given.
pub fn config(root: &Settings, data_dir: &Path, safe_mode: bool) -> Config {
    let none = Settings::default();
    let section = |name| root.table(name).unwrap_or(&none);
    Config {
        shop: shop(section("shop")),
        agent: agent(section("agent"), data_dir),
        http: http(section("http")),
        tills: each(root, "tills", |_, t| till(t)),
        sources: each(root, "sources", |_, s| source(s)),
        providers: each(root, "providers", |_, p| provider(p)),
        channels: channels(section("channels")),
        routing: routing::routing(section("routing"), section("shop").text("currency")),
        routes: routing::routes(section("routes")),
        brand: brand(section("brand")),
        templates: Templates { dir: path(section("templates"), "dir"), default_language: given(section("templates"), "default_language") },
        retention: Retention {
            receipts: length(section("retention"), "receipts"),
            raw_events: length(section("retention"), "raw_events"),
            attempts: length(section("retention"), "attempts"),
        },
        safe_mode,
        last_good: false,
    }
}

/// A length of time by name.
pub fn duration(from: &Settings, name: &str) -> Option<Duration> {
    if let Some(Setting::Duration(length)) = from.0.get(name) { Some(*length) } else { None }
}

pub(super) fn length(from: &Settings, name: &str) -> Duration {
    duration(from, name).unwrap_or_default()
}

pub(super) fn given(from: &Settings, name: &str) -> Option<String> {
    Some(from.text(name)).filter(|t| !t.is_empty()).map(str::to_owned)
}

fn path(from: &Settings, name: &str) -> Option<PathBuf> {
    given(from, name).map(PathBuf::from)
}

pub(super) fn number<T: TryFrom<i64> + Default>(from: &Settings, name: &str) -> T {
    from.int(name).and_then(|n| T::try_from(n).ok()).unwrap_or_default()
}

pub(super) fn list<'s>(from: &'s Settings, name: &str) -> &'s [Setting] {
    if let Some(Setting::List(all)) = from.0.get(name) { all } else { &[] }
}

pub(super) fn texts(from: &Settings, name: &str) -> Vec<String> {
    list(from, name).iter().filter_map(|s| if let Setting::Text(text) = s { Some(text.clone()) } else { None }).collect()
}

fn nets(from: &Settings, name: &str) -> Vec<IpNet> {
    texts(from, name).iter().filter_map(|t| IpNet::parse(t)).collect()
}

fn each<T>(root: &Settings, section: &str, make: impl Fn(&str, &Settings) -> T) -> BTreeMap<String, T> {
    let all = root.table(section).into_iter().flat_map(|t| &t.0);
    all.filter_map(|(name, value)| if let Setting::Table(t) = value { Some((name.clone(), make(name, t))) } else { None }).collect()
}

fn shop(s: &Settings) -> Shop {
    let text = |name| s.text(name).to_owned();
    Shop {
        id: text("id"),
        name: text("name"),
        legal_name: text("legal_name"),
        address: text("address"),
        phone: text("phone"),
        email: text("email"),
        tax_id: text("tax_id"),
        country: text("country"),
        region: text("region"),
        timezone: text("timezone"),
        locale: text("locale"),
        currency: text("currency"),
        opening_hours: text("opening_hours"),
    }
}

fn agent(s: &Settings, data_dir: &Path) -> Agent {
    let none = Settings::default();
    let log = s.table("log").unwrap_or(&none);
    Agent {
        data_dir: path(s, "data_dir").unwrap_or_else(|| data_dir.to_owned()),
        disk_budget: number(s, "disk_budget"),
        clock_trusted: s.text("clock") == "trust",
        line_probe: given(s, "line_probe"),
        log: Log {
            dir: path(log, "dir"),
            level: log.text("level").to_owned(),
            max_files: number(log, "max_files"),
            max_size: number(log, "max_size"),
        },
    }
}

fn http(s: &Settings) -> Http {
    Http {
        listen: listen_address(s.text("listen")).unwrap_or(SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 8480)),
        public_url: given(s, "public_url"),
        trusted_proxies: nets(s, "trusted_proxies"),
        tls_off: s.text("tls") == "off",
        body_limit: number(s, "body_limit"),
        rate_limit: units::parse_rate(s.text("rate_limit")).unwrap_or(Rate::per_second(200)),
        rate_burst: number(s, "rate_burst"),
        max_connections: number(s, "max_connections"),
    }
}

fn till(s: &Settings) -> Till {
    Till {
        keys: s.secrets("key").into_iter().filter(|key: &Secret| !key.is_empty()).collect(),
        test: s.flag("test"),
        source: given(s, "source"),
        addresses: nets(s, "addresses"),
        receipts: match s.text("receipts") {
            "registered" => Receipts::Registered,
            "on_request" => Receipts::OnRequest,
            "never" => Receipts::Never,
            _ => Receipts::Always,
        },
    }
}

/// The type's own keys: all but the named common ones.
fn own(s: &Settings, common: &[crate::config::Key]) -> Settings {
    Settings(s.0.iter().filter(|(name, _)| common.iter().all(|k| k.name != *name)).map(|(n, v)| (n.clone(), v.clone())).collect())
}

fn source(s: &Settings) -> Source {
    Source {
        kind: s.text("type").to_owned(),
        sends_receipt_itself: s.flag("sends_receipt_itself"),
        strict: s.text("validation") == "strict",
        settings: own(s, crate::config::keys::SOURCE),
    }
}

fn provider(s: &Settings) -> Provider {
    Provider {
        kind: s.text("type").to_owned(),
        base_url: given(s, "base_url"),
        allow_insecure: s.flag("allow_insecure"),
        allow_private: nets(s, "allow_private"),
        rate: units::parse_rate(s.text("rate")),
        concurrency: s.int("concurrency").and_then(|n| usize::try_from(n).ok()),
        timeout: length(s, "timeout"),
        settings: own(s, crate::config::keys::PROVIDER),
    }
}

fn channels(s: &Settings) -> BTreeMap<Channel, ChannelSettings> {
    let settings = |c: &Settings| ChannelSettings {
        from: c.text("from").to_owned(),
        reply_to: c.text("reply_to").to_owned(),
        messaging_service: c.text("messaging_service").to_owned(),
        providers: texts(c, "providers"),
        transliterate: c.flag("transliterate"),
        link: c.flag("link"),
        host: c.text("host").to_owned(),
    };
    Channel::ALL.iter().filter_map(|channel| Some((*channel, settings(s.table(channel.word())?)))).collect()
}

fn brand(s: &Settings) -> Brand {
    let links = s.table("links").into_iter().flat_map(|t| &t.0);
    let link = |(label, url): (&String, &Setting)| if let Setting::Text(url) = url { Some((label.clone(), url.clone())) } else { None };
    Brand {
        color: s.text("color").to_owned(),
        legal: texts(s, "legal"),
        promotions: texts(s, "promotions"),
        return_policy: s.text("return_policy").to_owned(),
        statement_name: s.text("statement_name").to_owned(),
        links: links.filter_map(link).collect(),
    }
}
