//! The table of all keys that this release knows: each once, with its shape, its default and what it
//! does. The check, the JSON Schema, `config/tillpost.toml` and `init` follow from it. A key stands
//! here only once the program obeys it.

use crate::config::forms;
use crate::config::key::{Key, Kinds, Shape, default, optional, required};
use crate::config::routing::{ROUTE, ROUTING};
use crate::config::tree::Table;

/// The whole file: its sections.
pub const ROOT: &[Key] = &[
    optional("shop", Shape::Table(SHOP), "Who sells. Receipts show it, and times and numbers follow it."),
    optional("agent", Shape::Table(AGENT), "The box that Tillpost runs on."),
    optional("http", Shape::Table(HTTP), "Where tills, webhooks and the page of the shop reach Tillpost."),
    optional("tills", Shape::Map(&Shape::Table(TILL)), "Who may post sales: one table [tills.NAME] for each till or program."),
    optional(
        "sources",
        Shape::Map(&Shape::Table(SOURCE)),
        "Other ways for sales to come in: one table [sources.NAME] for each. The type brings keys of its own.",
    ),
    optional(
        "providers",
        Shape::Map(&Shape::Table(PROVIDER)),
        "Accounts that messages go out by: one table [providers.NAME] for each. The type brings keys of its own.",
    ),
    optional("channels", Shape::Table(CHANNELS), "How each channel sends, and by which providers. A channel without a table is not used."),
    optional("routing", Shape::Table(ROUTING), "Who gets what and when: patience, retries, and what happens after the line was down."),
    optional(
        "routes",
        Shape::Map(&Shape::Table(ROUTE)),
        "Rules of the shop's own: one table [routes.NAME] for each. A built-in rule is changed by its name: receipts, refunds, order_status, password_reset, staff_events, digests, alerts.",
    ),
    optional("brand", Shape::Table(BRAND), "How receipts look."),
    optional("templates", Shape::Table(TEMPLATES), "The shop's own templates."),
    optional("retention", Shape::Table(RETENTION), "How long things are kept. What is older is deleted for good."),
];

const SHOP: &[Key] = &[
    default("id", Shape::Text, "\"shop\"", "Short id, unique among the shops of one company."),
    optional("name", Shape::Text, "Name of the shop as customers know it."),
    optional("legal_name", Shape::Text, "Name as it stands on documents, where it differs."),
    optional("address", Shape::Text, "Postal address; lines are parted by \\n."),
    optional("phone", Shape::Text, "Telephone number for customers, as they should read it."),
    optional("email", Shape::Text, "E-mail address for customers."),
    optional("tax_id", Shape::Text, "VAT or sales tax number, as receipts must show it."),
    optional("country", Shape::Form(&forms::COUNTRY), "Country (ISO 3166). National telephone numbers are read by its rules."),
    optional("region", Shape::Form(&forms::REGION), "State or province (ISO 3166-2), where rules depend on it."),
    default(
        "timezone",
        Shape::TimeZone,
        "\"UTC\"",
        "Time zone of the shop (IANA name). Receipts, business days and quiet hours follow it.",
    ),
    default("locale", Shape::Form(&forms::LOCALE), "\"en-US\"", "Language and number format of the shop (BCP 47)."),
    default("currency", Shape::Form(&forms::CURRENCY), "\"USD\"", "Currency (ISO 4217) of amounts that do not name theirs."),
    optional("opening_hours", Shape::Text, "Opening hours, as customers should read them."),
];

const AGENT: &[Key] = &[
    optional(
        "data_dir",
        Shape::Path,
        "Where everything is kept. Without it /var/lib/tillpost as root, else tillpost in $XDG_STATE_HOME or ~/.local/state.",
    ),
    default("disk_budget", Shape::Size, "\"2 GiB\"", "The most that the data directory may take."),
    default(
        "clock",
        Shape::Word(&["check", "trust"]),
        "\"check\"",
        "With \"check\" a clock that is plainly wrong is set aside until it is right; with \"trust\" it is always believed.",
    ),
    optional(
        "line_probe",
        Shape::Url,
        "A URL that is asked to learn whether the line to the internet is up. Without it a built-in list is asked.",
    ),
    optional("log", Shape::Table(LOG), "Where and how much is logged."),
];

const LOG: &[Key] = &[
    optional("dir", Shape::Path, "Folder of the log files. Without it logs in the data directory."),
    default(
        "level",
        Shape::Word(&["error", "warn", "info", "debug", "trace"]),
        "\"info\"",
        "How much is logged. No level logs secrets or addresses of customers.",
    ),
    default("max_files", Shape::Int(1, 1000), "5", "How many log files are kept."),
    default("max_size", Shape::Size, "\"10 MiB\"", "How large one log file may grow."),
];

