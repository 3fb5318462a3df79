//! The part of Web Authentication that passkeys need: ES256 keys, no attestation. Pure.
//!
//! Small on purpose: a crate for all of WebAuthn brings attestation formats and, mostly, OpenSSL.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use serde_json::Value as Json;

use crate::device::signs;

/// Why a response is not taken: a code of verify §8, and what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault(pub u32, pub &'static str);

/// What the relying party asked for.
pub(crate) struct Asked<'a> {
    pub challenge: &'a str,
    pub rp_id: &'a str,
    pub origins: &'a [String],
    pub verifies_user: bool,
}

/// A passkey as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credential {
    pub id: Vec<u8>,
    /// An uncompressed point on P-256.
    pub key: Vec<u8>,
    pub count: u32,
}

pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok()
}

/// The challenge that a response says it answers; not yet believed.
pub(crate) fn challenge_of(client_data: &str) -> Option<String> {
    let json: Json = serde_json::from_slice(&decode(client_data)?).ok()?;
    json["challenge"].as_str().map(str::to_owned)
}

fn check_client(data: &[u8], kind: &str, asked: &Asked<'_>) -> Result<(), Fault> {
    let json: Json = serde_json::from_slice(data).map_err(|_| Fault(60380, "clientDataJSON"))?;
    if json["type"] != kind {
        return Err(Fault(60380, "clientDataJSON is of another type"));
    }
    let challenge = json["challenge"].as_str().unwrap_or_default();
    if verify_slices_are_equal(challenge.as_bytes(), asked.challenge.as_bytes()).is_err() {
        return Err(Fault(60380, "clientDataJSON answers another challenge"));
    }
    let origin = json["origin"].as_str().unwrap_or_default();
    if !asked.origins.iter().any(|known| known == origin) || json["crossOrigin"] == true {
        return Err(Fault(60382, "the origin is none of the relying party's"));
    }
    Ok(())
}

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const HAS_CREDENTIAL: u8 = 0x40;

/// Flags, counter, and what is behind them.
fn check_authenticator<'a>(
    data: &'a [u8],
    asked: &Asked<'_>,
) -> Result<(u8, u32, &'a [u8]), Fault> {
    let bad = Fault(60379, "authenticatorData is too short");
    let (head, rest) = data.split_at_checked(37).ok_or(bad)?;
    if head[..32] != *digest(&SHA256, asked.rp_id.as_bytes()).as_ref() {
        return Err(Fault(60382, "authenticatorData is for another relying party"));
    }
    let flags = head[32];
    if flags & USER_PRESENT == 0 || (asked.verifies_user && flags & USER_VERIFIED == 0) {
        return Err(Fault(60379, "the user was not present, or not verified"));
    }
    Ok((flags, u32::from_be_bytes([head[33], head[34], head[35], head[36]]), rest))
}

/// The credential that a registration makes. Attestation is not asked for and not judged.
pub(crate) fn register(
    client_data: &[u8],
    attestation: &[u8],
    asked: &Asked<'_>,
) -> Result<Credential, Fault> {
    check_client(client_data, "webauthn.create", asked)?;
    let no_object = Fault(60386, "attestationObject is no CBOR map with authData");
    let (object, _) = Item::read(attestation, 0).ok_or(no_object)?;
    let Some(Item::Bytes(data)) = object.get_text("authData") else { return Err(no_object) };
    let (flags, count, rest) = check_authenticator(data, asked)?;
    let no_credential = Fault(60387, "authData has no credential");
    if flags & HAS_CREDENTIAL == 0 {
        return Err(no_credential);
    }
    let (head, rest) = rest.split_at_checked(18).ok_or(no_credential)?;
    let length = usize::from(u16::from_be_bytes([head[16], head[17]]));
    let (id, rest) = rest.split_at_checked(length).ok_or(no_credential)?;
    let no_key = Fault(60385, "the public key is no ES256 key");
    let (key, _) = Item::read(rest, 0).ok_or(no_key)?;
    let is = |label: i64, value: i64| key.get(label) == Some(&Item::Int(value));
    match (key.get(-2), key.get(-3)) {
        (Some(Item::Bytes(x)), Some(Item::Bytes(y)))
            if is(1, 2) && is(3, -7) && is(-1, 1) && x.len() == 32 && y.len() == 32 =>
        {
            Ok(Credential { id: id.to_vec(), key: [&[4][..], x, y].concat(), count })
        }
        _ => Err(no_key),
    }
}

/// The new counter of a credential that signed what was asked.
pub(crate) fn assert(
    client_data: &[u8],
    authenticator: &[u8],
    signature: &[u8],
    credential: &Credential,
    asked: &Asked<'_>,
) -> Result<u32, Fault> {
    check_client(client_data, "webauthn.get", asked)?;
    let (_, count, _) = check_authenticator(authenticator, asked)?;
    let signed = [authenticator, digest(&SHA256, client_data).as_ref()].concat();
    if !signs(&credential.key, &signed, signature) {
        return Err(Fault(60381, "the signature is wrong"));
    }
    if count != 0 && count <= credential.count {
        return Err(Fault(60379, "the counter did not grow: the passkey may be a copy"));
    }
    Ok(count)
}

