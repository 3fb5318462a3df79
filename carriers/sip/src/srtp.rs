//! SRTP with keys from the session description: AES_CM_128_HMAC_SHA1_80 and _32 (RFC 3711).

use std::collections::HashMap;

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use sdp::{Crypto, Suite};

/// Sources of one direction; more are not believed.
const SOURCES_MAX: usize = 8;
/// The tag of reports is long with either suite.
const REPORT_TAG: usize = 10;
const ENCRYPTED: u32 = 1 << 31;

/// Why a packet is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unprotected;

struct Keys {
    cipher: EncryptingKey,
    auth: hmac::Key,
    salt: [u8; 14],
}

/// XORs the key stream of AES in counter mode onto `octets`.
fn crypt(key: &EncryptingKey, iv: [u8; 16], octets: &mut [u8]) {
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    key.less_safe_encrypt(octets, context).expect("counter mode takes every length");
}

fn counter(key: &[u8]) -> EncryptingKey {
    let key = UnboundCipherKey::new(&AES_128, key).expect("the key has 16 octets");
    EncryptingKey::ctr(key).expect("AES-128 has a counter mode")
}

/// RFC 3711 §4.3: what a label makes of the master key.
fn derive(master: &EncryptingKey, salt: &[u8], label: u8, out: &mut [u8]) {
    let mut iv = [0; 16];
    iv[..14].copy_from_slice(salt);
    iv[7] ^= label;
    out.fill(0);
    crypt(master, iv, out);
}

impl Keys {
    fn new(material: &[u8; 30], first_label: u8) -> Self {
        let (key, master_salt) = material.split_at(16);
        let master = counter(key);
        let (mut cipher, mut auth, mut salt) = ([0; 16], [0; 20], [0; 14]);
        derive(&master, master_salt, first_label, &mut cipher);
        derive(&master, master_salt, first_label + 1, &mut auth);
        derive(&master, master_salt, first_label + 2, &mut salt);
        let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &auth);
        Self { cipher: counter(&cipher), auth, salt }
    }

    fn iv(&self, ssrc: u32, index: u64) -> [u8; 16] {
        let mut iv = [0; 16];
        iv[..14].copy_from_slice(&self.salt);
        for (at, octet) in ssrc.to_be_bytes().into_iter().enumerate() {
            iv[4 + at] ^= octet;
        }
        for (at, octet) in index.to_be_bytes()[2..].iter().enumerate() {
            iv[8 + at] ^= octet;
        }
        iv
    }
}

/// What was seen of a source: the highest index, and which of the 64 before it.
#[derive(Clone, Copy, Default)]
struct Window {
    highest: u64,
    seen: u64,
}

impl Window {
    fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            Some(behind) => behind < 64 && self.seen & (1 << behind) == 0,
            None => true,
        }
    }

    fn put(&mut self, index: u64) {
        if index > self.highest {
            self.seen = self.seen.checked_shl((index - self.highest).min(64) as u32).unwrap_or(0);
            self.highest = index;
        }
        self.seen |= 1 << (self.highest - index).min(63);
    }
}

/// One direction.
pub(crate) struct Context {
    sound: Keys,
    reports: Keys,
    tag: usize,
    sources: HashMap<u32, Window>,
    report_sources: HashMap<u32, Window>,
    /// The index of the next report that is sent.
    next_report: u32,
}

/// Where the payload of a packet begins.
fn payload_at(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let mut at = 12 + usize::from(first & 0x0F) * 4;
    if first & 0x10 != 0 {
        let length: [u8; 2] = packet.get(at + 2..at + 4)?.try_into().ok()?;
        at += 4 + usize::from(u16::from_be_bytes(length)) * 4;
    }
    (at <= packet.len()).then_some(at)
}

fn word(packet: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(packet.get(at..at + 4)?.try_into().ok()?))
}

/// RFC 3711 §3.3.1: the index that a sequence number means.
fn index_of(window: Option<&Window>, sequence: u16) -> u64 {
    let Some(window) = window else { return sequence.into() };
    let (roll, last) = (window.highest >> 16, (window.highest & 0xFFFF) as u16);
    let roll = match () {
        () if last < 0x8000 && sequence > last && sequence - last > 0x8000 => {
            roll.saturating_sub(1)
        }
        () if last >= 0x8000 && last - 0x8000 > sequence => roll + 1,
        () => roll,
    };
    roll << 16 | u64::from(sequence)
}

