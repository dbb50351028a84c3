//! The way to a mail server, before the dialogue proper: name, connection, TLS.

use super::Server;
use super::classify::Stage;
use super::reply::{Offers, Reply, read_reply};
use super::wire::{Trouble, refuse_unless};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::http::{Transport, while_connecting};
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Connects to the first address of the host that answers, all within one step.
pub(super) async fn tcp(server: &Server, step: Duration) -> Result<TcpStream, Trouble> {
    let found = timeout(step, lookup_host((server.host.as_str(), server.port))).await;
    let found = found.map_err(|_| Trouble::Way(Transport::Dns))?.map_err(|_| Trouble::Way(Transport::Dns))?;
    let mut last = Transport::Dns;
    let addresses: Vec<SocketAddr> = found.take(8).collect();
    let each = step / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    for address in addresses {
        match timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                // Three small writes a mail: waiting for more would cost 40 ms each.
                let _ = tcp.set_nodelay(true);
                return Ok(tcp);
            }
            Ok(Err(error)) => last = while_connecting(&error),
            Err(_) => last = Transport::ConnectTimeout,
        }
    }
    Err(Trouble::Way(last))
}

/// The TLS handshake, the server's name checked.
pub(super) async fn encrypt(tcp: TcpStream, server: &Server, step: Duration) -> Result<TlsStream<TcpStream>, Trouble> {
    let name = ServerName::try_from(server.host.clone()).map_err(|_| Trouble::Way(Transport::Tls))?;
    let connector = TlsConnector::from(server.trust.clone());
    match timeout(step, connector.connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Trouble::Way(while_connecting(&error))),
        Err(_) => Err(Trouble::Way(Transport::ConnectTimeout)),
    }
}

/// Greeting, EHLO, STARTTLS and the handshake. A server without STARTTLS hears nothing more.
pub(super) async fn starttls(mut tcp: TcpStream, server: &Server, step: Duration) -> Result<TlsStream<TcpStream>, Trouble> {
    let local = tcp.local_addr().ok();
    let mut unread = Vec::new();
    let greeting = plain(&mut tcp, &mut unread, step, "", Stage::Connect).await?;
    refuse_unless(greeting.code / 100 == 2, Stage::Connect, greeting)?;
    let ehlo = plain(&mut tcp, &mut unread, step, &format!("EHLO {}\r\n", own_name(local)), Stage::Connect).await?;
    if ehlo.code / 100 == 4 {
        return Err(Trouble::Refused(Stage::Connect, ehlo));
    }
    if !Offers::of(&ehlo.text).starttls {
        let why = "starttls: the server offers no STARTTLS; nothing is sent in clear";
        return Err(Trouble::Ours(Outcome::new(Class::Auth, Scope::Account, why)));
    }
    let ready = plain(&mut tcp, &mut unread, step, "STARTTLS\r\n", Stage::StartTls).await?;
    refuse_unless(ready.code == 220, Stage::StartTls, ready)?;
    // What someone slipped in before the encryption must not be taken for the server's word.
    if !unread.is_empty() {
        return Err(Trouble::Lost(Stage::StartTls));
    }
    encrypt(tcp, server, step).await
}

async fn plain(tcp: &mut TcpStream, unread: &mut Vec<u8>, step: Duration, line: &str, stage: Stage) -> Result<Reply, Trouble> {
    let talking = async {
        tcp.write_all(line.as_bytes()).await?;
        read_reply(tcp, unread).await
    };
    match timeout(step, talking).await {
        Ok(Ok(reply)) => Ok(reply),
        _ => Err(Trouble::Lost(stage)),
    }
}

/// How we call ourselves: the address literal of RFC 5321, section 4.1.3; a shop's box has no name
/// that others know.
pub(super) fn own_name(local: Option<SocketAddr>) -> String {
    match local.map(|addr| addr.ip().to_canonical()) {
        Some(std::net::IpAddr::V6(ip)) => format!("[IPv6:{ip}]"),
        Some(std::net::IpAddr::V4(ip)) => format!("[{ip}]"),
        None => "[127.0.0.1]".to_owned(),
    }
}
