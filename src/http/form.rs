//! Forms and queries, written and read: urlencoded, multipart, and the percent-encoding of paths.

/// `application/x-www-form-urlencoded`: everything but letters, digits and `*-._` as its bytes.
pub fn urlencoded<N: AsRef<str>, V: AsRef<str>>(fields: &[(N, V)]) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        if !out.is_empty() {
            out.push('&');
        }
        encode(&mut out, name.as_ref(), b"*-._", true);
        out.push('=');
        encode(&mut out, value.as_ref(), b"*-._", true);
    }
    out
}

/// A part of a path or a value of a query: everything but the unreserved characters of RFC 3986 as its
/// bytes, a blank as `%20`.
pub fn percent(text: &str) -> String {
    let mut out = String::new();
    encode(&mut out, text, b"-._~", false);
    out
}

fn encode(out: &mut String, text: &str, plain: &[u8], plus: bool) {
    for byte in text.bytes() {
        match byte {
            b' ' if plus => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || plain.contains(&byte) => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}

/// Reads a urlencoded form or a query: names and values in their order. Bytes that are no UTF-8 become
/// the replacement character; an escape that is none stays as it is.
pub fn parse(text: &[u8]) -> Vec<(String, String)> {
    let pairs = text.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
    let pair = |pair: &[u8]| {
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        (decode(name), decode(value.get(1..).unwrap_or_default()))
    };
    pairs.map(pair).collect()
}

fn decode(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        rest = match (first, hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                after.get(2..).unwrap_or_default()
            }
            (b'+', _) => {
                out.push(b' ');
                after
            }
            (byte, _) => {
                out.push(*byte);
                after
            }
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `multipart/form-data` of plain fields (RFC 7578) with this boundary, which must not occur in a value.
pub fn multipart<V: AsRef<str>>(boundary: &str, fields: &[(&str, V)]) -> Vec<u8> {
    let mut out = String::new();
    for (name, value) in fields {
        // A name of a variable or header comes from us, a quote in it would end it all the same.
        let name = name.replace(['"', '\r', '\n'], "_");
        out.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{}\r\n", value.as_ref()));
    }
    out.push_str(&format!("--{boundary}--\r\n"));
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let fields = [("a b", "1&2=3"), ("ü", "+é%*~"), ("empty", "")];
        let text = urlencoded(&fields);
        assert_eq!(text, "a+b=1%262%3D3&%C3%BC=%2B%C3%A9%25*%7E&empty=");
        let back = parse(text.as_bytes());
        assert!(back.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(fields));
        assert_eq!(percent("a b/ü~"), "a%20b%2F%C3%BC~");
    }

    #[test]
    fn odd_forms_are_read_too() {
        let text = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
        assert_eq!(parse(b"a&b=%zz&&c=%2&=d"), text(&[("a", ""), ("b", "%zz"), ("c", "%2"), ("", "d")]));
        assert_eq!(parse(b"a=%ff"), text(&[("a", "\u{fffd}")]));
    }

    #[test]
    fn parts_stand_between_boundaries() {
        let body = String::from_utf8(multipart("b", &[("to", "kim@example.org"), ("v:x\"", "1")])).unwrap();
        assert!(body.starts_with("--b\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\nkim@example.org\r\n--b\r\n"));
        assert!(body.contains("name=\"v:x_\"") && body.ends_with("\r\n--b--\r\n"));
    }
}
