//! The check of an account, step by step, without sending anything: name, connection, encryption, login. Each
//! step says in a sentence what was found and, where it failed, what to do; what comes after a fault is left out.

use super::{Account, Health, UnixMs, Wire};
use crate::domain::outcome::{Class, Outcome};
use crate::http::{self, Client, Transport, tls};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, Error as TlsError, ProtocolVersion};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Bounds each step: a person waits.
const STEP: Duration = Duration::from_secs(5);

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `dns`, `tcp`, `tls`, `login` or `message`.
    pub step: &'static str,
    /// It went well.
    pub good: bool,
    /// What was found.
    pub say: String,
    /// What to do; empty where nothing is to be done.
    pub fix: String,
}

fn good(step: &'static str, say: impl Into<String>) -> Finding {
    Finding { step, good: true, say: say.into(), fix: String::new() }
}

fn bad(step: &'static str, say: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding { step, good: false, say: say.into(), fix: fix.into() }
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// In order; the last one is the fault, where there is one.
    pub findings: Vec<Finding>,
    /// What the account told of itself.
    pub health: Option<Health>,
}

impl Checked {
    /// Whether everything that could be seen without sending is well.
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.good)
    }
}

/// Where an account is.
struct Place {
    host: String,
    port: u16,
    /// Encrypted from the first byte.
    tls: bool,
}

impl Account {
    /// Checks the way to the account and its login.
    pub async fn check(&self, client: &Client, now: UnixMs) -> Checked {
        let mut checked = Checked::default();
        let Some(place) = self.place() else {
            checked.findings.push(good("login", "it is on this box and needs nothing"));
            return checked;
        };
        if !way(&place, &mut checked.findings).await {
            return checked;
        }
        let outcome = match &self.wire {
            Wire::Smtp(smtp) => Some(smtp.greet(self.timeout.min(STEP * 2)).await),
            Wire::Http(_) => {
                checked.health = self.probe(client, now).await;
                checked.health.as_ref().map(|health| health.outcome.clone())
            }
            _ => None,
        };
        checked.findings.push(match outcome {
            Some(outcome) => login(&self.name, &outcome),
            None => good("login", "this type cannot be asked without sending; a message shows it: --to ADDRESS"),
        });
        checked
    }

    fn place(&self) -> Option<Place> {
        match &self.wire {
            Wire::Http(provider) => {
                let (host, port, tls) = http::place(provider.base_url())?;
                Some(Place { host, port, tls })
            }
            Wire::Smtp(smtp) => {
                let (host, port, tls) = smtp.place();
                Some(Place { host: host.to_owned(), port, tls })
            }
            _ => None,
        }
    }
}

/// Name, connection, and encryption where it begins at once. False: there is no way.
async fn way(place: &Place, findings: &mut Vec<Finding>) -> bool {
    let Place { host, port, .. } = place;
    let addresses: Vec<SocketAddr> = match timeout(STEP, lookup_host((host.as_str(), *port))).await {
        Ok(Ok(found)) => found.take(8).collect(),
        _ => Vec::new(),
    };
    if addresses.is_empty() {
        let fix = "check the name in the config, the line (`tillpost status`) and the name server";
        findings.push(bad("dns", format!("the name {host} has no address"), fix));
        return false;
    }
    findings.push(good("dns", format!("{host} has {} address{}", addresses.len(), if addresses.len() == 1 { "" } else { "es" })));
    let mut why = "nothing answers";
    for address in addresses {
        match timeout(STEP, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                findings.push(good("tcp", format!("port {port} is open")));
                return !place.tls || encrypt(tcp, place, findings).await;
            }
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => why = "it refuses the connection",
            Ok(Err(_)) => why = "there is no way to it",
            Err(_) => why = "no answer in time",
        }
    }
    let fix = "check the port, and that no firewall between this box and the internet closes it";
    findings.push(bad("tcp", format!("{host}, port {port}: {why}"), fix));
    false
}

async fn encrypt(tcp: TcpStream, place: &Place, findings: &mut Vec<Finding>) -> bool {
    let host = &place.host;
    let (Ok(config), Ok(name)) = (tls::client(""), ServerName::try_from(host.clone())) else {
        findings.push(bad("tls", format!("{host} is no name for a certificate"), "check the name in the config"));
        return false;
    };
    let finding = match timeout(STEP, TlsConnector::from(Arc::new(config)).connect(name, tcp)).await {
        Ok(Ok(stream)) => {
            let version = match stream.get_ref().1.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
                _ => "TLS 1.2",
            };
            good("tls", format!("{version}; the certificate is {host}'s and valid"))
        }
        Ok(Err(error)) => of_tls(host, error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>())),
        Err(_) => bad("tls", format!("{host} does not answer the TLS handshake"), "check that the port speaks TLS from the first byte"),
    };
    let done = finding.good;
    findings.push(finding);
    done
}

