//! Secrets at rest: AES-256-GCM under a key that lives beside the database.

use std::io::Write;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

/// Seals and opens secrets that must be recoverable: auth tokens and API key
/// secrets sign webhooks and tokens, so a hash would not do.
pub struct Sealer(RandomizedNonceKey);

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
        Self(RandomizedNonceKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes"))
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
            .seal_in_place_append_tag(Aad::empty(), &mut bytes)
            .expect("sealing fails only beyond 64 GB");
        [nonce.as_ref().as_slice(), &bytes].concat()
    }

    /// What [`Sealer::seal`] was given.
    pub fn open(&self, sealed: &[u8]) -> Result<String, UnsealError> {
        let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN).ok_or(UnsealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| UnsealError)?;
        let mut bytes = bytes.to_vec();
        let plain =
            self.0.open_in_place(nonce, Aad::empty(), &mut bytes).map_err(|_| UnsealError)?;
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
}
