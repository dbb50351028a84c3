//! SMTP: mail by the shop's own server or any relay that takes a login.
//!
//! The only provider that is no HTTP API, so it drives its own connections and keeps a few of them.
//! A repeat has the same Message-ID and bytes, which many receivers use to drop the copy, but none
//! promises it: after the final dot without an answer nobody can know.

mod classify;
mod connect;
mod dkim;
mod mime;
mod reply;
#[cfg(test)]
mod tests;
mod wire;

use crate::config::TypeKeys;
use crate::config::checked::{Provider as Settings, Rate};
use crate::config::key::{Shape, optional, required};
use crate::config::secret::Secret;
use crate::domain::channel::Channel;
use crate::domain::content::Outgoing;
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::http;
use crate::providers::{Idempotency, Kind, Wire};
pub use classify::{Stage, classify};
pub use mime::{Mail, mail};
use reply::Reply;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use wire::{Connection, Trouble};

/// What it is.
pub static KIND: Kind = Kind {
    keys: TypeKeys {
        name: "smtp",
        doc: "Mail by an SMTP server: the shop's own, or a relay that takes a login.",
        channels: &[Channel::Email],
        keys: KEYS,
        example: "type = \"smtp\"\nhost = \"mail.cmart.example\"\nport = 465\ntls = \"implicit\"\nusername = \"receipts@cmart.example\"\npassword = \"the mailbox's password\"\n",
    },
    idempotency: Idempotency::None,
    rate: Rate::per_second(100),
    concurrency: 10,
    batch: 1,
    keeps_content: false,
    classify: None,
    callback: None,
    build,
};

const KEYS: &[crate::config::Key] = &[
    required("host", Shape::Text, "Name or address of the server."),
    optional("port", Shape::Int(1, 65_535), "Default 465, with `starttls` 587, with `none` 25."),
    optional(
        "tls",
        Shape::Word(&["implicit", "starttls", "none"]),
        "How the connection is encrypted; default `implicit`, on port 587 `starttls`. `none` only towards this machine or with `allow_insecure = true`.",
    ),
    optional("username", Shape::Text, "Name for the login; without it there is none."),
    optional("password", Shape::Secret, "Password for the login; with `auth = \"xoauth2\"` the access token."),
    optional(
        "auth",
        Shape::Word(&["auto", "plain", "login", "xoauth2"]),
        "Kind of login; default `auto`: PLAIN or LOGIN, whichever the server offers.",
    ),
    optional(
        "envelope_from",
        Shape::Text,
        "Where bounces go, e.g. `bounce+{id}@cmart.example`; `{id}` becomes our id of the delivery. Default: the sender's address.",
    ),
    optional(
        "dsn",
        Shape::Bool,
        "Asks for a report on what became of each mail, where the server offers that (RFC 3461); it comes to envelope_from.",
    ),
    optional("dkim", Shape::Table(DKIM), "Signs each mail, for a domain whose server does not."),
    optional("ca", Shape::Secret, "PEM text of a certificate to trust besides the public ones, for a server with its own authority."),
];

const DKIM: &[crate::config::Key] = &[
    required("domain", Shape::Text, "The domain of the sender's address."),
    required("selector", Shape::Text, "The name of the key's record: selector._domainkey.domain."),
    required("key", Shape::Secret, "The private key as PEM: RSA of 2048 bits or more, or Ed25519."),
];

/// An idle connection older than this is asked whether it still lives before a mail is trusted to it.
const CHECK_AFTER: Duration = Duration::from_secs(5);
/// An idle connection older than this is closed.
const CLOSE_AFTER: Duration = Duration::from_secs(60);

/// When encryption begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    Implicit,
    /// STARTTLS.
    Upgrade,
    None,
}

/// Name, password, and how they are shown to the server.
#[derive(Clone, Debug)]
struct Login {
    username: String,
    password: Secret,
    /// In the order of preference.
    mechanisms: &'static [&'static str],
}

impl Login {
    /// The first of ours that the server offers too.
    fn mechanism(&self, offered: &[String]) -> Option<&'static str> {
        self.mechanisms.iter().find(|m| offered.iter().any(|o| o == *m)).copied()
    }
}

/// Where and how to connect.
#[derive(Clone)]
struct Server {
    host: String,
    port: u16,
    tls: Tls,
    login: Option<Login>,
    trust: Arc<rustls::ClientConfig>,
}

/// An account with its connections.
pub struct Smtp {
    server: Server,
    envelope_from: String,
    dsn: bool,
    dkim: Option<Box<dkim::Signer>>,
    /// Most connections that are kept.
    keep: usize,
    /// With the moment of their last use; the latest at the end.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Server { host, port, tls, login, .. } = &self.server;
        write!(f, "Smtp({host}:{port}, {tls:?}, login: {})", login.is_some())
    }
}

fn build(settings: &Settings) -> Result<Wire, String> {
    Smtp::new(settings).map(Wire::Smtp)
}

