//! One connection to a mail server: the dialogue, command by command, so that the stage of every
//! fault is known.
//!
//! Our own rather than a library's, because three things are needed that those at hand do not give:
//! which bytes certainly went out when a write fails, commands in one write (RFC 2920), and a time
//! limit on every single step. It never sends a password or a mail in clear where TLS is demanded.

use super::classify::{Stage, classify};
use super::connect::{encrypt, own_name, starttls, tcp};
use super::mime::Mail;
use super::reply::{Offers, Reply, read_reply};
use super::{Login, Server, Tls};
use crate::domain::outcome::{Class, Outcome, Scope};
use crate::http::Transport;
use crate::providers::{Idempotency, classify_transport};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Plain or encrypted.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why a dialogue did not end with the mail taken.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It did not get as far as a dialogue.
    Way(Transport),
    /// The connection broke, stood still, or spoke no SMTP.
    Lost(Stage),
    /// The server said no.
    Refused(Stage, Reply),
    /// We said no.
    Ours(Outcome),
}

impl Trouble {
    /// What that means for the message.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Trouble::Way(transport) => classify_transport(transport, Idempotency::None),
            Trouble::Lost(stage) => classify(stage, None),
            Trouble::Refused(stage, reply) => classify(stage, Some(&reply.text)),
            Trouble::Ours(outcome) => outcome,
        }
    }

    /// A connection that was used before turned out to be dead, before the server had taken anything.
    pub(super) fn was_stale(&self) -> bool {
        match self {
            Trouble::Lost(stage) => *stage == Stage::Mail,
            Trouble::Refused(stage, reply) => *stage == Stage::Mail && reply.code == 421,
            _ => false,
        }
    }
}

/// A connection that is logged in and ready for a mail.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// Read and not yet understood.
    unread: Vec<u8>,
    offers: Offers,
    /// Bounds each read and each write.
    step: Duration,
    /// In doubt about what the server thinks: not to be used again.
    broken: bool,
}

/// The reply as a refusal, unless it is what was hoped for.
pub(super) fn refuse_unless(good: bool, stage: Stage, reply: Reply) -> Result<(), Trouble> {
    if good { Ok(()) } else { Err(Trouble::Refused(stage, reply)) }
}

impl Connection {
    /// Connects, greets, encrypts and logs in, as the settings ask for it.
    pub(super) async fn open(server: &Server, step: Duration) -> Result<Connection, Trouble> {
        let tcp = tcp(server, step).await?;
        let local = tcp.local_addr().ok();
        let stream: Box<dyn Stream> = match server.tls {
            Tls::Implicit => Box::new(encrypt(tcp, server, step).await?),
            Tls::Upgrade => Box::new(starttls(tcp, server, step).await?),
            Tls::None => Box::new(tcp),
        };
        let greets = !matches!(server.tls, Tls::Upgrade);
        let mut connection = Connection::over(stream, step);
        if greets {
            connection.expect(Stage::Connect).await?;
        }
        connection.ehlo(local).await?;
        if let Some(login) = &server.login {
            connection.log_in(login).await?;
        }
        Ok(connection)
    }

    fn over(stream: Box<dyn Stream>, step: Duration) -> Connection {
        Connection { stream, unread: Vec::new(), offers: Offers::default(), step, broken: false }
    }

    /// With another time limit from now on.
    pub(super) fn within(mut self, step: Duration) -> Connection {
        self.step = step;
        self
    }

    /// Whether the next mail may use it.
    pub(super) fn usable(&self) -> bool {
        !self.broken && self.unread.is_empty()
    }

    /// Whether the server still answers.
    pub(super) async fn is_alive(&mut self) -> bool {
        self.command(Stage::Mail, "NOOP\r\n").await.is_ok_and(|reply| reply.code / 100 == 2)
    }

    /// One mail: envelope, message, the server's word that it has taken it.
    pub(super) async fn deliver(&mut self, mail: &Mail) -> Result<Reply, Trouble> {
        let mail_from = self.mail_from(mail)?;
        let rcpt_to = self.rcpt_to(mail);
        let envelope = if self.offers.pipelining {
            self.envelope_at_once(&format!("{mail_from}{rcpt_to}DATA\r\n")).await
        } else {
            self.envelope_in_turn([&mail_from, &rcpt_to, "DATA\r\n"]).await
        };
        if let Err(trouble) = envelope {
            return Err(self.reset_after(trouble).await);
        }
        self.write_message(&mail.message).await?;
        let reply = self.reply(Stage::DataEnd).await?;
        match reply.code / 100 {
            2 => Ok(reply),
            // Neither yes nor no: nobody can know.
            3 => Err(self.lost(Stage::DataEnd)),
            _ => {
                self.broken |= reply.code == 421;
                Err(Trouble::Refused(Stage::DataEnd, reply))
            }
        }
    }

