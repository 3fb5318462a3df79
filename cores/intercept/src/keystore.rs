//! A Java key store of trusted certificates: the JKS format (version 2), which every JVM
//! reads. There is no specification; it is described in the source of OpenJDK's
//! `sun.security.provider.JavaKeyStore`.

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};

/// What every JVM's own trust store has as password; it guards nothing but a checksum.
pub const PASSWORD: &str = "changeit";

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;

/// A key store that trusts these certificates (DER), for [`PASSWORD`].
pub fn jks<'a>(certificates: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut store = Vec::new();
    let number = |store: &mut Vec<u8>, value: u32| store.extend_from_slice(&value.to_be_bytes());
    number(&mut store, MAGIC);
    number(&mut store, VERSION);
    number(&mut store, certificates.len() as u32);
    for (index, der) in certificates.enumerate() {
        number(&mut store, TRUSTED_CERTIFICATE);
        text(&mut store, &format!("offhook-{index}"));
        // When it was added, in milliseconds; nobody asks.
        store.extend_from_slice(&0_u64.to_be_bytes());
        text(&mut store, "X.509");
        number(&mut store, der.len() as u32);
        store.extend_from_slice(der);
    }
    let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    for unit in PASSWORD.encode_utf16() {
        digest.update(&unit.to_be_bytes());
    }
    digest.update(b"Mighty Aphrodite");
    digest.update(&store);
    store.extend_from_slice(digest.finish().as_ref());
    store
}

/// Java's `writeUTF`, for ASCII.
fn text(store: &mut Vec<u8>, text: &str) {
    store.extend_from_slice(&(text.len() as u16).to_be_bytes());
    store.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_store_is_what_keytool_makes() {
        // The twenty bytes behind the header are the digest of password, phrase and header.
        let store = jks(std::iter::empty());
        assert_eq!(store[..12], [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 0]);
        assert_eq!(
            store[12..],
            [
                0xe2, 0x68, 0x6e, 0x45, 0xfb, 0x43, 0xdf, 0xa4, 0xd9, 0x92, 0xdd, 0x41, 0xce, 0xb6,
                0xb2, 0x1c, 0x63, 0x30, 0xd7, 0x92
            ]
        );
    }
}
