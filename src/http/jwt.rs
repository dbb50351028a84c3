//! JSON Web Tokens signed with an RSA key (RFC 7519; RS256 and PS256 of RFC 7518): how a box shows who it
//! is without sending its key.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use std::fmt;

/// A private key. Never shown.
pub struct RsaKey(RsaKeyPair);

impl fmt::Debug for RsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RsaKey(***)")
    }
}

/// How a token is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signing {
    /// RSASSA-PKCS1-v1_5 with SHA-256: the same input gives the same bytes.
    Rs256,
    /// RSASSA-PSS with SHA-256. Its salt is drawn by ring, which lets nobody else draw it.
    Ps256,
}

impl Signing {
    fn encoding(self) -> &'static dyn RsaEncoding {
        match self {
            Signing::Rs256 => &RSA_PKCS1_SHA256,
            Signing::Ps256 => &RSA_PSS_SHA256,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Signing::Rs256 => "RS256",
            Signing::Ps256 => "PS256",
        }
    }
}

impl RsaKey {
    /// From PEM, `PRIVATE KEY` (PKCS #8) or `RSA PRIVATE KEY` (PKCS #1), 2048 bits at least. The error is a
    /// sentence that names no content.
    pub fn from_pem(pem: &str) -> Result<RsaKey, String> {
        let wrong = || "the private key is no RSA key of 2048 bits or more in PEM".to_owned();
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong())?;
        let key = match &der {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(wrong()),
        };
        key.map(RsaKey).map_err(|_| wrong())
    }

    /// The signature over the bytes; `None` where ring cannot, which a key that was read does not meet.
    pub fn sign(&self, signing: Signing, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0.sign(signing.encoding(), &SystemRandom::new(), bytes, &mut signature).ok()?;
        Some(signature)
    }

    /// The compact form of a token. `alg` and `typ` are added to the header.
    pub fn jwt(&self, signing: Signing, mut header: Value, claims: &Value) -> Option<String> {
        if let Value::Object(header) = &mut header {
            header.insert("alg".to_owned(), signing.name().into());
            header.insert("typ".to_owned(), "JWT".into());
        }
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", part(&header), part(claims));
        let signature = self.sign(signing, input.as_bytes())?;
        Some(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::json;

    pub(crate) fn pem(name: &str) -> String {
        std::fs::read_to_string(format!("{}/tests/fixtures/providers/keys/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn tokens_verify_with_the_public_key() {
        let key = RsaKey::from_pem(&pem("rsa.key")).unwrap();
        for (signing, verify) in [(Signing::Rs256, &RSA_PKCS1_2048_8192_SHA256), (Signing::Ps256, &RSA_PSS_2048_8192_SHA256)] {
            let jwt = key.jwt(signing, json!({"kid": "k1"}), &json!({"iss": "me"})).unwrap();
            let (input, signature) = jwt.rsplit_once('.').unwrap();
            let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
            UnparsedPublicKey::new(verify, key.0.public().as_ref()).verify(input.as_bytes(), &signature).unwrap();
            let header: Value = serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(jwt.split('.').next().unwrap()).unwrap()).unwrap();
            assert_eq!(header, json!({"alg": signing.name(), "typ": "JWT", "kid": "k1"}));
        }
    }

    #[test]
    fn what_is_no_key_is_not_shown() {
        let canary = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n";
        assert!(!RsaKey::from_pem(canary).unwrap_err().contains("Y2FuYXJ5"));
        assert!(RsaKey::from_pem("").is_err());
        assert_eq!(format!("{:?}", RsaKey::from_pem(&pem("rsa.key")).unwrap()), "RsaKey(***)");
    }
}
