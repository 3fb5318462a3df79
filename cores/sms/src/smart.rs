//! Smart encoding: typographic characters written with GSM 7-bit ones, so that a curly quote does
//! not turn a one-segment message into three.

use std::borrow::Cow;

/// Replaces the 270 code points of Twilio's smart-encoding table; all others stay, so the result
/// may still need UCS-2. Borrows when nothing is replaced.
///
/// The table is the one Twilio published with its segment calculator, including its peculiarities:
/// most wide spaces become two spaces, a tab becomes seven, ‹ and › are exchanged, ÷ becomes /.
/// Combining marks are replaced on their own, without regard to the letter before them.
///
/// ```
/// assert_eq!(sms::smart_encode("“hi” – it’s 50…"), "\"hi\" - it's 50...");
/// ```
pub fn smart_encode(body: &str) -> Cow<'_, str> {
    let Some(first) = body.find(|character| replacement(character).is_some()) else {
        return Cow::Borrowed(body);
    };
    let mut encoded = String::with_capacity(body.len());
    encoded.push_str(&body[..first]);
    for character in body[first..].chars() {
        match replacement(character) {
            Some(text) => encoded.push_str(text),
            None => encoded.push(character),
        }
    }
    Cow::Owned(encoded)
}

fn replacement(character: char) -> Option<&'static str> {
    if matches!(character, ' '..='_' | 'a'..='~' | '\n' | '\r') {
        return None;
    }
    Some(match character {
        '\u{00AB}'
        | '\u{00BB}'
        | '\u{02BA}'
        | '\u{02EE}'
        | '\u{201C}'..='\u{201F}'
        | '\u{275D}'
        | '\u{275E}'
        | '\u{301D}'
        | '\u{301E}'
        | '\u{FF02}' => "\"",
        '\u{0060}'
        | '\u{00B4}'
        | '\u{02B9}'
        | '\u{02BB}'..='\u{02BD}'
        | '\u{02C8}'
        | '\u{02CA}'
        | '\u{02CB}'
        | '\u{0313}'
        | '\u{0314}'
        | '\u{2018}'
        | '\u{2019}'
        | '\u{201B}'
        | '\u{275B}'
        | '\u{275C}'
        | '\u{FE10}'
        | '\u{FE11}'
        | '\u{FF07}' => "'",
        '\u{00F7}' | '\u{0337}' | '\u{0338}' | '\u{2044}' | '\u{2215}' | '\u{29F8}'
        | '\u{FF0F}' => "/",
        '\u{00BC}' => "1/4",
        '\u{00BD}' => "1/2",
        '\u{00BE}' => "3/4",
        '\u{20E5}' | '\u{29F5}' | '\u{29F9}' | '\u{FE68}' | '\u{FF3C}' => "\\",
        '\u{0332}' | '\u{2017}' | '\u{FF3F}' => "_",
        '\u{20D2}' | '\u{20D3}' | '\u{2223}' | '\u{239C}' | '\u{239F}' | '\u{23B8}'
        | '\u{23B9}' | '\u{23D0}' | '\u{FF5C}' => "|",
        '\u{2010}'
        | '\u{2013}'..='\u{2015}'
        | '\u{2022}'
        | '\u{2043}'
        | '\u{23BC}'
        | '\u{23BD}'
        | '\u{FE63}'
        | '\u{FF0D}' => "-",
        '\u{FE6B}' | '\u{FF20}' => "@",
        '\u{FE69}' | '\u{FF04}' => "$",
        '\u{01C3}' | '\u{FE15}' | '\u{FE57}' | '\u{FF01}' => "!",
        '\u{FE5F}' | '\u{FF03}' => "#",
        '\u{FE6A}' | '\u{FF05}' => "%",
        '\u{FE60}' | '\u{FF06}' => "&",
        '\u{0326}' | '\u{201A}' | '\u{3001}' | '\u{FE50}' | '\u{FE51}' | '\u{FF0C}'
        | '\u{FF64}' => ",",
        '\u{2768}' | '\u{276A}' | '\u{27EE}' | '\u{2985}' | '\u{FE59}' | '\u{FF08}' => "(",
        '\u{2769}' | '\u{276B}' | '\u{27EF}' | '\u{2986}' | '\u{FE5A}' | '\u{FF09}' => ")",
        '\u{204E}'
        | '\u{2217}'
        | '\u{229B}'
        | '\u{2722}'..='\u{2725}'
        | '\u{2731}'..='\u{2733}'
        | '\u{273A}'..='\u{273D}'
        | '\u{2743}'
        | '\u{2749}'..='\u{274B}'
        | '\u{29C6}'
        | '\u{FE61}'
        | '\u{FF0A}' => "*",
        '\u{02D6}' | '\u{FE62}' | '\u{FF0B}' => "+",
        '\u{3002}' | '\u{FE52}' | '\u{FF0E}' | '\u{FF61}' => ".",
        '\u{02D0}' | '\u{02F8}' | '\u{2982}' | '\u{A789}' | '\u{FE13}' | '\u{FF1A}' => ":",
        '\u{204F}' | '\u{FE14}' | '\u{FE54}' | '\u{FF1B}' => ";",
        '\u{203A}' | '\u{FE64}' | '\u{FF1C}' => "<",
        '\u{0347}' | '\u{A78A}' | '\u{FE66}' | '\u{FF1D}' => "=",
        '\u{2039}' | '\u{FE65}' | '\u{FF1E}' => ">",
        '\u{FE16}' | '\u{FE56}' | '\u{FF1F}' => "?",
        '\u{02C6}' | '\u{0302}' | '\u{1DCD}' | '\u{FF3E}' => "^",
        '\u{2774}' | '\u{FE5B}' | '\u{FF5B}' => "{",
        '\u{2775}' | '\u{FE5C}' | '\u{FF5D}' => "}",
        '\u{FF3B}' => "[",
        '\u{FF3D}' => "]",
        '\u{02DC}' | '\u{02F7}' | '\u{0303}' | '\u{0330}' | '\u{0334}' | '\u{223C}'
        | '\u{FF5E}' => "~",
        '\u{0080}'
        | '\u{008D}'
        | '\u{0090}'
        | '\u{009B}'
        | '\u{009F}'
        | '\u{00A0}'
        | '\u{2000}'
        | '\u{2002}'..='\u{200A}'
        | '\u{202F}'
        | '\u{205F}'
        | '\u{3000}' => "  ",
        '\u{0000}'
        | '\u{0003}'
        | '\u{0004}'
        | '\u{0010}'..='\u{0014}'
        | '\u{0017}'
        | '\u{0019}'
        | '\u{200B}'
        | '\u{2060}'
        | '\u{FEFF}' => "",
        '\u{0009}' => "       ",
        '\u{203C}' => "!!",
        '\u{2001}' | '\u{2028}' | '\u{2029}' => " ",
        '\u{2026}' => "...",
        '\u{1D00}' => "A",
        '\u{0299}' => "B",
        '\u{1D04}' => "C",
        '\u{1D05}' => "D",
        '\u{1D07}' => "E",
        '\u{A730}' => "F",
        '\u{0262}' => "G",
        '\u{029C}' => "H",
        '\u{026A}' => "I",
        '\u{1D0A}' => "J",
        '\u{1D0B}' => "K",
        '\u{029F}' => "L",
        '\u{1D0D}' => "M",
        '\u{0274}' => "N",
        '\u{1D0F}' => "O",
        '\u{1D18}' => "P",
        '\u{0280}' => "R",
        '\u{A731}' => "S",
        '\u{1D1B}' => "T",
        '\u{1D1C}' => "U",
        '\u{1D20}' => "V",
        '\u{1D21}' => "W",
        '\u{028F}' => "Y",
        '\u{1D22}' => "Z",
        '\u{FF10}'..='\u{FF19}' => nth("0123456789", character as usize - 0xFF10),
        '\u{FF21}'..='\u{FF3A}' => nth("ABCDEFGHIJKLMNOPQRSTUVWXYZ", character as usize - 0xFF21),
        _ => return None,
    })
}

