//! Replies of a mail server, and what it says it can do.

use super::classify::code;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Longest reply that is listened to.
const REPLY_CAP: usize = 64 * 1024;

/// A whole reply, all its lines.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// With their codes, `\n` between them.
    pub(super) text: String,
}

/// What the server offers, from its answer to EHLO (RFC 5321, section 4.1.1.1).
#[derive(Clone, Debug, Default)]
pub(super) struct Offers {
    pub(super) starttls: bool,
    pub(super) pipelining: bool,
    pub(super) utf8: bool,
    pub(super) dsn: bool,
    /// Bytes of a mail; 0: no limit was named.
    pub(super) size: Option<usize>,
    pub(super) auth: Vec<String>,
}

impl Offers {
    pub(super) fn of(reply: &str) -> Offers {
        let mut offers = Offers::default();
        for line in reply.lines().skip(1).filter_map(|line| line.get(4..)) {
            let line = line.to_ascii_uppercase().replace("AUTH=", "AUTH ");
            let mut words = line.split_whitespace();
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("PIPELINING") => offers.pipelining = true,
                Some("SMTPUTF8") => offers.utf8 = true,
                Some("DSN") => offers.dsn = true,
                Some("SIZE") => offers.size = Some(words.next().and_then(|n| n.parse().ok()).unwrap_or(0)),
                Some("AUTH") => offers.auth.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        offers
    }
}

/// Reads up to the last line of a reply; what came after it stays in `unread`.
pub(super) async fn read_reply<S: AsyncRead + Unpin>(stream: &mut S, unread: &mut Vec<u8>) -> io::Result<Reply> {
    let mut text = String::new();
    loop {
        while let Some(end) = unread.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            let Some(code) = code(line) else { return Err(io::ErrorKind::InvalidData.into()) };
            text.push_str(line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
            text.push('\n');
        }
        if unread.len() + text.len() > REPLY_CAP {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if stream.read_buf(unread).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_offers() {
        let offers = Offers::of("250-mail.example\n250-SIZE 1000\n250-pipelining\n250-AUTH=LOGIN PLAIN\n250-SMTPUTF8\n250 STARTTLS");
        assert!(offers.starttls && offers.pipelining && offers.utf8);
        assert_eq!((offers.size, offers.auth), (Some(1000), vec!["LOGIN".to_owned(), "PLAIN".to_owned()]));
        assert!(!Offers::of("250 STARTTLS").starttls, "the first line is the server's name");
    }

    #[tokio::test]
    async fn replies_of_several_lines_and_of_none() {
        let mut unread = Vec::new();
        let mut stream: &[u8] = b"250-a\r\n250 b\r\n354 go\r\nnonsense\r\n";
        let first = read_reply(&mut stream, &mut unread).await.unwrap();
        assert_eq!((first.code, first.text.as_str()), (250, "250-a\n250 b"));
        assert_eq!(read_reply(&mut stream, &mut unread).await.unwrap().code, 354);
        assert!(read_reply(&mut stream, &mut unread).await.is_err());
    }
}
