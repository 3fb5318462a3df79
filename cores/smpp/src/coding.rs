//! Data codings: text to octets and back (SMPP 3.4 §5.2.19).
//!
//! GSM 7-bit travels unpacked, one septet per octet.

use sms::gsm;

pub const DEFAULT: u8 = 0x00;
pub const LATIN1: u8 = 0x03;
pub const UCS2: u8 = 0x08;

/// What an SMSC means by data coding 0, its "default alphabet"; the standard leaves it open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alphabet {
    /// GSM 7-bit with the extension table (3GPP TS 23.038).
    #[default]
    Gsm,
    /// ISO 8859-1.
    Latin1,
    /// Seven bits of ASCII.
    Ascii,
}

/// User data, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(String),
    /// 8-bit data.
    Binary(Vec<u8>),
}

/// The data coding is of an alphabet that is not read here (JIS, Pictogram, ISO-2022-JP, KS C 5601).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("data coding {0:#04x} is not supported")]
pub struct UnsupportedCoding(pub u8);

impl Alphabet {
    /// `None` when a character is not in the alphabet.
    pub fn encode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Gsm => gsm::encode(text),
            Self::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect(),
            Self::Ascii => text.is_ascii().then(|| text.as_bytes().to_vec()),
        }
    }

    fn decode(self, octets: &[u8]) -> String {
        match self {
            Self::Gsm => gsm::decode(octets),
            Self::Latin1 => octets.iter().map(|octet| char::from(*octet)).collect(),
            Self::Ascii => octets
                .iter()
                .map(|o| if o.is_ascii() { char::from(*o) } else { char::REPLACEMENT_CHARACTER })
                .collect(),
        }
    }
}

/// UTF-16BE, surrogate pairs included.
pub fn encode_ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// Lone surrogates and a stray last octet read as U+FFFD.
fn decode_ucs2(octets: &[u8]) -> String {
    let (pairs, rest) = octets.as_chunks::<2>();
    let units = pairs.iter().map(|pair| u16::from_be_bytes(*pair));
    let stray = (!rest.is_empty()).then_some(char::REPLACEMENT_CHARACTER);
    let read = char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER));
    read.chain(stray).collect()
}

/// Reads user data without its header. Total but for alphabets that are not known.
pub fn decode(
    data_coding: u8,
    octets: &[u8],
    default: Alphabet,
) -> Result<Content, UnsupportedCoding> {
    Ok(Content::Text(match data_coding {
        DEFAULT => default.decode(octets),
        0x01 => Alphabet::Ascii.decode(octets),
        LATIN1 => Alphabet::Latin1.decode(octets),
        0x02 | 0x04 => return Ok(Content::Binary(octets.to_vec())),
        0x06 => octets.iter().map(|octet| cyrillic(*octet)).collect(),
        0x07 => octets.iter().map(|octet| hebrew(*octet)).collect(),
        UCS2 => decode_ucs2(octets),
        // GSM message classes and message waiting (TS 23.038 §4).
        0x10..=0x3F if data_coding & 0x0C == 0x04 => return Ok(Content::Binary(octets.to_vec())),
        0x10..=0x3F if data_coding & 0x0C == 0x08 => decode_ucs2(octets),
        0xE0..=0xEF => decode_ucs2(octets),
        0xF0..=0xFF if data_coding & 0x04 != 0 => return Ok(Content::Binary(octets.to_vec())),
        0x10..=0x3F | 0xC0..=0xDF | 0xF0..=0xFF => gsm::decode(octets),
        other => return Err(UnsupportedCoding(other)),
    }))
}

/// ISO 8859-5.
fn cyrillic(octet: u8) -> char {
    let point = match octet {
        0x00..=0xA0 | 0xAD => u32::from(octet),
        0xF0 => 0x2116,
        0xFD => 0xA7,
        _ => u32::from(octet) - 0xA0 + 0x400,
    };
    char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// ISO 8859-8, letters only above ASCII.
fn hebrew(octet: u8) -> char {
    let point = match octet {
        0x00..=0xBE => u32::from(octet),
        0xE0..=0xFA => u32::from(octet) - 0xE0 + 0x5D0,
        _ => u32::from(char::REPLACEMENT_CHARACTER),
    };
    char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(data_coding: u8, octets: &[u8], default: Alphabet) -> String {
        match decode(data_coding, octets, default) {
            Ok(Content::Text(text)) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_coding_reads_its_alphabet() {
        use Alphabet::{Ascii, Gsm, Latin1};
        let table: &[(u8, &[u8], Alphabet, &str)] = &[
            (0x00, &[0x00, 0x1B, 0x65], Gsm, "@€"),
            (0x00, &[0x40, 0xE4], Latin1, "@ä"),
            (0x00, &[0x40, 0xE4], Ascii, "@\u{FFFD}"),
            (0x01, b"abc", Gsm, "abc"),
            (0x03, &[0xFC], Gsm, "ü"),
            (0x06, &[0xBF, 0xE0, 0xF0, 0xA1], Gsm, "Пр№Ё"),
            (0x07, &[0xF9, 0xEC], Gsm, "של"),
            (0x08, &[0xD8, 0x3D, 0xDE, 0x00], Gsm, "😀"),
            (0x08, &[0xD8, 0x3D, 0x00], Gsm, "\u{FFFD}\u{FFFD}"),
            (0x18, &[0x00, 0x41], Gsm, "A"),
            (0xF1, &[0x00], Latin1, "@"),
        ];
        for (coding, octets, default, expected) in table {
            assert_eq!(text(*coding, octets, *default), *expected, "{coding:#x}");
        }
        for coding in [0x02, 0x04, 0x14, 0xF5] {
            assert_eq!(decode(coding, &[1], Gsm), Ok(Content::Binary(vec![1])));
        }
        assert_eq!(decode(0x05, &[1], Gsm), Err(UnsupportedCoding(5)));
    }

    proptest! {
        #[test]
        fn ucs2_round_trips(body in ".{0,200}") {
            prop_assert_eq!(text(UCS2, &encode_ucs2(&body), Alphabet::Gsm), body);
        }

        #[test]
        fn any_octets_decode_or_are_refused(
            coding: u8,
            octets in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            for alphabet in [Alphabet::Gsm, Alphabet::Latin1, Alphabet::Ascii] {
                let _ = decode(coding, &octets, alphabet);
            }
        }
    }
}