    /// Ends the dialogue in order; whatever comes of it changes nothing.
    pub(super) async fn quit(mut self) {
        let _ = self.command(Stage::Quit, "QUIT\r\n").await;
    }

    fn mail_from(&self, mail: &Mail) -> Result<String, Trouble> {
        let ours = |scope, why: String| Trouble::Ours(Outcome::new(Class::Permanent, scope, why));
        let size = mail.message.len();
        if let Some(most) = self.offers.size.filter(|most| *most > 0 && size > *most) {
            return Err(ours(Scope::Message, format!("mail: {size} bytes, the server takes {most}")));
        }
        if mail.utf8 && !self.offers.utf8 {
            let why = "mail: the address has letters that this server cannot carry (no SMTPUTF8)";
            return Err(ours(Scope::Recipient, why.to_owned()));
        }
        let size = if self.offers.size.is_some() { format!(" SIZE={size}") } else { String::new() };
        let utf8 = if mail.utf8 { " SMTPUTF8" } else { "" };
        let report = mail.report.as_ref().filter(|_| self.offers.dsn).map(|id| format!(" RET=HDRS ENVID={}", xtext(id)));
        Ok(format!("MAIL FROM:<{}>{size}{utf8}{}\r\n", mail.from, report.unwrap_or_default()))
    }

    fn rcpt_to(&self, mail: &Mail) -> String {
        let wanted = mail.report.is_some() && self.offers.dsn;
        let report = match wanted {
            true if mail.to.is_ascii() => format!(" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;{}", xtext(&mail.to)),
            true => " NOTIFY=SUCCESS,FAILURE,DELAY".to_owned(),
            false => String::new(),
        };
        format!("RCPT TO:<{}>{report}\r\n", mail.to)
    }

    async fn envelope_in_turn(&mut self, commands: [&str; 3]) -> Result<(), Trouble> {
        for (stage, command) in [Stage::Mail, Stage::Rcpt, Stage::Data].into_iter().zip(commands) {
            let reply = self.command(stage, command).await?;
            if !go_ahead(stage, &reply) {
                return Err(Trouble::Refused(stage, reply));
            }
        }
        Ok(())
    }