fn nth(letters: &'static str, index: usize) -> &'static str {
    &letters[index..=index]
}

#[cfg(test)]
mod tests {
    //! Goal: the table is whole and harmless. Method: walk all of Unicode, then samples.
    use proptest::prelude::*;

    use super::*;
    use crate::{Encoding, gsm, segments};

    #[test]
    fn the_table_has_270_code_points_and_leads_only_to_gsm() {
        let replaced: Vec<char> =
            ('\0'..=char::MAX).filter(|c| replacement(*c).is_some()).collect();
        assert_eq!(replaced.len(), 270);
        for character in replaced {
            let text = smart_encode(character.encode_utf8(&mut [0; 4])).into_owned();
            assert!(gsm::encode(&text).is_some(), "{character:?} became {text:?}");
            assert_eq!(gsm::septets(character), None, "{character:?} needs no replacing");
        }
    }

    #[test]
    fn samples() {
        let table = [
            ("“hi” – it’s 50…", "\"hi\" - it's 50..."),
            ("plain", "plain"),
            ("\t", "       "),
            ("a\u{A0}b", "a  b"),
            ("a\u{2028}b", "a b"),
            ("\u{FEFF}x\u{200B}", "x"),
            ("‹›", "><"),
            ("6÷2", "6/2"),
            ("½ ¼ ¾ ‼", "1/2 1/4 3/4 !!"),
            ("`ok´", "'ok'"),
            ("０９ＡＺ", "09AZ"),
            ("ᴀʙᴢ", "ABZ"),
            ("＼｜❴❵～", "\\|{}~"),
            ("ж 😀", "ж 😀"),
        ];
        for (body, encoded) in table {
            assert_eq!(smart_encode(body), encoded, "{body:?}");
        }
        let vector = segments(&smart_encode("“hi” – it’s 50…"));
        assert_eq!((vector.encoding, vector.count), (Encoding::Gsm7, 1));
    }

    #[test]
    fn an_untouched_body_is_borrowed() {
        assert!(matches!(smart_encode("Hello ж"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn encoding_twice_changes_nothing_more(body: String) {
            let once = smart_encode(&body).into_owned();
            prop_assert_eq!(smart_encode(&once), once.as_str());
        }
    }
}