const HTTP: &[Key] = &[
    default(
        "listen",
        Shape::Form(&forms::LISTEN),
        "\"127.0.0.1:8480\"",
        "Address and port to listen on. 0.0.0.0:8480 for all of the shop's network.",
    ),
    optional("public_url", Shape::Url, "How others reach this box, where that is not the address above; for links and callbacks."),
    default("trusted_proxies", Shape::List(&Shape::Form(&forms::NET)), "[]", "Reverse proxies whose X-Forwarded-For is believed."),
    optional(
        "tls",
        Shape::Word(&["off"]),
        "\"off\" says that plain HTTP beyond this machine is meant. Needed to listen on the shop's network.",
    ),
    default("body_limit", Shape::Size, "\"2 MiB\"", "The largest request body; a larger one is refused."),
    default("rate_limit", Shape::Rate, "\"200/s\"", "Requests per key; more are told to wait."),
    default("rate_burst", Shape::Int(1, 1_000_000), "500", "Requests of one key that may come at once before rate_limit counts."),
    default(
        "max_connections",
        Shape::Int(8, 65_535),
        "256",
        "Connections at once. When all are taken, an idle one gives way or the new one waits.",
    ),
];

const TILL: &[Key] = &[
    required(
        "key",
        Shape::Either(&[Shape::Secret, Shape::List(&Shape::Secret)]),
        "The key that the till sends, or a list of the current and the previous one. 16 characters or more.",
    ),
    default("test", Shape::Bool, "false", "Messages about its sales reach the test inbox only."),
    optional("source", Shape::Text, "How its sales are labelled. Without it by the name of the till."),
    default("addresses", Shape::List(&Shape::Form(&forms::NET)), "[]", "Addresses from which it may post. Empty: from anywhere."),
    default(
        "receipts",
        Shape::Word(&["always", "registered", "on_request", "never"]),
        "\"always\"",
        "When customers get a receipt by themselves: always, only those known before, only on request, or never.",
    ),
];

/// Keys of every source, whatever its type.
pub const SOURCE: &[Key] = &[
    required("type", Shape::Text, "What kind of source this is."),
    default(
        "sends_receipt_itself",
        Shape::Bool,
        "false",
        "The till sends receipts by itself, so Tillpost sends none for its sales unless asked.",
    ),
    default(
        "validation",
        Shape::Word(&["lenient", "strict"]),
        "\"lenient\"",
        "With \"strict\" a sale with unknown members is refused instead of kept.",
    ),
];

/// Keys of every provider, whatever its type.
pub const PROVIDER: &[Key] = &[
    required("type", Shape::Text, "What kind of provider this is."),
    optional("base_url", Shape::Url, "Another address of its API, for regions and tests."),
    default("allow_insecure", Shape::Bool, "false", "An unencrypted connection beyond this machine is meant."),
    default("allow_private", Shape::List(&Shape::Form(&forms::NET)), "[]", "Addresses in the shop's own network that it may reach."),
    optional(
        "rate",
        Shape::Rate,
        "The most that the account allows: calls, or recipients where the provider counts those. Without it the type's own.",
    ),
    optional("concurrency", Shape::Int(1, 256), "Attempts at the same time. Without it the type's own."),
    default("timeout", Shape::Duration, "\"30 s\"", "The longest that each step of an attempt may take."),
];

const PROVIDERS: Shape = Shape::List(&Shape::Provider);
const BY: &str = "Providers in the order in which they are tried.";

/// One table for each channel, named as in [`crate::domain::channel::Channel`].
const CHANNELS: &[Key] = &[
    optional("email", Shape::Table(EMAIL), "E-mail."),
    optional("sms", Shape::Table(SMS), "Text messages."),
    optional("whatsapp", Shape::Table(PLAIN), "WhatsApp messages."),
    optional("chat", Shape::Table(PLAIN), "The chat of the staff."),
    optional("push", Shape::Table(PLAIN), "Notifications on the customer's own device."),
    optional("crm", Shape::Table(PLAIN), "Customer systems."),
    optional("ticket", Shape::Table(PLAIN), "Helpdesks."),
    optional("webhook", Shape::Table(PLAIN), "HTTP calls to other systems of the shop."),
    optional("print", Shape::Table(PLAIN), "The receipt printer."),
    optional("publish", Shape::Table(PUBLISH), "Upload of the page behind a receipt's link."),
];

