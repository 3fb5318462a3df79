//! RTP packets (RFC 3550 §5.1).

/// Octets of the header without contributing sources and extension.
pub const HEADER_OCTETS: usize = 12;
/// Longest packet that is read or written: what fits into a UDP datagram.
pub const PACKET_OCTETS_MAX: usize = 65_507;
/// Contributing sources of one packet.
pub const SOURCES_MAX: usize = 15;
const VERSION: u8 = 2;

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// 0 to 127.
    pub payload_type: u8,
    /// The first packet after silence.
    pub marker: bool,
    pub sequence: u16,
    /// In units of the payload type's clock.
    pub timestamp: u32,
    pub ssrc: u32,
}

/// A packet in the octets it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub header: Header,
    /// Contributing sources, 4 octets each, at most 15.
    sources: &'a [u8],
    /// Profile and data, which is a multiple of 4 octets.
    pub extension: Option<(u16, &'a [u8])>,
    pub payload: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    #[error("the packet ends before its header does")]
    Short,
    #[error("the packet is longer than a datagram")]
    Long,
    #[error("version {0} is not 2")]
    Version(u8),
    #[error("payload type {0} belongs to RTCP or is not a payload type")]
    PayloadType(u8),
    #[error("the padding is longer than the payload, or empty")]
    Padding,
    #[error("a packet has at most 15 contributing sources")]
    Sources,
    #[error("an extension is a multiple of 4 octets, at most 262140")]
    Extension,
}

/// Whether a datagram of a port with both is RTCP (RFC 5761 §4): packet types 192 to 223, which
/// payload types 64 to 95 with the marker would look like.
pub fn is_rtcp(datagram: &[u8]) -> bool {
    datagram.get(1).is_some_and(|octet| (192..=223).contains(octet))
}

impl<'a> Packet<'a> {
    /// A packet without sources and extension.
    pub fn new(header: Header, payload: &'a [u8]) -> Self {
        Self { header, sources: &[], extension: None, payload }
    }

    pub fn read(octets: &'a [u8]) -> Result<Self, PacketError> {
        if octets.len() > PACKET_OCTETS_MAX {
            return Err(PacketError::Long);
        }
        let (head, rest) = octets.split_at_checked(HEADER_OCTETS).ok_or(PacketError::Short)?;
        if head[0] >> 6 != VERSION {
            return Err(PacketError::Version(head[0] >> 6));
        }
        if is_rtcp(head) {
            return Err(PacketError::PayloadType(head[1] & 0x7F));
        }
        let sources = usize::from(head[0] & 0x0F) * 4;
        let (sources, mut rest) = rest.split_at_checked(sources).ok_or(PacketError::Short)?;
        let mut extension = None;
        if head[0] & 0x10 != 0 {
            let (start, after) = rest.split_at_checked(4).ok_or(PacketError::Short)?;
            let length = usize::from(u16::from_be_bytes([start[2], start[3]])) * 4;
            let (data, after) = after.split_at_checked(length).ok_or(PacketError::Short)?;
            extension = Some((u16::from_be_bytes([start[0], start[1]]), data));
            rest = after;
        }
        if head[0] & 0x20 != 0 {
            let padding = usize::from(*rest.last().ok_or(PacketError::Padding)?);
            if padding == 0 || padding > rest.len() {
                return Err(PacketError::Padding);
            }
            rest = &rest[..rest.len() - padding];
        }
        let header = Header {
            payload_type: head[1] & 0x7F,
            marker: head[1] & 0x80 != 0,
            sequence: u16::from_be_bytes([head[2], head[3]]),
            timestamp: u32::from_be_bytes([head[4], head[5], head[6], head[7]]),
            ssrc: u32::from_be_bytes([head[8], head[9], head[10], head[11]]),
        };
        Ok(Self { header, sources, extension, payload: rest })
    }

    /// The contributing sources, at most 15.
    pub fn sources(&self) -> impl Iterator<Item = u32> {
        self.sources.chunks_exact(4).map(|s| u32::from_be_bytes([s[0], s[1], s[2], s[3]]))
    }

    /// Appends the packet to `out`, without padding.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), PacketError> {
        let sources: Vec<u32> = self.sources().collect();
        write(&self.header, &sources, self.extension, self.payload, out)
    }
}

