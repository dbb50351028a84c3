//! The settings as used: every value has its type, its default and a meaning that holds.

use crate::config::Secret;
use crate::config::routing::Gated;
pub use crate::config::routing::{Route, Routing};
use crate::domain::channel::Channel;
use crate::domain::ids::{hash16, hex};
use crate::domain::message::Kind;
use crate::domain::shop::{Brand, Shop};
use crate::domain::time::UnixMs;
use crate::sys::clock::Now;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Everything that the agent is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[shop]`
    pub shop: Shop,
    /// `[agent]`
    pub agent: Agent,
    /// `[http]`
    pub http: Http,
    /// `[tills.NAME]`, by name
    pub tills: BTreeMap<String, Till>,
    /// `[sources.NAME]`, by name
    pub sources: BTreeMap<String, Source>,
    /// `[providers.NAME]`, by name
    pub providers: BTreeMap<String, Provider>,
    /// `[channels.NAME]`, by channel
    pub channels: BTreeMap<Channel, ChannelSettings>,
    /// `[routing]`
    pub routing: Routing,
    /// Rules by their names, built-in ones included.
    pub routes: BTreeMap<String, Route>,
    /// `[brand]`
    pub brand: Brand,
    /// `[templates]`
    pub templates: Templates,
    /// `[retention]`
    pub retention: Retention,
    /// No config file was found: sales are kept and nothing is sent.
    pub safe_mode: bool,
    /// The files are wrong: these are the settings that they held when they were last good.
    pub last_good: bool,
}

impl Config {
    /// Whether texts carry links, and a channel uploads what is behind them.
    pub fn publishes(&self) -> bool {
        let up = self.channels.get(&Channel::Publish).is_some_and(|c| !c.providers.is_empty());
        up && self.channels.get(&Channel::Sms).is_none_or(|sms| sms.link)
    }

    /// Until when it is worth trying to upload what is behind a link; `None` where nothing is uploaded.
    pub fn publish_until(&self, now: UnixMs) -> Option<UnixMs> {
        const TWO_WEEKS: Duration = Duration::from_secs(14 * 86_400);
        self.publishes().then(|| now + TWO_WEEKS)
    }

    /// The address of a receipt's page by its token.
    pub fn link(&self, token: &str) -> String {
        let host = self.channels.get(&Channel::Publish).map(|c| c.host.as_str()).unwrap_or_default();
        match (host, &self.http.public_url) {
            ("", Some(url)) => format!("{}/t/{token}", url.trim_end_matches('/')),
            ("", None) => format!("http://{}/t/{token}", self.http.listen),
            (host, _) => format!("https://{host}/{token}"),
        }
    }

    /// When a message may go out, by the clock on the recipient's wall; at once while the clock cannot be believed.
    #[allow(clippy::too_many_arguments)] // a message, a way, and the moment
    pub fn opens(&self, kind: Kind, channel: Channel, at: UnixMs, zone: &str, region: &str, address: &str, now: Now) -> UnixMs {
        let gated = Gated { kind, channel, at, zone, region, address };
        if now.good { self.routing.not_before(&gated, &self.shop, now.wall) } else { now.wall }
    }

    /// The channel and the provider of a message to staff or a system: the one that is named, else the first
    /// of the chat. `None` where there is none.
    pub fn destination(&self, named: Option<&str>, system: bool) -> Option<(Channel, String)> {
        let of = |name: &str| self.channels.iter().find(|(_, c)| c.providers.iter().any(|p| p == name)).map(|(channel, _)| *channel);
        match named {
            Some(name) if self.providers.contains_key(name) => {
                Some((of(name).unwrap_or(if system { Channel::Webhook } else { Channel::Chat }), name.to_owned()))
            }
            Some(_) => None,
            None => self.channels.get(&Channel::Chat)?.providers.first().map(|name| (Channel::Chat, name.clone())),
        }
    }

    /// A short name for exactly these settings; secrets do not go into it.
    pub fn version(&self) -> String {
        let mut hash = hex(&hash16(format!("{self:?}").as_bytes()));
        hash.truncate(12);
        hash
    }
}

/// The box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The most bytes that the data directory may take.
    pub disk_budget: u64,
    /// `check` or `trust`.
    pub clock_trusted: bool,
    /// What is asked to learn whether the line is up; without it a built-in list.
    pub line_probe: Option<String>,
    /// Where and how much is logged.
    pub log: Log,
}

/// `[agent] log = { … }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Folder; default `logs` in the data directory.
    pub dir: Option<PathBuf>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// How many files are kept.
    pub max_files: usize,
    /// Bytes of one file.
    pub max_size: u64,
}

/// The listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How others reach it.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `tls = "off"` is written down: plain HTTP beyond loopback is meant.
    pub tls_off: bool,
    /// Bytes of a body, webhooks aside.
    pub body_limit: usize,
    /// Requests per key.
    pub rate_limit: Rate,
    /// Requests of one key at once.
    pub rate_burst: u32,
    /// Connections at once.
    pub max_connections: usize,
}

/// An address range: `10.1.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpNet {
    /// First address.
    pub addr: IpAddr,
    /// Leading bits that count.
    pub bits: u8,
}

impl IpNet {
    /// Reads `10.1.2.0/24` or a single address.
    pub fn parse(text: &str) -> Option<IpNet> {
        let (addr, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let addr: IpAddr = addr.trim().parse().ok()?;
        let most = if addr.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(b) => b.trim().parse().ok().filter(|b| *b <= most)?,
            None => most,
        };
        Some(IpNet { addr, bits })
    }