const EMAIL: &[Key] = &[
    required("from", Shape::Mailbox, "The sender that customers see."),
    optional("reply_to", Shape::Mailbox, "Where answers of customers go, if not to the sender."),
    default("providers", PROVIDERS, "[]", BY),
];

const SMS: &[Key] = &[
    optional("from", Shape::Text, "The number or name that customers see."),
    optional("messaging_service", Shape::Text, "The provider's pool of senders, in place of from."),
    default("providers", PROVIDERS, "[]", BY),
    default("link", Shape::Bool, "true", "Texts carry a link to the receipt, where a channel publishes it."),
    default("transliterate", Shape::Bool, "false", "Replaces letters that would halve the length of a text (á becomes a)."),
];

const PUBLISH: &[Key] =
    &[optional("host", Shape::Text, "The host name of receipt links, e.g. r.cmart.example."), default("providers", PROVIDERS, "[]", BY)];

const PLAIN: &[Key] = &[default("providers", PROVIDERS, "[]", BY)];

const BRAND: &[Key] = &[
    optional("color", Shape::Form(&forms::COLOR), "Main colour of receipts."),
    default("legal", Shape::List(&Shape::Text), "[]", "Lines at the foot of each receipt."),
    default(
        "promotions",
        Shape::List(&Shape::Text),
        "[]",
        "Lines of the promotion block, shown only to customers who agreed to offers. Empty: no block.",
    ),
    optional("return_policy", Shape::Text, "How and how long goods can be returned, in words."),
    optional("statement_name", Shape::Text, "How the shop shows on a card statement."),
    optional("links", Shape::Map(&Shape::Url), "Links at the foot of each receipt: label = URL."),
];

const TEMPLATES: &[Key] = &[
    optional(
        "dir",
        Shape::Path,
        "Folder with templates and languages of the shop's own. They take the place of built-in ones of the same name.",
    ),
    optional(
        "default_language",
        Shape::Form(&forms::LOCALE),
        "Language of a receipt when the customer's is not known. Without it that of the shop's locale.",
    ),
];

const RETENTION: &[Key] = &[
    default("receipts", Shape::Duration, "\"120 d\"", "Receipts, their messages and their links."),
    default("raw_events", Shape::Duration, "\"14 d\"", "What came in, as it came."),
    default("attempts", Shape::Duration, "\"30 d\"", "The record of each attempt to send."),
];

/// The keys that a table may hold.
pub struct Known {
    /// In the order of the table.
    pub keys: Vec<Key>,
    /// Other keys are neither known nor wrong: the type is not known.
    pub open: bool,
}

impl Known {
    /// The key of a name.
    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|k| k.name == name)
    }
}

/// The keys of the table at `path`: those of its shape and, for a source or provider, of its type.
pub fn known(path: &[String], keys: &[Key], table: Option<&Table>, kinds: &Kinds) -> Known {
    let all = match path {
        [section, _] if section == "sources" => &kinds.sources,
        [section, _] if section == "providers" => &kinds.providers,
        _ => return Known { keys: keys.to_vec(), open: false },
    };
    let word = table.and_then(|t| t.get("type")).and_then(|node| node.text());
    match all.iter().find(|kind| Some(kind.name) == word) {
        Some(kind) => {
            let common = keys.iter().filter(|common| kind.keys.iter().all(|own| own.name != common.name));
            Known { keys: common.chain(kind.keys).copied().collect(), open: false }
        }
        None => Known { keys: keys.to_vec(), open: true },
    }
}

/// Types of sources that exist in the contract, built or not: the simulator takes them all.
pub const SOURCE_TYPES: &[&str] = &[
    "square",
    "clover",
    "toast",
    "shopify",
    "stripe",
    "zapier",
    "lan",
    "serial-tap",
    "network-tap",
    "file-drop",
    "modbus",
    "relay",
    "smtp-in",
    "bounces",
];

/// The same for providers.
pub const PROVIDER_TYPES: &[&str] = &[
    "smtp",
    "sendgrid",
    "mailgun",
    "mandrill",
    "mailchimp",
    "postmark",
    "ses",
    "gmail",
    "graph",
    "twilio",
    "vonage",
    "sns",
    "whatsapp",
    "slack",
    "teams",
    "hubspot",
    "salesforce",
    "freshdesk",
    "zendesk",
    "zapier",
    "fcm",
    "apns",
    "webpush",
    "webhook",
    "http",
    "print",
    "publish",
    "capture",
];