/// The CBOR (RFC 8949) that authenticators write: definite lengths, no floats.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Item<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Item<'a>>),
    Map(Vec<(Item<'a>, Item<'a>)>),
    Simple(u8),
}

/// How deep items may be nested.
const DEPTH_MAX: u8 = 8;
/// How many items a list or map may have.
const ITEMS_MAX: u64 = 64;

impl<'a> Item<'a> {
    /// The first item and what is behind it.
    fn read(bytes: &'a [u8], depth: u8) -> Option<(Self, &'a [u8])> {
        if depth > DEPTH_MAX {
            return None;
        }
        let (&first, rest) = bytes.split_first()?;
        let (number, mut rest) = match first & 0x1f {
            small @ 0..=23 => (u64::from(small), rest),
            24 => (u64::from(*rest.first()?), &rest[1..]),
            25 => (u64::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), &rest[2..]),
            26 => (u64::from(u32::from_be_bytes(rest.get(..4)?.try_into().ok()?)), &rest[4..]),
            27 => (u64::from_be_bytes(rest.get(..8)?.try_into().ok()?), &rest[8..]),
            _ => return None,
        };
        let item = match first >> 5 {
            0 => Self::Int(i64::try_from(number).ok()?),
            1 => Self::Int(-1 - i64::try_from(number).ok()?),
            kind @ (2 | 3) => {
                let (content, tail) = rest.split_at_checked(usize::try_from(number).ok()?)?;
                rest = tail;
                match kind {
                    2 => Self::Bytes(content),
                    _ => Self::Text(std::str::from_utf8(content).ok()?),
                }
            }
            4 if number <= ITEMS_MAX => {
                let mut list = Vec::new();
                for _ in 0..number {
                    let (item, tail) = Self::read(rest, depth + 1)?;
                    rest = tail;
                    list.push(item);
                }
                Self::List(list)
            }
            5 if number <= ITEMS_MAX => {
                let mut map = Vec::new();
                for _ in 0..number {
                    let (key, tail) = Self::read(rest, depth + 1)?;
                    let (value, tail) = Self::read(tail, depth + 1)?;
                    rest = tail;
                    map.push((key, value));
                }
                Self::Map(map)
            }
            7 => Self::Simple(u8::try_from(number).ok()?),
            _ => return None,
        };
        Some((item, rest))
    }

    fn find(&self, wanted: &Item<'_>) -> Option<&Self> {
        let Self::Map(pairs) = self else { return None };
        pairs.iter().find(|(key, _)| key == wanted).map(|(_, value)| value)
    }

    fn get(&self, label: i64) -> Option<&Self> {
        self.find(&Item::Int(label))
    }

    fn get_text(&self, name: &str) -> Option<&Self> {
        self.find(&Item::Text(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cbor_is_read_within_its_bounds() {
        let read = |bytes: &[u8]| {
            Item::read(bytes, 0).map(|(item, rest)| (format!("{item:?}"), rest.len()))
        };
        for (bytes, item) in [
            (&[0x18, 0x64][..], Some("Int(100)")),
            (&[0x26], Some("Int(-7)")),
            (&[0x42, 1, 2], Some("Bytes([1, 2])")),
            (&[0x61, b'a'], Some("Text(\"a\")")),
            (&[0xa1, 0x01, 0x81, 0xf6], Some("Map([(Int(1), List([Simple(22)]))])")),
            (&[0x42, 1], None),
            (&[0x5f], None),
            (&[0x9b, 255, 255, 255, 255, 255, 255, 255, 255], None),
            (&[0x81; 20], None),
            (&[], None),
        ] {
            assert_eq!(read(bytes), item.map(|item| (item.to_owned(), 0)), "{bytes:?}");
        }
    }

    #[test]
    fn client_data_must_be_what_was_asked_for() {
        let origins = ["https://owl.example".to_owned()];
        let asked = Asked {
            challenge: "abc",
            rp_id: "owl.example",
            origins: &origins,
            verifies_user: true,
        };
        let data = |kind: &str, challenge: &str, origin: &str| {
            format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"}}"#)
        };
        for (data, code) in [
            (data("webauthn.get", "abc", "https://owl.example"), None),
            (data("webauthn.create", "abc", "https://owl.example"), Some(60380)),
            (data("webauthn.get", "abd", "https://owl.example"), Some(60380)),
            (data("webauthn.get", "abc", "https://evil.example"), Some(60382)),
            ("{".to_owned(), Some(60380)),
        ] {
            let checked = check_client(data.as_bytes(), "webauthn.get", &asked);
            assert_eq!(checked.err().map(|fault| fault.0), code, "{data}");
        }
        let mut authenticator = digest(&SHA256, b"owl.example").as_ref().to_vec();
        authenticator.extend([USER_PRESENT | USER_VERIFIED, 0, 0, 0, 7]);
        assert_eq!(check_authenticator(&authenticator, &asked), Ok((5, 7, &[][..])));
        authenticator[32] = USER_PRESENT;
        assert_eq!(check_authenticator(&authenticator, &asked).unwrap_err().0, 60379);
        authenticator[0] ^= 1;
        assert_eq!(check_authenticator(&authenticator, &asked).unwrap_err().0, 60382);
        assert_eq!(check_authenticator(&[0; 36], &asked).unwrap_err().0, 60379);
    }
}