    /// Whether the address lies in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        fn first_bits(ip: IpAddr, bits: u8) -> (bool, u128) {
            match ip.to_canonical() {
                IpAddr::V4(v4) => (true, u128::from(u32::from(v4)).checked_shr(32 - u32::from(bits.min(32))).unwrap_or(0)),
                IpAddr::V6(v6) => (false, u128::from(v6).checked_shr(128 - u32::from(bits)).unwrap_or(0)),
            }
        }
        first_bits(self.addr, self.bits) == first_bits(ip, self.bits)
    }
}

/// So many per so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// Per this.
    pub per: Duration,
}

impl Rate {
    /// Per second.
    pub const fn per_second(count: u32) -> Rate {
        Rate { count, per: Duration::from_secs(1) }
    }
}

/// When a till's customers get a receipt by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receipts {
    /// Whenever an address is known.
    #[default]
    Always,
    /// Only to a contact known before.
    Registered,
    /// Only where the till or the customer asked.
    OnRequest,
    /// Never.
    Never,
}

/// Who may post sales.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Till {
    /// Its keys: the current and the previous one.
    pub keys: Vec<Secret>,
    /// Its messages reach the capture inbox only.
    pub test: bool,
    /// How its sales are labelled; default the till's name.
    pub source: Option<String>,
    /// From where it may post; empty: from anywhere.
    pub addresses: Vec<IpNet>,
    /// See [`Receipts`].
    pub receipts: Receipts,
}

/// A way in.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The word after `type =`.
    pub kind: String,
    /// The POS mails receipts itself.
    pub sends_receipt_itself: bool,
    /// Unknown members are refused.
    pub strict: bool,
    /// The type's own keys.
    pub settings: Settings,
}

/// An account at a company that can send.
#[derive(Clone, Debug, PartialEq)]
pub struct Provider {
    /// The word after `type =`.
    pub kind: String,
    /// Another address of its API; for regions and tests.
    pub base_url: Option<String>,
    /// Plain HTTP or SMTP beyond loopback is meant.
    pub allow_insecure: bool,
    /// LAN hosts that it may reach.
    pub allow_private: Vec<IpNet>,
    /// Calls, or recipients; default the type's.
    pub rate: Option<Rate>,
    /// Attempts at once; default the type's.
    pub concurrency: Option<usize>,
    /// Bounds each step of an attempt.
    pub timeout: Duration,
    /// The type's own keys.
    pub settings: Settings,
}

/// How a channel sends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelSettings {
    /// Sender: a mailbox for e-mail, a number or name for SMS.
    pub from: String,
    /// Where answers go.
    pub reply_to: String,
    /// Twilio's Messaging Service or its like.
    pub messaging_service: String,
    /// Providers in the order of failover.
    pub providers: Vec<String>,
    /// Replace letters that would make a text UCS-2.
    pub transliterate: bool,
    /// Texts carry a link to the receipt.
    pub link: bool,
    /// Host name of receipt links, on the channel that publishes them.
    pub host: String,
}

/// `[templates]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Templates {
    /// Folder with the shop's own templates and languages, over the built-in ones.
    pub dir: Option<PathBuf>,
    /// Language of a receipt when the customer's is not known; default the language of the shop's locale.
    pub default_language: Option<String>,
}

/// `[retention]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Receipts and their messages.
    pub receipts: Duration,
    /// Raw events.
    pub raw_events: Duration,
    /// Attempts.
    pub attempts: Duration,
}

/// The checked keys of one type of source or provider, read by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(pub BTreeMap<String, Setting>);

/// One checked value.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// Text, also words, URLs and sockets.
    Text(String),
    /// Yes or no.
    Bool(bool),
    /// A whole number, also bytes.
    Int(i64),
    /// A length of time.
    Duration(Duration),
    /// A secret, already fetched.
    Secret(Secret),
    /// A list.
    List(Vec<Setting>),
    /// A table.
    Table(Settings),
}

impl Settings {
    /// Text by name; empty where it is not given.
    pub fn text(&self, name: &str) -> &str {
        match self.0.get(name) {
            Some(Setting::Text(text)) => text,
            _ => "",
        }
    }

    /// Yes or no by name; no where it is not given.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Setting::Bool(true)))
    }

    /// A number by name.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Setting::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// A secret by name; empty where it is not given.
    pub fn secret(&self, name: &str) -> Secret {
        match self.0.get(name) {
            Some(Setting::Secret(secret)) => secret.clone(),
            _ => Secret::default(),
        }
    }

    /// A list of secrets by name; a single one counts as a list of one.
    pub fn secrets(&self, name: &str) -> Vec<Secret> {
        match self.0.get(name) {
            Some(Setting::Secret(secret)) => vec![secret.clone()],
            Some(Setting::List(all)) => {
                all.iter().filter_map(|s| if let Setting::Secret(s) = s { Some(s.clone()) } else { None }).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A table by name.
    pub fn table(&self, name: &str) -> Option<&Settings> {
        match self.0.get(name) {
            Some(Setting::Table(table)) => Some(table),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_ranges() {
        let net = IpNet::parse("10.1.2.0/24").unwrap();
        assert!(net.contains("10.1.2.200".parse().unwrap()) && net.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!net.contains("10.1.3.1".parse().unwrap()) && !net.contains("::1".parse().unwrap()));
        assert!(IpNet::parse("0.0.0.0/0").unwrap().contains("8.8.8.8".parse().unwrap()));
        assert!(IpNet::parse("10.0.0.1/33").is_none() && IpNet::parse("shop").is_none());
        assert_eq!(IpNet::parse("10.1.2.3").unwrap().bits, 32);
    }
}
