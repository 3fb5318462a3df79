//! String identifiers: two capitals that name the resource, then 32 hex digits.

use std::fmt;
use std::str::FromStr;
use std::sync::Mutex;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Timestamp;

/// A resource identifier such as `SM` + 32 hex digits.
///
/// Accepts either case of hex and prints lower case (rest-conventions §15.14).
/// Ordering is by the 128 bits first: newer SIDs of one generator are greater
/// whatever their prefix.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sid {
    bits: u128,
    prefix: [u8; 2],
}

/// The text is not two capitals and 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SidError;

impl fmt::Display for SidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a SID: two capital letters and 32 hexadecimal digits are needed")
    }
}

impl std::error::Error for SidError {}

impl Sid {
    /// A SID from its parts. The prefix must be two ASCII capitals.
    pub const fn from_parts(prefix: &str, bits: u128) -> Self {
        let p = prefix.as_bytes();
        assert!(p.len() == 2 && p[0].is_ascii_uppercase() && p[1].is_ascii_uppercase());
        Self { bits, prefix: [p[0], p[1]] }
    }

    /// The two letters that name the resource.
    pub fn prefix(&self) -> &str {
        std::str::from_utf8(&self.prefix).expect("a prefix is two ASCII capitals")
    }

    /// The 128 bits behind the prefix.
    pub const fn bits(&self) -> u128 {
        self.bits
    }

    /// The same bits under another prefix.
    pub const fn with_prefix(self, prefix: &str) -> Self {
        Self::from_parts(prefix, self.bits)
    }

    /// The 32 hex digits: what a time-ordered column stores.
    pub fn hex(&self) -> String {
        format!("{:032x}", self.bits)
    }

    /// True when `text` has the form of a SID with this prefix.
    pub fn is_form(prefix: &str, text: &str) -> bool {
        text.parse::<Sid>().is_ok_and(|sid| sid.prefix() == prefix)
    }
}

impl FromStr for Sid {
    type Err = SidError;

    fn from_str(text: &str) -> Result<Self, SidError> {
        let bytes = text.as_bytes();
        if bytes.len() != 34 || !bytes[..2].iter().all(u8::is_ascii_uppercase) {
            return Err(SidError);
        }
        let mut bits = 0u128;
        for &byte in &bytes[2..] {
            let digit = (byte as char).to_digit(16).ok_or(SidError)?;
            bits = (bits << 4) | u128::from(digit);
        }
        Ok(Self { bits, prefix: [bytes[0], bytes[1]] })
    }
}

impl PartialOrd for Sid {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Sid {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.bits, self.prefix).cmp(&(other.bits, other.prefix))
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0u8; 34];
        text[..2].copy_from_slice(&self.prefix);
        for (at, slot) in text[2..].iter_mut().enumerate() {
            *slot = HEX[(self.bits >> (124 - 4 * at)) as usize & 15];
        }
        f.write_str(std::str::from_utf8(&text).expect("a SID is ASCII"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Makes SIDs that sort by creation: 48 bits of milliseconds, 16 bits of
/// sequence, 64 bits of randomness.
///
/// Strictly increasing within one generator, also when the clock stands still
/// or steps back, so that "newest first" is exact and inserts are sequential.
#[derive(Default)]
pub struct SidGenerator {
    /// The last (milliseconds << 16 | sequence) handed out.
    last: Mutex<u64>,
}

impl SidGenerator {
    /// The next SID for `now`, with 64 fresh random bits from the caller.
    pub fn next(&self, prefix: &str, now: Timestamp, random: u64) -> Sid {
        let wanted = (now.as_millis().max(0) as u64) << 16;
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *last = wanted.max(*last + 1);
        Sid::from_parts(prefix, (u128::from(*last) << 64) | u128::from(random))
    }

    /// The SID of the `number`th event, which happened at `at`: the same whoever asks.
    pub fn numbered(prefix: &str, at: Timestamp, number: u64) -> Sid {
        Sid::from_parts(prefix, Self::lower_bound(at) | u128::from(number))
    }

    /// Smallest and largest SID bits that can have been made at `at`'s millisecond or later.
    pub fn lower_bound(at: Timestamp) -> u128 {
        u128::from((at.as_millis().max(0) as u64) << 16) << 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_both_cases_and_prints_lower() {
        let upper = "SM0123456789ABCDEF0123456789ABCDEF";
        assert_eq!(
            upper.parse::<Sid>().unwrap().to_string(),
            upper.to_lowercase().replacen("sm", "SM", 1)
        );
    }

    #[test]
    fn refuses_other_shapes() {
        for bad in [
            "",
            "SM",
            "sm0123456789abcdef0123456789abcdef",
            "SM0123456789abcdef0123456789abcdeg",
            "SM0123456789abcdef0123456789abcdef0",
            "SMé123456789abcdef0123456789abcdef",
        ] {
            assert_eq!(bad.parse::<Sid>(), Err(SidError), "{bad}");
        }
    }

    #[test]
    fn generator_is_strictly_increasing_even_when_time_steps_back() {
        let generator = SidGenerator::default();
        let mut previous = generator.next("SM", Timestamp::from_millis(1_000), u64::MAX);
        for (step, millis) in [1_000, 1_000, 999, 0, 1_001, 5_000].into_iter().enumerate() {
            let next = generator.next("MM", Timestamp::from_millis(millis), step as u64);
            assert!(next > previous);
            previous = next;
        }
    }
}