/// Appends a packet to `out`, without padding. On an error `out` is as before.
pub fn write(
    header: &Header,
    sources: &[u32],
    extension: Option<(u16, &[u8])>,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), PacketError> {
    let marker = if header.marker { 0x80 } else { 0 };
    if header.payload_type > 0x7F || is_rtcp(&[0, marker | header.payload_type]) {
        return Err(PacketError::PayloadType(header.payload_type));
    }
    if sources.len() > SOURCES_MAX {
        return Err(PacketError::Sources);
    }
    let words =
        |data: &[u8]| u16::try_from(data.len() / 4).ok().filter(|_| data.len().is_multiple_of(4));
    let extension = match extension {
        Some((profile, data)) => Some((profile, words(data).ok_or(PacketError::Extension)?, data)),
        None => None,
    };
    let octets = HEADER_OCTETS
        + sources.len() * 4
        + extension.map_or(0, |(_, _, data)| 4 + data.len())
        + payload.len();
    if octets > PACKET_OCTETS_MAX {
        return Err(PacketError::Long);
    }
    out.reserve(octets);
    let extended = if extension.is_some() { 0x10 } else { 0 };
    out.push(VERSION << 6 | extended | sources.len() as u8);
    out.push(marker | header.payload_type);
    out.extend(header.sequence.to_be_bytes());
    out.extend(header.timestamp.to_be_bytes());
    out.extend(header.ssrc.to_be_bytes());
    sources.iter().for_each(|source| out.extend(source.to_be_bytes()));
    if let Some((profile, words, data)) = extension {
        out.extend(profile.to_be_bytes());
        out.extend(words.to_be_bytes());
        out.extend(data);
    }
    out.extend(payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: Header =
        Header { payload_type: 8, marker: true, sequence: 0x0102, timestamp: 3, ssrc: 0xDEAD_BEEF };

    #[test]
    fn a_packet_is_what_the_standard_draws() {
        let mut out = Vec::new();
        write(&HEADER, &[7], Some((0xBEDE, &[1, 2, 3, 4])), b"hi", &mut out).unwrap();
        assert_eq!(
            out,
            b"\x91\x88\x01\x02\0\0\0\x03\xde\xad\xbe\xef\0\0\0\x07\xbe\xde\0\x01\x01\x02\x03\x04hi"
        );
        let packet = Packet::read(&out).unwrap();
        assert_eq!((packet.header, packet.payload), (HEADER, &b"hi"[..]));
        assert_eq!(packet.sources().collect::<Vec<_>>(), [7]);
        assert_eq!(packet.extension, Some((0xBEDE, &[1, 2, 3, 4][..])));
    }

    #[test]
    fn padding_is_taken_off() {
        let with = |tail: &[u8]| {
            let mut out = Vec::new();
            Packet::new(HEADER, tail).write(&mut out).unwrap();
            out[0] |= 0x20;
            Packet::read(&out).map(|packet| packet.payload.to_vec())
        };
        assert_eq!(with(&[5, 6, 0, 0, 3]), Ok(vec![5, 6]));
        assert_eq!(with(&[0, 2]), Ok(vec![]));
        assert_eq!(with(&[5, 0]), Err(PacketError::Padding));
        assert_eq!(with(&[5, 3]), Err(PacketError::Padding));
        assert_eq!(with(&[]), Err(PacketError::Padding));
    }

    #[test]
    fn hostile_packets_are_refused() {
        let mut good = Vec::new();
        Packet::new(HEADER, &[]).write(&mut good).unwrap();
        let with = |at: usize, octet: u8| {
            let mut bad = good.clone();
            bad[at] = octet;
            Packet::read(&bad).unwrap_err()
        };
        assert_eq!(Packet::read(&good[..11]), Err(PacketError::Short));
        assert_eq!(with(0, 0x40), PacketError::Version(1));
        assert_eq!(with(0, 0x81), PacketError::Short);
        assert_eq!(with(0, 0x90), PacketError::Short);
        assert_eq!(with(1, 200), PacketError::PayloadType(72));
        assert_eq!(Packet::read(&vec![0x80; 65_508]), Err(PacketError::Long));
        assert!(is_rtcp(&[0x80, 200]) && !is_rtcp(&[0x80, 0xE0]) && !is_rtcp(&[0x80]));
    }

    #[test]
    fn what_is_written_is_checked() {
        let refused = |header: Header, sources: &[u32], extension, payload: &[u8]| {
            let mut out = vec![1];
            let error = write(&header, sources, extension, payload, &mut out).unwrap_err();
            assert_eq!(out, [1]);
            error
        };
        let typed = |payload_type| Header { payload_type, ..HEADER };
        assert_eq!(refused(typed(128), &[], None, &[]), PacketError::PayloadType(128));
        assert_eq!(refused(typed(72), &[], None, &[]), PacketError::PayloadType(72));
        assert_eq!(refused(HEADER, &[0; 16], None, &[]), PacketError::Sources);
        assert_eq!(refused(HEADER, &[], Some((1, &[1][..])), &[]), PacketError::Extension);
        assert_eq!(refused(HEADER, &[], None, &[0; 65_500]), PacketError::Long);
    }

    proptest! {
        #[test]
        fn no_octets_panic(mut octets in prop::collection::vec(any::<u8>(), 0..80), shape: bool) {
            if shape && let Some(first) = octets.first_mut() {
                *first = *first & 0x3F | 0x80;
            }
            if let Ok(packet) = Packet::read(&octets) {
                prop_assert!(packet.payload.len() + HEADER_OCTETS <= octets.len());
                let mut out = Vec::new();
                packet.write(&mut out).unwrap();
                prop_assert_eq!(Packet::read(&out).unwrap(), packet);
            }
        }
    }
}
