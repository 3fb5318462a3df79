//! The GSM 7-bit default alphabet and its extension table (3GPP TS 23.038 §6.2.1).
//!
//! Septets are kept one per byte, each 0–127, as SMPP carries them with `data_coding` 0.
//!
//! ```
//! assert_eq!(sms::gsm::encode("5 €"), Some(vec![0x35, 0x20, 0x1B, 0x65]));
//! assert_eq!(sms::gsm::decode(&[0x00, 0x1B, 0x3C]), "@[");
//! ```

/// The septet that announces a character of the extension table.
pub const ESCAPE: u8 = 0x1B;

/// The basic table: position is septet. 0x1B is the escape, never a character of its own.
#[rustfmt::skip]
const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å',
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1B}', 'Æ', 'æ', 'ß', 'É',
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/',
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?',
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O',
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§',
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The extension table: the septet after [`ESCAPE`] and its character.
const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{0C}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// How a character is written in septets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Basic(u8),
    Extension(u8),
    None,
}

/// [`Code`] of every code point below U+0100, computed from the two tables above.
static LATIN: [Code; 256] = latin_codes();

const fn latin_codes() -> [Code; 256] {
    let mut codes = [Code::None; 256];
    let mut septet = 0;
    while septet < BASIC.len() {
        let point = BASIC[septet] as usize;
        if point < codes.len() && septet != ESCAPE as usize {
            codes[point] = Code::Basic(septet as u8);
        }
        septet += 1;
    }
    let mut row = 0;
    while row < EXTENSION.len() {
        let (septet, character) = EXTENSION[row];
        if (character as usize) < codes.len() {
            codes[character as usize] = Code::Extension(septet);
        }
        row += 1;
    }
    codes
}

fn code(character: char) -> Code {
    if let Some(code) = LATIN.get(character as usize) {
        return *code;
    }
    match character {
        'Γ' => Code::Basic(0x13),
        'Δ' => Code::Basic(0x10),
        'Θ' => Code::Basic(0x19),
        'Λ' => Code::Basic(0x14),
        'Ξ' => Code::Basic(0x1A),
        'Π' => Code::Basic(0x16),
        'Σ' => Code::Basic(0x18),
        'Φ' => Code::Basic(0x12),
        'Ψ' => Code::Basic(0x17),
        'Ω' => Code::Basic(0x15),
        '€' => Code::Extension(0x65),
        _ => Code::None,
    }
}

/// Septets a character takes: 1 in the basic table, 2 in the extension table, `None` when the
/// alphabet does not have it.
pub fn septets(character: char) -> Option<usize> {
    match code(character) {
        Code::Basic(_) => Some(1),
        Code::Extension(_) => Some(2),
        Code::None => None,
    }
}

/// Writes `text` in septets, one per byte. `None` when a character is not in the alphabet.
pub fn encode(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(text.len());
    for character in text.chars() {
        match code(character) {
            Code::Basic(septet) => septets.push(septet),
            Code::Extension(septet) => septets.extend([ESCAPE, septet]),
            Code::None => return None,
        }
    }
    Some(septets)
}

/// Reads septets, one per byte. Total, because the network is free to send anything:
///
/// * a code the extension table does not have reads as the basic character of that code;
/// * an escape followed by another, or by nothing, reads as a space (TS 23.038 §6.2.1.1);
/// * a byte above 127 is no septet and reads as U+FFFD.
pub fn decode(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut rest = septets.iter().copied();
    while let Some(septet) = rest.next() {
        text.push(match septet {
            ESCAPE => rest.next().map_or(' ', extended),
            _ => basic(septet),
        });
    }
    text
}

fn extended(septet: u8) -> char {
    if septet == ESCAPE {
        return ' ';
    }
    let row = EXTENSION.iter().find(|(code, _)| *code == septet);
    row.map_or_else(|| basic(septet), |(_, character)| *character)
}

fn basic(septet: u8) -> char {
    BASIC.get(usize::from(septet)).copied().unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    //! Goal: the tables agree with TS 23.038 and with each other. Method: walk them whole.
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_table_entry_encodes_to_its_position() {
        for (septet, character) in (0u8..).zip(BASIC) {
            if septet != ESCAPE {
                assert_eq!(encode(&character.to_string()), Some(vec![septet]), "{character:?}");
            }
        }
        for (septet, character) in EXTENSION {
            assert_eq!(encode(&character.to_string()), Some(vec![ESCAPE, septet]), "{character:?}");
        }
    }

    #[test]
    fn the_alphabet_has_137_characters() {
        let known = ('\0'..=char::MAX).filter(|c| septets(*c).is_some()).count();
        assert_eq!(known, 127 + 10);
    }

    #[test]
    fn characters_often_mistaken_for_gsm_are_refused() {
        for character in "`\tçÈÊáíóúâê\u{A0}“”‘’–—…\u{1B}".chars() {
            assert_eq!(septets(character), None, "{character:?}");
        }
    }

    #[test]
    fn damaged_septets_decode_to_something_readable() {
        let table: [(&[u8], &str); 6] = [
            (&[0x1B, 0x41], "A"),
            (&[0x1B, 0x1B, 0x41], " A"),
            (&[0x41, 0x1B], "A "),
            (&[0x80, 0xFF], "\u{FFFD}\u{FFFD}"),
            (&[0x1B, 0x80], "\u{FFFD}"),
            (&[], ""),
        ];
        for (septets, text) in table {
            assert_eq!(decode(septets), text, "{septets:02X?}");
        }
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(indices in prop::collection::vec(0usize..137, 0..400)) {
            let characters = BASIC.into_iter().chain(EXTENSION.map(|row| row.1));
            let alphabet: Vec<char> = characters.filter(|c| *c != '\u{1B}').collect();
            let text: String = indices.iter().map(|i| alphabet[*i]).collect();
            let septets = encode(&text).unwrap();
            prop_assert!(septets.iter().all(|septet| *septet < 128));
            prop_assert_eq!(decode(&septets), text);
        }

        #[test]
        fn any_bytes_decode(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            decode(&bytes);
        }
    }
}