impl Context {
    pub(crate) fn new(crypto: &Crypto) -> Self {
        Self {
            sound: Keys::new(&crypto.key, 0),
            reports: Keys::new(&crypto.key, 3),
            tag: match crypto.suite {
                Suite::AesCm128HmacSha1_80 => 10,
                Suite::AesCm128HmacSha1_32 => 4,
            },
            sources: HashMap::new(),
            report_sources: HashMap::new(),
            next_report: 0,
        }
    }

    fn tag_of(&self, octets: &[u8], roll: u32) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.sound.auth);
        context.update(octets);
        context.update(&roll.to_be_bytes());
        context.sign()
    }

    /// Protects a packet of sound in place.
    pub(crate) fn protect(&mut self, packet: &mut Vec<u8>) -> Result<(), Unprotected> {
        let start = payload_at(packet).ok_or(Unprotected)?;
        let ssrc = word(packet, 8).ok_or(Unprotected)?;
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let index = index_of(self.sources.get(&ssrc), sequence);
        self.sources.entry(ssrc).or_default().put(index);
        crypt(&self.sound.cipher, self.sound.iv(ssrc, index), &mut packet[start..]);
        let tag = self.tag_of(packet, (index >> 16) as u32);
        packet.extend_from_slice(&tag.as_ref()[..self.tag]);
        Ok(())
    }

    /// Opens a packet of sound in place; what is forged or came before is none.
    pub(crate) fn open(&mut self, packet: &mut Vec<u8>) -> Result<(), Unprotected> {
        let end = packet.len().checked_sub(self.tag).ok_or(Unprotected)?;
        let start = payload_at(&packet[..end]).ok_or(Unprotected)?;
        let ssrc = word(packet, 8).ok_or(Unprotected)?;
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        let window = self.sources.get(&ssrc);
        let index = index_of(window, sequence);
        if window.is_some_and(|window| !window.is_new(index))
            || (window.is_none() && self.sources.len() >= SOURCES_MAX)
        {
            return Err(Unprotected);
        }
        let tag = self.tag_of(&packet[..end], (index >> 16) as u32);
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(
            &tag.as_ref()[..self.tag],
            &packet[end..],
        );
        same.map_err(|_| Unprotected)?;
        self.sources.entry(ssrc).or_default().put(index);
        packet.truncate(end);
        crypt(&self.sound.cipher, self.sound.iv(ssrc, index), &mut packet[start..]);
        Ok(())
    }

    /// Protects a report in place.
    pub(crate) fn protect_report(&mut self, packet: &mut Vec<u8>) -> Result<(), Unprotected> {
        let ssrc = word(packet, 4).ok_or(Unprotected)?;
        let index = self.next_report & !ENCRYPTED;
        self.next_report = index + 1;
        let iv = self.reports.iv(ssrc, index.into());
        crypt(&self.reports.cipher, iv, &mut packet[8..]);
        packet.extend_from_slice(&(index | ENCRYPTED).to_be_bytes());
        let tag = hmac::sign(&self.reports.auth, packet);
        packet.extend_from_slice(&tag.as_ref()[..REPORT_TAG]);
        Ok(())
    }

    /// Opens a report in place.
    pub(crate) fn open_report(&mut self, packet: &mut Vec<u8>) -> Result<(), Unprotected> {
        let end = packet.len().checked_sub(REPORT_TAG).ok_or(Unprotected)?;
        let tag = hmac::sign(&self.reports.auth, &packet[..end]);
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(
            &tag.as_ref()[..REPORT_TAG],
            &packet[end..],
        );
        same.map_err(|_| Unprotected)?;
        let at = end.checked_sub(4).filter(|at| *at >= 8).ok_or(Unprotected)?;
        let (ssrc, mark) =
            (word(packet, 4).ok_or(Unprotected)?, word(packet, at).ok_or(Unprotected)?);
        let index = u64::from(mark & !ENCRYPTED);
        let known = self.report_sources.get(&ssrc);
        if known.is_some_and(|window| !window.is_new(index))
            || (known.is_none() && self.report_sources.len() >= SOURCES_MAX)
        {
            return Err(Unprotected);
        }
        self.report_sources.entry(ssrc).or_default().put(index);
        packet.truncate(at);
        if mark & ENCRYPTED != 0 {
            let iv = self.reports.iv(ssrc, index);
            crypt(&self.reports.cipher, iv, &mut packet[8..]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXUPPER;

    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        HEXUPPER.decode(text.replace(' ', "").as_bytes()).unwrap()
    }

    fn crypto(suite: Suite) -> Crypto {
        Crypto { tag: 1, suite, key: std::array::from_fn(|at| at as u8) }
    }

    /// RFC 3711 B.2: the key stream, with the SSRC and index 0.
    #[test]
    fn the_key_stream_is_that_of_the_standard() {
        let keys = Keys {
            cipher: counter(&hex("2B7E151628AED2A6ABF7158809CF4F3C")),
            auth: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[]),
            salt: hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap(),
        };
        let mut stream = [0; 48];
        crypt(&keys.cipher, keys.iv(0, 0), &mut stream);
        let expected = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB 41E95B3BB0A2E8DD477901E4FCA894C0";
        assert_eq!(stream.to_vec(), hex(expected));
    }

    /// RFC 3711 B.3: what the master key becomes.
    #[test]
    fn keys_are_derived_as_the_standard_does() {
        let master = counter(&hex("E1F97A0D3E018BE0D64FA32C06DE4139"));
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        for (label, length, expected) in [
            (0, 16, "C61E7A93744F39EE10734AFE3FF7A087"),
            (2, 14, "30CBBC08863D8C85D49DB34A9AE1"),
            (1, 20, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"),
        ] {
            let mut out = vec![0; length];
            derive(&master, &salt, label, &mut out);
            assert_eq!(out, hex(expected), "{label}");
        }
    }

    fn packet(sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 0, 0, 0, 0, 0, 0, 1, 0xDE, 0xAD, 0xBE, 0xEF];
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet.extend_from_slice(b"twenty milliseconds");
        packet
    }

    #[test]
    fn packets_come_out_as_they_went_in_once() {
        for (suite, tag) in [(Suite::AesCm128HmacSha1_80, 10), (Suite::AesCm128HmacSha1_32, 4)] {
            let (mut out, mut back) = (Context::new(&crypto(suite)), Context::new(&crypto(suite)));
            // Through a turn of the sequence number.
            for number in 65_500_u32..65_600 {
                let plain = packet(number as u16);
                let mut sent = plain.clone();
                out.protect(&mut sent).unwrap();
                assert_eq!(sent.len(), plain.len() + tag);
                assert_ne!(sent[12..plain.len()], plain[12..]);
                let mut forged = sent.clone();
                forged[15] ^= 1;
                assert_eq!(back.open(&mut forged), Err(Unprotected));
                let mut again = sent.clone();
                back.open(&mut sent).unwrap();
                assert_eq!(sent, plain);
                assert_eq!(back.open(&mut again), Err(Unprotected), "a replay");
            }
        }
    }

    #[test]
    fn reports_are_protected_too() {
        let suite = Suite::AesCm128HmacSha1_32;
        let (mut out, mut back) = (Context::new(&crypto(suite)), Context::new(&crypto(suite)));
        let plain = vec![0x80, 201, 0, 1, 0, 0, 0, 7, 1, 2, 3, 4];
        let mut sent = plain.clone();
        out.protect_report(&mut sent).unwrap();
        assert_eq!(sent.len(), plain.len() + 14);
        let mut again = sent.clone();
        back.open_report(&mut sent).unwrap();
        assert_eq!(sent, plain);
        assert_eq!(back.open_report(&mut again), Err(Unprotected));
        assert_eq!(back.open_report(&mut vec![0; 9]), Err(Unprotected));
        assert_eq!(back.open(&mut vec![0x80; 3]), Err(Unprotected));
    }
}
