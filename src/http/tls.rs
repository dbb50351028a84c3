//! TLS towards others: rustls with ring and the roots compiled in, so that it works on a box without
//! a folder of certificates. Never without checking who the other side is.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// A client that trusts the built-in roots and, where `extra_roots` is not empty, the certificates in
/// that PEM text. The error is a sentence for the config check and names no content.
pub fn client(extra_roots: &str) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(extra_roots.as_bytes()) {
        let certificate = certificate.map_err(|_| "the CA certificate is not readable PEM")?;
        roots.add(certificate).map_err(|_| "the CA certificate cannot be used as a root")?;
        added += 1;
    }
    if added == 0 && !extra_roots.trim().is_empty() {
        return Err("there is no certificate in the CA's PEM text".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|_| "TLS cannot be set up on this machine")?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_become_roots() {
        assert!(client("").is_ok());
        assert!(client("canary").unwrap_err().contains("no certificate"));
        let broken = client("-----BEGIN CERTIFICATE-----\nY2FuYXJ5\n-----END CERTIFICATE-----\n").unwrap_err();
        assert!(broken.contains("cannot be used") && !broken.contains("Y2FuYXJ5"));
    }
}