fn of_tls(host: &str, error: Option<&TlsError>) -> Finding {
    use CertificateError::{
        Expired, ExpiredContext, NotValidForName, NotValidForNameContext, NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    let (say, fix) = match error {
        Some(TlsError::InvalidCertificate(why)) => match why {
            Expired | ExpiredContext { .. } => ("its certificate has expired", "tell its owner; if the clock of this box is ahead, set it"),
            NotValidYet | NotValidYetContext { .. } => ("its certificate is not valid yet", "the clock of this box is behind: set it"),
            NotValidForName | NotValidForNameContext { .. } => {
                ("its certificate is another host's", "check the name in the config; a login page of the network also does this")
            }
            UnknownIssuer => (
                "nobody that is trusted signed its certificate",
                "a server of one's own: give its certificate as `ca`; else something reads along",
            ),
            _ => ("its certificate cannot be trusted", "tell its owner"),
        },
        Some(TlsError::PeerIncompatible(_) | TlsError::AlertReceived(_)) => {
            ("it speaks no TLS that is safe enough (1.2 or 1.3)", "it has to be brought up to date")
        }
        _ => ("the TLS handshake failed", "check that the port speaks TLS from the first byte: 465 does, 587 begins in clear"),
    };
    bad("tls", format!("{host}: {say}"), fix)
}

/// What the answer to a question that needs the login means.
fn login(name: &str, outcome: &Outcome) -> Finding {
    let said = if outcome.detail.is_empty() { String::new() } else { format!(": {}", outcome.detail) };
    match outcome.class {
        Class::Accepted => good("login", "the account takes the login"),
        Class::Auth if outcome.detail.contains("STARTTLS") => {
            bad("tls", format!("it cannot be encrypted{said}"), "use port 465 with tls = \"implicit\", or another server")
        }
        Class::Auth => {
            let fix = format!("check key, account and sender in [providers.{name}]; then: tillpost provider resume {name}");
            bad("login", format!("the account refuses{said}"), fix)
        }
        Class::Throttle => {
            bad("login", format!("it asks to slow down{said}"), "wait a while; a lower `rate` in its table keeps it from happening")
        }
        _ => unanswered(outcome, &said),
    }
}

fn unanswered(outcome: &Outcome, said: &str) -> Finding {
    match Transport::from_word(&outcome.detail) {
        Some(Transport::Tls | Transport::TlsClock) => {
            bad("tls", format!("the encryption failed{said}"), "check host, port and `tls` in the config, and the clock of this box")
        }
        Some(_) => {
            bad("login", format!("the connection broke{said}"), "try again; if it stays so, ask the provider or look at its status page")
        }
        None => bad("login", format!("it does not answer as it should{said}"), "try again later, or look at the provider's status page"),
    }
}

/// What came of a message that was sent to see whether it goes.
pub fn of_message(name: &str, to: &str, outcome: &Outcome) -> Finding {
    let said = if outcome.detail.is_empty() { String::new() } else { format!(": {}", outcome.detail) };
    match outcome.class {
        Class::Accepted => good("message", format!("it took the message to {to}")),
        Class::Auth => {
            let fix = format!("verify the sender or domain at the provider, or change `from`; then: tillpost provider resume {name}");
            bad("message", format!("it does not let this account or sender send{said}"), fix)
        }
        Class::Permanent => bad("message", format!("it refuses this message or address{said}"), "try another address"),
        Class::Uncertain => bad("message", format!("it may have arrived or not{said}"), "look into the mailbox before sending another"),
        Class::Throttle => bad("message", format!("it asks to slow down{said}"), "wait a while"),
        Class::Offline | Class::Retry => bad("message", format!("it did not take the message{said}"), "try again later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outcome::Scope;
    use crate::providers::conformance::account;

    fn steps(checked: &Checked) -> Vec<(&'static str, bool)> {
        checked.findings.iter().map(|f| (f.step, f.good)).collect()
    }

    #[tokio::test]
    async fn each_fault_of_the_way_is_named_with_what_to_do() {
        let open = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (open_at, closed_at) = (open.local_addr().unwrap(), closed.local_addr().unwrap());
        drop(closed);
        let client = Client::new();
        let check = async |text: &str| {
            let account = Account::new("main", &account("smtp", text)).unwrap();
            account.check(&client, UnixMs(0)).await
        };
        let nowhere = check("host = \"nowhere.invalid\"").await;
        assert_eq!(steps(&nowhere), [("dns", false)]);
        let refused = check(&format!("host = \"127.0.0.1\"\nport = {}\ntls = \"implicit\"", closed_at.port())).await;
        assert_eq!(steps(&refused), [("dns", true), ("tcp", false)]);
        assert!(refused.findings[1].say.contains("refuses") && !refused.findings[1].fix.is_empty());
        // It greets in clear where TLS was expected.
        #[allow(clippy::disallowed_methods)] // a server of the test's own
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = open.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"220 mail.example ESMTP\r\n").await;
            }
        });
        let clear = check(&format!("host = \"127.0.0.1\"\nport = {}\ntls = \"implicit\"", open_at.port())).await;
        assert_eq!(steps(&clear), [("dns", true), ("tcp", true), ("tls", false)]);
        assert!(clear.findings[2].fix.contains("587"), "{clear:?}");
    }

    #[test]
    fn certificates_and_logins_have_their_sentence() {
        let tls = |why| of_tls("mail.cmart.example", Some(&TlsError::InvalidCertificate(why)));
        assert!(tls(CertificateError::Expired).say.contains("expired"));
        assert!(tls(CertificateError::NotValidYet).fix.contains("clock"));
        assert!(tls(CertificateError::NotValidForName).say.contains("another host"));
        assert!(tls(CertificateError::UnknownIssuer).fix.contains("`ca`"));
        let outcome = |class, detail: &str| Outcome::new(class, Scope::Account, detail);
        assert!(login("main", &Outcome::accepted(None)).good);
        let refused = login("main", &outcome(Class::Auth, "535 5.7.8 no"));
        assert!(refused.say.contains("535 5.7.8 no") && refused.fix.contains("provider resume main"), "{refused:?}");
        assert_eq!(login("main", &outcome(Class::Auth, "starttls: the server offers no STARTTLS")).step, "tls");
        assert_eq!(login("main", &outcome(Class::Retry, "tls_clock")).step, "tls");
        for class in Class::ALL {
            let finding = of_message("main", "kim@example.org", &outcome(*class, "x"));
            assert_eq!(finding.good, *class == Class::Accepted);
            assert_eq!(finding.fix.is_empty(), finding.good);
        }
    }
}
