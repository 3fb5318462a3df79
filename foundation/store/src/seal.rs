//! Secrets at rest: AES-256-GCM under a key that lives beside the database.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, hmac};
use zeroize::Zeroizing;

/// Seals and opens secrets that must be recoverable: auth tokens and API key
/// secrets sign webhooks and tokens, so a hash would not do. Clones share the key.
#[derive(Clone)]
pub struct Sealer(Arc<Keys>);

struct Keys {
    sealing: RandomizedNonceKey,
    /// Every other key of the instance is derived from it.
    root: hkdf::Prk,
}

/// Keyed hashes for one purpose: what must only be recognised, not recovered.
#[derive(Clone)]
pub struct Mac(hmac::Key);

impl Mac {
    /// The hash of `parts`; where one ends and the next begins counts.
    pub fn of(&self, parts: &[&[u8]]) -> Vec<u8> {
        hmac::sign(&self.0, &framed(parts)).as_ref().to_vec()
    }

    /// Whether `hash` is that of `parts`, in a time that does not tell how much of it is.
    pub fn fits(&self, parts: &[&[u8]], hash: &[u8]) -> bool {
        hmac::verify(&self.0, &framed(parts), hash).is_ok()
    }
}

/// Every part behind its length.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part);
    }
    all
}

/// Seals bytes for one purpose, each under a name that it does not open without.
#[derive(Clone)]
pub struct Vault(Arc<RandomizedNonceKey>);

impl Vault {
    /// Nonce, ciphertext and tag.
    pub fn seal(&self, name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut sealed = bytes.to_vec();
        let nonce = self.0.seal_in_place_append_tag(Aad::from(name), &mut sealed);
        let nonce = nonce.expect("sealing fails only beyond 64 GB");
        [nonce.as_ref().as_slice(), &sealed].concat()
    }

    /// What [`Vault::seal`] was given under this name.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Vec<u8>, UnsealError> {
        let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN).ok_or(UnsealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError)?;
        let mut bytes = bytes.to_vec();
        let plain = self.0.open_in_place(nonce, Aad::from(name), &mut bytes);
        let length = plain.map_err(|_| UnsealError)?.len();
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// The bytes were not sealed with this key, or were changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnsealError;

impl std::fmt::Display for UnsealError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a stored secret does not open with this instance's key")
    }
}

impl std::error::Error for UnsealError {}

impl Sealer {
    /// A sealer with this 32-byte key.
    pub fn new(key: &[u8; 32]) -> Self {
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, key);
        let sealing = sealing.expect("an AES-256 key has 32 bytes");
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"offhook").extract(key);
        Self(Arc::new(Keys { sealing, root }))
    }

    /// Keyed hashes with a key of this purpose's own.
    pub fn mac(&self, purpose: &str) -> Mac {
        let info = [purpose.as_bytes()];
        let key = self.0.root.expand(&info, hmac::HMAC_SHA256);
        Mac(key.expect("HMAC-SHA256 takes a key of this length").into())
    }

    /// A vault with a key of this purpose's own.
    pub fn vault(&self, purpose: &str) -> Vault {
        let info = [purpose.as_bytes()];
        let mut key = Zeroizing::new([0u8; 32]);
        let derived = self.0.root.expand(&info, &AES_256_GCM);
        derived.and_then(|okm| okm.fill(key.as_mut())).expect("the key has 32 bytes");
        let sealing = RandomizedNonceKey::new(&AES_256_GCM, key.as_ref());
        Vault(Arc::new(sealing.expect("an AES-256 key has 32 bytes")))
    }

    /// Reads the key file (64 hex digits), or makes one that only the owner may read.
    pub fn from_file(path: &Path) -> std::io::Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create_key(path)?,
            Err(error) => return Err(error),
        };
        let bad = || {
            let why = format!("{} must hold 64 hex digits", path.display());
            std::io::Error::new(std::io::ErrorKind::InvalidData, why)
        };
        let text = text.trim();
        if text.len() != 64 {
            return Err(bad());
        }
        let mut key = Zeroizing::new([0u8; 32]);
        for (at, byte) in key.iter_mut().enumerate() {
            let pair = text.get(2 * at..2 * at + 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| bad())?;
        }
        Ok(Self::new(&key))
    }

    /// Nonce, ciphertext and tag of `secret`.
    pub fn seal(&self, secret: &str) -> Vec<u8> {
        let mut bytes = secret.as_bytes().to_vec();
        let nonce = self
            .0
            .sealing
            .seal_in_place_append_tag(Aad::empty(), &mut bytes)
            .expect("sealing fails only beyond 64 GB");
        [nonce.as_ref().as_slice(), &bytes].concat()
    }

    /// What [`Sealer::seal`] was given.
    pub fn open(&self, sealed: &[u8]) -> Result<String, UnsealError> {
        let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN).ok_or(UnsealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError)?;
        let mut bytes = bytes.to_vec();
        let plain = self
            .0
            .sealing
            .open_in_place(nonce, Aad::empty(), &mut bytes)
            .map_err(|_| UnsealError)?;
        String::from_utf8(plain.to_vec()).map_err(|_| UnsealError)
    }
}

fn create_key(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut key = Zeroizing::new([0u8; 32]);
    aws_lc_rs::rand::fill(key.as_mut()).map_err(|_| std::io::Error::other("no randomness"))?;
    let text = Zeroizing::new(key.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_what_it_sealed_and_nothing_else() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal("s3cret");
        assert_eq!(sealer.open(&sealed).as_deref(), Ok("s3cret"));
        assert_ne!(sealed, sealer.seal("s3cret"), "nonces differ");
        assert_eq!(Sealer::new(&[8; 32]).open(&sealed), Err(UnsealError));
        let mut changed = sealed.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(sealer.open(&changed), Err(UnsealError));
        assert_eq!(sealer.open(&[1, 2, 3]), Err(UnsealError));
    }

    #[test]
    fn a_vault_opens_under_its_name_and_purpose_alone() {
        let vault = Sealer::new(&[7; 32]).vault("blob");
        let sealed = vault.seal("a", b"sound");
        assert!(!sealed.windows(5).any(|part| part == b"sound"));
        assert_eq!(vault.open("a", &sealed).as_deref(), Ok(&b"sound"[..]));
        assert_eq!(vault.open("b", &sealed), Err(UnsealError));
        assert_eq!(vault.open("a", &sealed[..5]), Err(UnsealError));
        assert_eq!(Sealer::new(&[7; 32]).vault("mail").open("a", &sealed), Err(UnsealError));
    }

    #[test]
    fn a_keyed_hash_is_of_its_parts_its_purpose_and_its_instance() {
        let mac = Sealer::new(&[7; 32]).mac("a");
        let hash = mac.of(&[b"salt", b"1234"]);
        assert!(mac.fits(&[b"salt", b"1234"], &hash));
        for (other, parts) in [
            (mac.clone(), [b"salt".as_slice(), b"1235"]),
            (mac, [b"salt1", b"234"]),
            (Sealer::new(&[7; 32]).mac("b"), [b"salt", b"1234"]),
            (Sealer::new(&[8; 32]).mac("a"), [b"salt", b"1234"]),
        ] {
            assert!(!other.fits(&parts, &hash));
        }
    }
}
