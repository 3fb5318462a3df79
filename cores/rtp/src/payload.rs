//! Which payload type is which codec, in one direction of one leg.
//!
//! Types 0 and 8 need no mention (RFC 3551 §6); the others are what the session description says,
//! and may differ by direction.

use audio::g711::Law;

/// Types of one direction; more are refused.
pub const TYPES_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    G711(Law),
    /// 48 kHz, always named with two channels (RFC 7587 §7).
    Opus,
    /// With its clock in Hz.
    TelephoneEvent(u32),
    /// RFC 3389: silence, as far as this platform is concerned.
    ComfortNoise,
}

impl Codec {
    /// By its name in an `rtpmap`, in any case. None for what the platform does not speak.
    pub fn named(name: &str, clock: u32, channels: u16) -> Option<Self> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        match (clock, channels) {
            (8_000, 1) if is("PCMU") => Some(Self::G711(Law::Mu)),
            (8_000, 1) if is("PCMA") => Some(Self::G711(Law::A)),
            (8_000, 1) if is("CN") => Some(Self::ComfortNoise),
            (8_000 | 16_000 | 48_000, 1) if is("telephone-event") => {
                Some(Self::TelephoneEvent(clock))
            }
            (48_000, 2) if is("opus") => Some(Self::Opus),
            _ => None,
        }
    }

    /// What a static payload type is without being named.
    pub fn of_static(payload_type: u8) -> Option<Self> {
        match payload_type {
            0 => Some(Self::G711(Law::Mu)),
            8 => Some(Self::G711(Law::A)),
            13 => Some(Self::ComfortNoise),
            _ => None,
        }
    }

    /// Timestamp units per second.
    pub fn clock(self) -> u32 {
        match self {
            Self::G711(_) | Self::ComfortNoise => 8_000,
            Self::Opus => 48_000,
            Self::TelephoneEvent(clock) => clock,
        }
    }

    /// Whether it is sound, and not beside it.
    pub fn is_audio(self) -> bool {
        matches!(self, Self::G711(_) | Self::Opus)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    #[error("payload type {0} is not 0 to 63 or 96 to 127")]
    Type(u8),
    #[error("payload type {0} is named twice")]
    Twice(u8),
    #[error("more than 32 payload types")]
    Full,
}

/// Payload types and their codecs, in order of preference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map(Vec<(u8, Codec)>);

impl Map {
    pub fn add(&mut self, payload_type: u8, codec: Codec) -> Result<(), MapError> {
        // What lies between would look like RTCP.
        if !matches!(payload_type, 0..=63 | 96..=127) {
            return Err(MapError::Type(payload_type));
        }
        if self.0.iter().any(|(known, _)| *known == payload_type) {
            return Err(MapError::Twice(payload_type));
        }
        if self.0.len() >= TYPES_MAX {
            return Err(MapError::Full);
        }
        self.0.push((payload_type, codec));
        Ok(())
    }

    /// What came with this payload type.
    pub fn codec(&self, payload_type: u8) -> Option<Codec> {
        let named = self.0.iter().find(|(known, _)| *known == payload_type);
        named.map(|(_, codec)| *codec).or_else(|| Codec::of_static(payload_type))
    }

    /// How a codec is sent; of several types the preferred one.
    pub fn payload_type(&self, codec: Codec) -> Option<u8> {
        self.0.iter().find(|(_, known)| *known == codec).map(|(payload_type, _)| *payload_type)
    }

    /// The preferred sound.
    pub fn audio(&self) -> Option<(u8, Codec)> {
        self.0.iter().copied().find(|(_, codec)| codec.is_audio())
    }

    /// How keys are sent beside sound of this clock: of the same clock if there is one
    /// (RFC 4733 §2.1).
    pub fn events(&self, clock: u32) -> Option<(u8, Codec)> {
        let events =
            || self.0.iter().copied().filter(|(_, c)| matches!(c, Codec::TelephoneEvent(_)));
        events().find(|(_, codec)| codec.clock() == clock).or_else(|| events().next())
    }
}

/// Decodes what needs no memory: G.711. Everything else is nothing.
#[cfg(test)]
impl crate::jitter::Decode for Map {
    fn decode(&mut self, payload_type: u8, payload: &[u8], out: &mut Vec<i16>) {
        if let Some(Codec::G711(law)) = self.codec(payload_type) {
            law.decode_to(payload, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_case_are_known() {
        for (name, clock, channels, codec) in [
            ("pcmu", 8_000, 1, Some(Codec::G711(Law::Mu))),
            ("PCMA", 8_000, 1, Some(Codec::G711(Law::A))),
            ("Opus", 48_000, 2, Some(Codec::Opus)),
            ("opus", 48_000, 1, None),
            ("Telephone-Event", 48_000, 1, Some(Codec::TelephoneEvent(48_000))),
            ("telephone-event", 44_100, 1, None),
            ("CN", 8_000, 1, Some(Codec::ComfortNoise)),
            ("PCMU", 16_000, 1, None),
            ("G729", 8_000, 1, None),
        ] {
            assert_eq!(Codec::named(name, clock, channels), codec, "{name}");
        }
    }

    #[test]
    fn types_are_found_both_ways() {
        let mut map = Map::default();
        map.add(101, Codec::TelephoneEvent(8_000)).unwrap();
        map.add(111, Codec::Opus).unwrap();
        map.add(110, Codec::TelephoneEvent(48_000)).unwrap();
        map.add(8, Codec::G711(Law::A)).unwrap();
        assert_eq!(map.codec(111), Some(Codec::Opus));
        // Static, though nobody named it; not to be sent, though.
        assert_eq!(map.codec(0), Some(Codec::G711(Law::Mu)));
        assert_eq!(map.payload_type(Codec::G711(Law::Mu)), None);
        assert_eq!(map.codec(96), None);
        assert_eq!(map.audio(), Some((111, Codec::Opus)));
        assert_eq!(map.events(48_000), Some((110, Codec::TelephoneEvent(48_000))));
        assert_eq!(map.events(16_000), Some((101, Codec::TelephoneEvent(8_000))));
        assert_eq!(map.add(72, Codec::Opus), Err(MapError::Type(72)));
        assert_eq!(map.add(128, Codec::Opus), Err(MapError::Type(128)));
        assert_eq!(map.add(8, Codec::Opus), Err(MapError::Twice(8)));
        for payload_type in 20..48 {
            map.add(payload_type, Codec::Opus).unwrap();
        }
        assert_eq!(map.add(50, Codec::Opus), Err(MapError::Full));
    }
}