impl Smtp {
    /// From the checked table. The error is a sentence for the config check.
    pub fn new(settings: &Settings) -> Result<Smtp, String> {
        let own = &settings.settings;
        let host = own.text("host").trim().to_owned();
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@".contains(c)) {
            return Err("host must be the server's name alone, e.g. mail.cmart.example".to_owned());
        }
        let port = own.int("port").map(u16::try_from).transpose().map_err(|_| "port must be between 1 and 65535")?;
        let tls = match own.text("tls") {
            "implicit" => Tls::Implicit,
            "starttls" => Tls::Upgrade,
            "" if port == Some(587) => Tls::Upgrade,
            "" => Tls::Implicit,
            "none" if settings.allow_insecure || http::is_loopback(&host) => Tls::None,
            "none" => {
                return Err(
                    "tls = \"none\" is for this machine only; use \"implicit\" or \"starttls\", or set allow_insecure = true".to_owned()
                );
            }
            _ => return Err("tls must be implicit, starttls or none".to_owned()),
        };
        let port = port.unwrap_or(match tls {
            Tls::Implicit => 465,
            Tls::Upgrade => 587,
            Tls::None => 25,
        });
        let envelope_from = own.text("envelope_from").to_owned();
        if !envelope_from.is_empty() && mime::mailbox(&envelope_from.replace("{id}", "id")).is_none() {
            return Err("envelope_from must be a mail address, e.g. bounce+{id}@cmart.example".to_owned());
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let trust = Arc::new(http::tls::client(own.secret("ca").expose())?);
        Ok(Smtp {
            server: Server { host, port, tls, login: login(settings)?, trust },
            envelope_from,
            dsn: own.flag("dsn"),
            dkim: own.table("dkim").map(dkim::Signer::new).transpose()?.map(Box::new),
            keep: settings.concurrency.unwrap_or(KIND.concurrency),
            idle: Mutex::default(),
        })
    }

    /// Name or address of the server.
    pub fn host(&self) -> &str {
        &self.server.host
    }

    /// Host, port, and whether the encryption begins with the first byte.
    pub fn place(&self) -> (&str, u16, bool) {
        (&self.server.host, self.server.port, self.server.tls == Tls::Implicit)
    }

    /// Connects, encrypts and logs in, and says goodbye: what comes of that without a mail.
    pub async fn greet(&self, step: Duration) -> Outcome {
        match Connection::open(&self.server, step).await {
            Ok(connection) => {
                connection.quit().await;
                Outcome::accepted(None)
            }
            Err(trouble) => trouble.outcome(),
        }
    }

    /// The mail and its envelope as they go out; an outcome where there can be none. Pure.
    pub fn request(&self, message: &Outgoing) -> Result<Mail, Outcome> {
        let mut mail = mail(message, &self.envelope_from)?;
        mail.report = self.dsn.then(|| message.step.to_string());
        if let Some(signer) = &self.dkim {
            let signed = signer.sign(&mail.message, message.composed_at.0.div_euclid(1000));
            mail.message = signed.ok_or_else(|| Outcome::new(Class::Auth, Scope::Account, "the mail cannot be signed with dkim.key"))?;
        }
        Ok(mail)
    }

    /// One attempt. `step` bounds each step of the dialogue, also a server that never greets.
    pub async fn send(&self, message: &Outgoing, step: Duration) -> Outcome {
        let mail = match self.request(message) {
            Ok(mail) => mail,
            Err(outcome) => return outcome,
        };
        if let Some(mut used) = self.take(step).await {
            match used.deliver(&mail).await {
                // Nobody saw the mail: it goes over a new connection, as part of the same attempt.
                Err(trouble) if trouble.was_stale() => {}
                done => return self.finish(used, done),
            }
        }
        match Connection::open(&self.server, step).await {
            Ok(mut new) => {
                let done = new.deliver(&mail).await;
                self.finish(new, done)
            }
            Err(trouble) => trouble.outcome(),
        }
    }

    /// Closes connections that nobody used for a minute.
    pub fn tidy(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, since)| since.elapsed() < CLOSE_AFTER);
    }

    /// Ends all idle dialogues in order: for the end of the program.
    pub async fn close(&self) {
        let idle = std::mem::take(&mut *self.idle.lock().unwrap_or_else(PoisonError::into_inner));
        for (connection, _) in idle {
            connection.within(Duration::from_secs(1)).quit().await;
        }
    }

    /// A connection that was used before and still lives.
    async fn take(&self, step: Duration) -> Option<Connection> {
        loop {
            let (connection, since) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let idle = since.elapsed();
            if idle >= CLOSE_AFTER {
                continue;
            }
            let mut connection = connection.within(step);
            if idle < CHECK_AFTER || connection.is_alive().await {
                return Some(connection);
            }
        }
    }

    fn finish(&self, connection: Connection, done: Result<Reply, Trouble>) -> Outcome {
        if connection.usable() {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < self.keep {
                idle.push((connection, Instant::now()));
            }
        }
        match done {
            Ok(reply) => classify(Stage::DataEnd, Some(&reply.text)),
            Err(trouble) => trouble.outcome(),
        }
    }
}

fn login(settings: &Settings) -> Result<Option<Login>, String> {
    let own = &settings.settings;
    let (username, password) = (own.text("username").to_owned(), own.secret("password"));
    let mechanisms: &'static [&'static str] = match own.text("auth") {
        "" | "auto" => &["PLAIN", "LOGIN"],
        "plain" => &["PLAIN"],
        "login" => &["LOGIN"],
        "xoauth2" => &["XOAUTH2"],
        _ => return Err("auth must be auto, plain, login or xoauth2".to_owned()),
    };
    match (username.is_empty(), password.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(Login { username, password, mechanisms })),
        _ => Err("username and password belong together".to_owned()),
    }
}
