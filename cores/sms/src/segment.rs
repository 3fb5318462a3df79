//! Segmentation: how a body is cut into short messages (3GPP TS 23.040 §9.2.3.24.1; counts agree
//! with Twilio's published segment calculator).
//!
//! A short message carries 140 octets. A body that needs more is concatenated, and then each of
//! its segments gives 6 octets to the header that puts them back in order.

use unicode_segmentation::UnicodeSegmentation;

use crate::gsm;

/// The alphabet of a whole message; one character outside GSM 7-bit moves all of it to UCS-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// GSM 7-bit default alphabet with its extension table, counted in septets.
    Gsm7,
    /// UTF-16 (which the standards still call UCS-2), counted in 16-bit units.
    Ucs2,
}

impl Encoding {
    /// Units in a message that is a single segment: 160 septets or 70 UTF-16 units.
    pub const fn single_units_max(self) -> usize {
        match self {
            Encoding::Gsm7 => 160,
            Encoding::Ucs2 => 70,
        }
    }

    /// Units in each segment of a concatenated message, after its 6-octet header: 153 septets or
    /// 67 UTF-16 units.
    pub const fn concatenated_units_max(self) -> usize {
        match self {
            Encoding::Gsm7 => 153,
            Encoding::Ucs2 => 67,
        }
    }
}

/// What a body takes on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Segmentation {
    pub encoding: Encoding,
    /// Segments, at least 1: an empty body is still one message. Twilio's `num_segments`.
    pub count: usize,
    /// Length of the body in septets or UTF-16 units, as the encoding has it; headers and the room
    /// left empty at the end of a segment are not in it.
    pub units: usize,
}

/// Counts the segments of `body` as text message. (A message with media counts as one, whatever
/// its text; that is for the caller to know.)
///
/// Reads the body once or twice and allocates nothing unless it is UCS-2 and concatenated.
pub fn segments(body: &str) -> Segmentation {
    let Measure { encoding, units, uniform } = measure(body);
    let room = encoding.concatenated_units_max();
    let count = if units <= encoding.single_units_max() {
        1
    } else if uniform {
        units.div_ceil(room)
    } else {
        match encoding {
            Encoding::Gsm7 => cuts(characters(body), room).count() + 1,
            Encoding::Ucs2 => cuts(clusters(body), room).count() + 1,
        }
    };
    Segmentation { encoding, count, units }
}

/// The text of each segment, in order; together they are the body. Never empty: an empty body is
/// one empty segment.
pub fn split(body: &str) -> Vec<&str> {
    let Measure { encoding, units, .. } = measure(body);
    let room = encoding.concatenated_units_max();
    if units <= encoding.single_units_max() {
        return vec![body];
    }
    match encoding {
        Encoding::Gsm7 => split_at(body, cuts(characters(body), room)),
        Encoding::Ucs2 => split_at(body, cuts(clusters(body), room)),
    }
}

fn split_at(body: &str, cuts: impl Iterator<Item = usize>) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    for cut in cuts {
        parts.push(&body[start..cut]);
        start = cut;
    }
    parts.push(&body[start..]);
    parts
}

struct Measure {
    encoding: Encoding,
    units: usize,
    /// Every character takes one septet, so that a division counts the segments.
    uniform: bool,
}

fn measure(body: &str) -> Measure {
    let mut units = 0;
    let mut uniform = true;
    for character in body.chars() {
        match gsm::septets(character) {
            Some(septets) => {
                units += septets;
                uniform &= septets == 1;
            }
            None => {
                let units = body.encode_utf16().count();
                return Measure { encoding: Encoding::Ucs2, units, uniform: false };
            }
        }
    }
    Measure { encoding: Encoding::Gsm7, units, uniform }
}

/// Byte offsets at which a body made of `atoms` (byte offset and units of each) is cut. A segment
/// takes as many whole atoms as fit `room`; one that does not fit moves to the next segment and
/// leaves its room empty.
fn cuts(atoms: impl Iterator<Item = (usize, usize)>, room: usize) -> impl Iterator<Item = usize> {
    let mut used = 0;
    atoms.filter_map(move |(offset, units)| {
        used += units;
        if used <= room {
            return None;
        }
        used = units;
        Some(offset)
    })
}

/// The atoms of a GSM body: its characters, so an escape stays with the septet it announces.
fn characters(body: &str) -> impl Iterator<Item = (usize, usize)> {
    body.char_indices().filter_map(|(offset, character)| Some((offset, gsm::septets(character)?)))
}

/// The atoms of a UCS-2 body: its grapheme clusters (UAX #29), except that the pair CR LF counts
/// as two.
///
/// Differs: Twilio's calculator knows the clusters of an older Unicode version, so a rare sequence
/// that newer rules keep together may be cut at another place.
/// Differs: a cluster longer than a whole segment is cut between its code points; the calculator
/// would overfill the segment.
fn clusters(body: &str) -> impl Iterator<Item = (usize, usize)> {
    body.grapheme_indices(true).flat_map(|(offset, cluster)| {
        let units = cluster.encode_utf16().count();
        let is_whole = cluster != "\r\n" && units <= Encoding::Ucs2.concatenated_units_max();
        let loose = if is_whole { "" } else { cluster };
        let loose = loose.char_indices().map(move |(at, c)| (offset + at, c.len_utf16()));
        is_whole.then_some((offset, units)).into_iter().chain(loose)
    })
}

