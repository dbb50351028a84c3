//! The documented default file, written from the key table. `config/tillpost.toml` is its text; a test
//! keeps the two the same. After a change of the table write the file anew with
//! `TILLPOST_BLESS=1 cargo test --lib documented_file`.

use crate::config::key::{Key, Shape};
use crate::config::keys::ROOT;
use std::fmt::Write;

const WIDTH: usize = 98;

const HEAD: &str = r##"# Tillpost: every setting, with its default.
#
# A line with a blank after its # explains; one without is a setting that is not on.
# This file is compiled in: what is on here holds where nothing else is written. A file of your own
# needs only what differs. `tillpost config check` finds what is wrong in it, `tillpost config show`
# says what holds, `tillpost init` writes a short one.
#
# Later wins: these defaults, the config file, conf.d/*.toml beside it (by name), the environment
# (TILLPOST__HTTP__LISTEN for listen in [http]), flags.
#
# Lengths of time: "200 ms", "30 s", "5 min", "72 h", "120 d", "8 y". Sizes: "64 KiB", "10 MB", "2 GiB".
# Rates: "10/s", "100/min", "90/h".
#
# Secrets: { file = "secrets/front.key" }, { env = "NAME" }, { credential = "NAME" } (of the service
# manager) or literal text, which `config check` warns about. A relative path begins at the folder of
# the file that it is written in.
"##;

/// What stands for keys without a default, and where the default would be a poor example.
const EXAMPLES: &[(&str, &str)] = &[
    ("shop.name", "\"Corner Mart\""),
    ("shop.legal_name", "\"Corner Mart LLC\""),
    ("shop.address", "\"12 Main Street\\nIthaca, NY 14850\""),
    ("shop.phone", "\"(607) 555-0100\""),
    ("shop.email", "\"hello@cmart.example\""),
    ("shop.tax_id", "\"12-3456789\""),
    ("shop.country", "\"US\""),
    ("shop.region", "\"US-NY\""),
    ("shop.opening_hours", "\"Mon-Sat 8-20\""),
    ("agent.data_dir", "\"/var/lib/tillpost\""),
    ("agent.line_probe", "\"https://probe.example/\""),
    ("agent.log.dir", "\"/var/log/tillpost\""),
    ("http.public_url", "\"https://till.cmart.example\""),
    ("http.tls", "\"off\""),
    ("tills.front.key", "{ file = \"secrets/front.key\" }"),
    ("tills.front.source", "\"front desk\""),
    ("sources.pos.type", "\"lan\""),
    ("providers.main.type", "\"smtp\""),
    ("providers.main.base_url", "\"http://127.0.0.1:9000\""),
    ("providers.main.rate", "\"5/s\""),
    ("providers.main.concurrency", "2"),
    ("channels.email.from", "\"Corner Mart <receipts@cmart.example>\""),
    ("channels.email.reply_to", "\"hello@cmart.example\""),
    ("channels.sms.from", "\"+16075550100\""),
    ("channels.sms.messaging_service", "\"MG0123456789abcdef0123456789abcdef\""),
    ("channels.publish.host", "\"r.cmart.example\""),
    ("routing.marketing_states.US-WA", "\"08:00-20:00\""),
    ("routing.ttl.order_status", "\"12 h\""),
    ("routing.domain_rate", "\"5/s\""),
    ("routing.hold", "[{ when = \"amount > 1000\", reason = \"large\" }]"),
    ("routing.refund_alert_over", "\"100.00\""),
    ("routing.frequency.email", "[\"1 per 24 h\", \"3 per 7 d\"]"),
    ("routes.big-sales.on", "[\"sale.completed\"]"),
    ("routes.big-sales.when", "\"data.totals.grand_amount > 50000\""),
    ("routes.big-sales.audience", "\"staff\""),
    ("routes.big-sales.kind", "\"staff_event\""),
    ("routes.big-sales.channels", "[\"preferred\", \"email\"]"),
    ("routes.big-sales.to", "\"providers.main\""),
    ("routes.big-sales.template", "\"big_sale\""),
    ("routes.big-sales.delay", "\"5 min\""),
    ("routes.big-sales.enabled", "true"),
    ("routes.big-sales.providers", "[\"main\"]"),
    ("routes.big-sales.strategy", "\"failover\""),
    ("routes.big-sales.from", "\"Corner Mart <orders@cmart.example>\""),
    ("routes.big-sales.data", "[\"order\", \"fulfillment\"]"),
    ("brand.color", "\"#2b5f4a\""),
    ("brand.return_policy", "\"30 days with receipt\""),
    ("brand.statement_name", "\"CORNER MART\""),
    ("brand.links.Returns", "\"https://cmart.example/returns\""),
    ("templates.dir", "\"templates\""),
    ("templates.default_language", "\"en\""),
];

