//! The key of this box: seals what must not lie readable on the disk, names people without naming them, and
//! makes the tokens of receipt links. It never leaves the box except sealed itself.

use super::durable;
use super::random::{self, Random};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// See the module. Cheap to clone behind an `Arc`; its bytes are never shown.
pub struct DeviceKey {
    seal: LessSafeKey,
    link: hmac::Key,
    name: hmac::Key,
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeviceKey")
    }
}

impl DeviceKey {
    /// The key in the folder `keys/` of the data directory; made there where there is none.
    pub fn load(data_dir: &Path, random: &dyn Random) -> io::Result<DeviceKey> {
        let folder = data_dir.join("keys");
        durable::private_folder(&folder)?;
        let path = folder.join("device.key");
        match fs::read(&path) {
            Ok(bytes) => {
                let bytes = bytes.try_into().map_err(|_| io::Error::other(format!("{} is not a key of 32 bytes", path.display())))?;
                Ok(DeviceKey::new(bytes))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let bytes = random::bytes::<32>(random);
                durable::replace(&path, &bytes)?;
                Ok(DeviceKey::new(bytes))
            }
            Err(e) => Err(e),
        }
    }

    /// From its bytes.
    pub fn new(bytes: [u8; 32]) -> DeviceKey {
        let root = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let part = |name: &str| hmac::sign(&root, name.as_bytes());
        let sealing = UnboundKey::new(&AES_256_GCM, part("seal").as_ref());
        DeviceKey {
            // A key of 32 bytes is always one.
            seal: LessSafeKey::new(sealing.unwrap_or_else(|_| unreachable!("HMAC-SHA256 gives 32 bytes"))),
            link: hmac::Key::new(hmac::HMAC_SHA256, part("receipt links").as_ref()),
            name: hmac::Key::new(hmac::HMAC_SHA256, part("names of people").as_ref()),
        }
    }

    /// Seals bytes under fresh random ones.
    pub fn seal(&self, bytes: &[u8], random: &dyn Random) -> Vec<u8> {
        let nonce = random::bytes::<NONCE_LEN>(random);
        let mut sealed = bytes.to_vec();
        // Only fails above 64 GiB.
        if self.seal.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).is_err() {
            sealed.clear();
        }
        [nonce.as_slice(), &sealed].concat()
    }

    /// Opens what was sealed here; `None` for anything else.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN)?;
        let mut bytes = rest.to_vec();
        let open = self.seal.open_in_place(Nonce::try_assume_unique_for_key(nonce).ok()?, Aad::empty(), &mut bytes).ok()?;
        Some(open.to_vec())
    }

    /// The key of receipt links.
    pub fn links(&self) -> &hmac::Key {
        &self.link
    }

    /// A name for an address that only this box can make from the address.
    pub fn name_of(&self, address: &str) -> [u8; 16] {
        let tag = hmac::sign(&self.name, address.as_bytes());
        let mut name = [0; 16];
        name.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::random::SeededRandom;

    #[test]
    fn what_is_sealed_opens_here_and_nowhere_else() {
        let (key, random) = (DeviceKey::new([1; 32]), SeededRandom::new(1));
        let sealed = key.seal(b"a token", &random);
        assert!(!sealed.windows(7).any(|w| w == b"a token"));
        assert_eq!(key.open(&sealed).as_deref(), Some(&b"a token"[..]));
        assert_eq!(DeviceKey::new([2; 32]).open(&sealed), None);
        assert_eq!(key.open(&sealed[..10]), None);
        assert_ne!(key.name_of("a"), key.name_of("b"));
    }

    #[test]
    fn the_key_is_made_once() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let random = SeededRandom::new(1);
        let first = DeviceKey::load(folder.path(), &random).unwrap();
        let again = DeviceKey::load(folder.path(), &random).unwrap();
        assert_eq!(first.name_of("x"), again.name_of("x"));
        let mode = fs::metadata(folder.path().join("keys/device.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}
