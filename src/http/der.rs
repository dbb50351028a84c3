//! The few structures of ASN.1 DER that keys and certificates need. Reads, never writes; every length is
//! checked against what is there.

/// A public key taken out of its wrapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// `RSAPublicKey` of RFC 8017.
    Rsa(Vec<u8>),
    /// A point of the curve P-256, uncompressed.
    P256(Vec<u8>),
}

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
const OID: u8 = 0x06;
/// rsaEncryption, 1.2.840.113549.1.1.1
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// prime256v1, 1.2.840.10045.3.1.7
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// Tag, content and the rest after it.
fn next(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |n, d| n << 8 | usize::from(*d)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn expect(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    next(bytes).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// The key in a `SubjectPublicKeyInfo` (RFC 5280, 4.1.2.7).
pub fn public_key(spki: &[u8]) -> Option<PublicKey> {
    let (info, _) = expect(SEQUENCE, spki)?;
    let (algorithm, rest) = expect(SEQUENCE, info)?;
    let (kind, parameters) = expect(OID, algorithm)?;
    // A bit string begins with the number of bits that do not count.
    let (unused, key) = expect(BIT_STRING, rest)?.0.split_first()?;
    let curve = expect(OID, parameters).map(|(oid, _)| oid);
    match (kind, curve, unused) {
        (RSA, _, 0) => Some(PublicKey::Rsa(key.to_vec())),
        (_, Some(P256), 0) if key.len() == 65 => Some(PublicKey::P256(key.to_vec())),
        _ => None,
    }
}

/// The key of an X.509 certificate. The certificate itself is not checked.
pub fn certificate_key(certificate: &[u8]) -> Option<PublicKey> {
    let (certificate, _) = expect(SEQUENCE, certificate)?;
    let (mut rest, _) = expect(SEQUENCE, certificate)?;
    // Version (optional), serial number, signature, issuer, validity, subject.
    let versioned = next(rest)?.0 == 0xa0;
    for _ in 0..if versioned { 6 } else { 5 } {
        rest = next(rest)?.2;
    }
    public_key(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn keys_of_certificates() {
        let path = format!("{}/tests/fixtures/tls/localhost.pem", env!("CARGO_MANIFEST_DIR"));
        let certificate = CertificateDer::from_pem_file(path).unwrap();
        assert!(matches!(certificate_key(&certificate), Some(PublicKey::P256(point)) if point.len() == 65));
        for length in 0..certificate.len() {
            let _ = certificate_key(&certificate[..length]);
        }
        assert_eq!(certificate_key(&certificate[..200]), None);
        assert_eq!(public_key(b"0\x84\xff\xff\xff\xff"), None);
    }
}