#[cfg(test)]
mod tests {
    //! Goal: counts agree with the published calculator. Method: its answers as a table, then
    //! properties that hold for every body.
    use proptest::prelude::*;

    use super::*;

    const FAMILY: &str = "👨‍👩‍👧‍👦";

    #[test]
    fn counts_agree_with_the_published_calculator() {
        use Encoding::{Gsm7, Ucs2};
        let a = |n| "a".repeat(n);
        let zhe = |n| "ж".repeat(n);
        let grin = |n| "😀".repeat(n);
        let table = [
            (String::new(), Gsm7, 1),
            (a(160), Gsm7, 1),
            (a(161), Gsm7, 2),
            (a(306), Gsm7, 2),
            (a(307), Gsm7, 3),
            (a(459), Gsm7, 3),
            (a(460), Gsm7, 4),
            ("€".repeat(80), Gsm7, 1),
            ("€".repeat(81), Gsm7, 2),
            (a(159) + "€", Gsm7, 2),
            (a(152) + "€" + &a(151), Gsm7, 2),
            (a(152) + "€" + &a(152), Gsm7, 3),
            ("a\r\nb".repeat(40), Gsm7, 1),
            ("a\r\nb".repeat(41), Gsm7, 2),
            (zhe(70), Ucs2, 1),
            (zhe(71), Ucs2, 2),
            (zhe(134), Ucs2, 2),
            (zhe(135), Ucs2, 3),
            (grin(35), Ucs2, 1),
            (grin(36), Ucs2, 2),
            (grin(66), Ucs2, 2),
            (grin(67), Ucs2, 3),
            (grin(1) + &a(68), Ucs2, 1),
            (grin(1) + &a(69), Ucs2, 2),
            (zhe(60) + FAMILY, Ucs2, 2),
            (FAMILY.repeat(6), Ucs2, 1),
            (FAMILY.repeat(7), Ucs2, 2),
            ("\u{0C}".into(), Gsm7, 1),
            ("`".into(), Ucs2, 1),
            ("ç".into(), Ucs2, 1),
            ("È".into(), Ucs2, 1),
            ("\t".into(), Ucs2, 1),
            ("\u{1B}".into(), Ucs2, 1),
            ("e\u{301}".into(), Ucs2, 1),
            ("Ç".into(), Gsm7, 1),
            ("É".into(), Gsm7, 1),
        ];
        for (body, encoding, count) in table {
            let found = segments(&body);
            assert_eq!((found.encoding, found.count), (encoding, count), "{body:?}");
            assert_eq!(split(&body).len(), count, "{body:?}");
        }
    }

    #[test]
    fn units_are_septets_or_utf16_units() {
        let table = [("", 0), ("a€", 3), ("\u{0C}", 2), ("ж", 1), ("😀", 2), (FAMILY, 11)];
        for (body, units) in table {
            assert_eq!(segments(body).units, units, "{body:?}");
        }
    }

    #[test]
    fn a_cluster_moves_whole_to_the_next_segment() {
        let body = format!("{}{FAMILY}", "ж".repeat(60));
        assert_eq!(split(&body), ["ж".repeat(60).as_str(), FAMILY]);
    }

    #[test]
    fn cr_lf_may_be_cut_in_ucs2() {
        let body = format!("{}\r\n{}", "ж".repeat(66), "ж".repeat(10));
        assert_eq!(split(&body)[1], format!("\n{}", "ж".repeat(10)));
    }

    #[test]
    fn a_cluster_larger_than_a_segment_is_cut_between_code_points() {
        let body = format!("e{}", "\u{301}".repeat(199));
        let lengths: Vec<usize> = split(&body).iter().map(|part| part.chars().count()).collect();
        assert_eq!(lengths, [67, 67, 66]);
    }

    fn body() -> impl Strategy<Value = String> {
        let gsm = prop::sample::select(vec!["a", "€", "\r\n", "Ω", "["]);
        let wide = prop::sample::select(vec!["ж", "😀", FAMILY, "e\u{301}", "\r\n", "a", "🇨🇭"]);
        prop_oneof![
            any::<String>(),
            prop::collection::vec(gsm, 0..500).prop_map(|pieces| pieces.concat()),
            prop::collection::vec(wide, 0..300).prop_map(|pieces| pieces.concat()),
        ]
    }

    proptest! {
        #[test]
        fn count_and_split_agree(body in body()) {
            let found = segments(&body);
            let parts = split(&body);
            prop_assert_eq!(parts.len(), found.count);
            prop_assert_eq!(parts.concat(), body.as_str());
            let room = match found.count {
                1 => found.encoding.single_units_max(),
                _ => found.encoding.concatenated_units_max(),
            };
            for part in &parts {
                let units = match found.encoding {
                    Encoding::Gsm7 => gsm::encode(part).unwrap().len(),
                    Encoding::Ucs2 => part.encode_utf16().count(),
                };
                prop_assert!(units <= room);
                prop_assert!(units > 0 || body.is_empty());
            }
        }
    }
}