/// Names of the examples in tables with free names.
const NAMES: &[(&str, &str)] = &[
    ("tills", "front"),
    ("sources", "pos"),
    ("providers", "main"),
    ("brand.links", "Returns"),
    ("routes", "big-sales"),
    ("routing.marketing_states", "US-WA"),
    ("routing.ttl", "order_status"),
    ("routing.frequency", "email"),
];

/// The whole file.
pub fn text() -> String {
    let mut out = HEAD.to_owned();
    for key in ROOT {
        let _ = write!(out, "\n# {}\n", "-".repeat(WIDTH - 2));
        section(&mut out, key.name, key, matches!(key.shape, Shape::Table(_)) && key.name != "channels");
    }
    out
}

/// One table with its keys; tables in it follow after them. `on`: its defaults are active lines.
fn section(out: &mut String, path: &str, key: &Key, on: bool) {
    out.push_str(&comment(key.doc));
    match key.shape {
        Shape::Table(keys) => table(out, path, keys, on),
        Shape::Map(each) => {
            let name = NAMES.iter().find(|(map, _)| *map == path).map_or("NAME", |(_, name)| name);
            match each {
                Shape::Table(keys) => table(out, &format!("{path}.{name}"), keys, false),
                _ => {
                    let _ = writeln!(out, "#[{path}]\n#{name} = {}", value(&format!("{path}.{name}"), None));
                }
            }
        }
        _ => {}
    }
}

fn table(out: &mut String, path: &str, keys: &[Key], on: bool) {
    let is_table = |key: &&Key| matches!(key.shape, Shape::Table(_) | Shape::Map(_));
    if keys.iter().any(|k| !is_table(&k)) {
        let _ = writeln!(out, "{}[{path}]", if on { "" } else { "#" });
    }
    for key in keys.iter().filter(|k| !is_table(k)) {
        let active = if on && key.default.is_some() { "" } else { "#" };
        let path = format!("{path}.{}", key.name);
        let _ = write!(out, "\n{}{active}{} = {}\n", comment(key.doc), key.name, value(&path, key.default));
    }
    for key in keys.iter().filter(is_table) {
        out.push('\n');
        section(out, &format!("{path}.{}", key.name), key, on);
    }
}

fn value(path: &str, default: Option<&'static str>) -> &'static str {
    default.or_else(|| EXAMPLES.iter().find(|(key, _)| *key == path).map(|(_, example)| *example)).unwrap_or("?")
}

/// A text as comment lines.
pub fn comment(text: &str) -> String {
    let mut out = String::new();
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    out + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::defaults::DOCUMENT;

    /// `TILLPOST_BLESS=1` writes the file anew after a change of the key table.
    #[test]
    fn the_documented_file_is_what_the_key_table_says() {
        if std::env::var_os("TILLPOST_BLESS").is_some() {
            std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/config/tillpost.toml"), text()).unwrap();
            return;
        }
        assert!(DOCUMENT == text(), "the key table changed: write the file anew with TILLPOST_BLESS=1 cargo test --lib documented_file");
        assert!(!text().contains(" = ?"), "a key has neither default nor example: {}", text());
    }
}