    /// All three commands in one write, then the three replies. The first refusal counts; the others
    /// follow from it.
    async fn envelope_at_once(&mut self, commands: &str) -> Result<(), Trouble> {
        self.write(Stage::Mail, commands.as_bytes()).await?;
        let mut refusal = None;
        for stage in [Stage::Mail, Stage::Rcpt, Stage::Data] {
            let reply = match self.reply(stage).await {
                Ok(reply) => reply,
                // After a refusal the server may well hang up (421).
                Err(lost) => return Err(refusal.unwrap_or(lost)),
            };
            if !go_ahead(stage, &reply) && refusal.is_none() {
                refusal = Some(Trouble::Refused(stage, reply));
            } else if stage == Stage::Data && reply.code == 354 && refusal.is_some() {
                // It waits for a mail that nobody may get: leave it alone.
                self.broken = true;
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// Makes the connection ready for the next mail after a refused envelope, or gives it up.
    async fn reset_after(&mut self, trouble: Trouble) -> Trouble {
        let again = matches!(&trouble, Trouble::Refused(_, reply) if reply.code != 421 && reply.code / 100 >= 4) && !self.broken;
        let reset = again && self.command(Stage::Mail, "RSET\r\n").await.is_ok_and(|reply| reply.code / 100 == 2);
        self.broken |= !reset;
        match trouble {
            // A go-ahead at the wrong place, e.g. 250 to DATA: this is no dialogue any more.
            Trouble::Refused(stage, reply) if reply.code / 100 < 4 => Trouble::Lost(stage),
            trouble => trouble,
        }
    }

    /// The message with its final dot. As long as the dot is not out, the server has not got it.
    async fn write_message(&mut self, message: &[u8]) -> Result<(), Trouble> {
        let bytes = dotted(message);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match timeout(self.step, self.stream.write(rest)).await {
                Ok(Ok(n)) if n > 0 => rest = rest.get(n..).unwrap_or_default(),
                _ => return Err(self.lost(Stage::Data)),
            }
        }
        match timeout(self.step, self.stream.flush()).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(self.lost(Stage::DataEnd)),
        }
    }

    async fn ehlo(&mut self, local: Option<SocketAddr>) -> Result<(), Trouble> {
        let reply = self.command(Stage::Connect, &format!("EHLO {}\r\n", own_name(local))).await?;
        match reply.code {
            250 => self.offers = Offers::of(&reply.text),
            // A server of the old kind.
            500 | 502 | 504 => {
                let reply = self.command(Stage::Connect, &format!("HELO {}\r\n", own_name(local))).await?;
                refuse_unless(reply.code == 250, Stage::Connect, reply)?;
            }
            _ => return Err(Trouble::Refused(Stage::Connect, reply)),
        }
        Ok(())
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Trouble> {
        let Some(mechanism) = login.mechanism(&self.offers.auth) else {
            let why = format!("auth: the server offers no login of this kind, only [{}]", self.offers.auth.join(" "));
            return Err(Trouble::Ours(Outcome::new(Class::Auth, Scope::Account, why)));
        };
        let (user, password) = (login.username.as_str(), login.password.expose());
        let (first, answers): (String, Vec<String>) = match mechanism {
            "PLAIN" => (format!("\0{user}\0{password}"), Vec::new()),
            "XOAUTH2" => (format!("user={user}\u{1}auth=Bearer {password}\u{1}\u{1}"), vec![String::new()]),
            _ => (String::new(), vec![user.to_owned(), password.to_owned()]),
        };
        let first = if first.is_empty() { String::new() } else { format!(" {}", BASE64_STANDARD.encode(first)) };
        let mut reply = self.command(Stage::Auth, &format!("AUTH {mechanism}{first}\r\n")).await?;
        for answer in answers {
            // XOAUTH2 explains a failure in a 334, which wants an empty answer.
            if reply.code != 334 {
                break;
            }
            reply = self.command(Stage::Auth, &format!("{}\r\n", BASE64_STANDARD.encode(answer))).await?;
        }
        refuse_unless(reply.code / 100 == 2, Stage::Auth, reply)
    }

    async fn expect(&mut self, stage: Stage) -> Result<(), Trouble> {
        let reply = self.reply(stage).await?;
        refuse_unless(reply.code / 100 == 2, stage, reply)
    }

    async fn command(&mut self, stage: Stage, line: &str) -> Result<Reply, Trouble> {
        self.write(stage, line.as_bytes()).await?;
        self.reply(stage).await
    }

    async fn write(&mut self, stage: Stage, bytes: &[u8]) -> Result<(), Trouble> {
        let writing = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        match timeout(self.step, writing).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(self.lost(stage)),
        }
    }

    /// The next reply, all its lines, within one step.
    async fn reply(&mut self, stage: Stage) -> Result<Reply, Trouble> {
        let reading = read_reply(&mut self.stream, &mut self.unread);
        match timeout(self.step, reading).await {
            Ok(Ok(reply)) => Ok(reply),
            _ => Err(self.lost(stage)),
        }
    }

    fn lost(&mut self, stage: Stage) -> Trouble {
        self.broken = true;
        Trouble::Lost(stage)
    }
}

/// RFC 3461, section 4: printable ASCII but `+` and `=`, anything else as `+XX`.
fn xtext(text: &str) -> String {
    let byte = |b: u8| if b.is_ascii_graphic() && b != b'+' && b != b'=' { char::from(b).to_string() } else { format!("+{b:02X}") };
    text.bytes().map(byte).collect()
}

fn go_ahead(stage: Stage, reply: &Reply) -> bool {
    if stage == Stage::Data { reply.code == 354 } else { reply.code / 100 == 2 }
}

/// Dots at the start of a line are doubled (RFC 5321, section 4.5.2), and the final one added.
fn dotted(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 64 + 5);
    for line in message.split_inclusive(|b| *b == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    if !out.is_empty() && !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_doubled_and_the_end_is_marked() {
        assert_eq!(dotted(b".a\r\nb.\r\n..\r\n"), b"..a\r\nb.\r\n...\r\n.\r\n");
        assert_eq!(dotted(b"a"), b"a\r\n.\r\n");
        assert_eq!(dotted(b""), b".\r\n");
    }
}
