//! RTCP compound packets (RFC 3550 §6).
//!
//! A compound begins with a sender or receiver report; padding may end it. What is not understood
//! (feedback, extended reports, application packets) is kept by its type and skipped.

use std::time::Duration;

/// Report blocks of one packet, and sources of a goodbye.
pub const BLOCKS_MAX: usize = 31;
/// Packets of a compound that are read.
pub const PACKETS_MAX: usize = 32;
/// Octets of a name or reason.
pub const TEXT_MAX: usize = 255;

const VERSION: u8 = 2;
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const CNAME: u8 = 1;
/// Seconds from 1900 to 1970.
const NTP_UNIX: u64 = 2_208_988_800;

/// What a sender says of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderInfo {
    /// Wall clock in 2⁻³² s since 1900; see [`ntp`].
    pub ntp: u64,
    /// The same moment in units of the stream's clock.
    pub timestamp: u32,
    pub packets: u32,
    /// Of payloads.
    pub octets: u32,
}

/// What a receiver says of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    pub ssrc: u32,
    /// Since the last report, in 1/256.
    pub fraction_lost: u8,
    /// In all, from −2²³ to 2²³−1: negative when some came twice.
    pub lost: i32,
    /// Highest sequence number with the count of its turns above.
    pub highest: u32,
    /// In units of the stream's clock.
    pub jitter: u32,
    /// Middle of the NTP time of the last sender report, 0 for none.
    pub last_report: u32,
    /// Since that came, in 1/65536 s.
    pub delay: u32,
}

/// One packet of a compound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet {
    SenderReport {
        ssrc: u32,
        info: SenderInfo,
        blocks: Vec<Block>,
    },
    ReceiverReport {
        ssrc: u32,
        blocks: Vec<Block>,
    },
    /// The canonical names of sources; other items are skipped.
    Description(Vec<(u32, String)>),
    Goodbye {
        sources: Vec<u32>,
        reason: Option<String>,
    },
    /// Another type.
    Other(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtcpError {
    #[error("the compound packet ends before its length does")]
    Short,
    #[error("version {0} is not 2")]
    Version(u8),
    #[error("a compound packet begins with a report, not with type {0}")]
    First(u8),
    #[error("the padding is not at the end, or not a multiple of 4 that fits")]
    Padding,
    #[error("more than 32 packets in a compound")]
    Packets,
    #[error("more than 31 blocks or sources, or a text of more than 255 octets")]
    TooMany,
}

/// The wall clock, given as the time since 1970, in the form of reports.
pub fn ntp(since_1970: Duration) -> u64 {
    let seconds = since_1970.as_secs().wrapping_add(NTP_UNIX);
    (seconds << 32) + (u64::from(since_1970.subsec_nanos()) << 32) / 1_000_000_000
}

/// Reads a compound packet.
pub fn read(mut octets: &[u8]) -> Result<Vec<Packet>, RtcpError> {
    let mut packets = Vec::new();
    while !octets.is_empty() {
        let head: &[u8; 4] = octets.first_chunk().ok_or(RtcpError::Short)?;
        let [flags, kind, high, low] = *head;
        if flags >> 6 != VERSION {
            return Err(RtcpError::Version(flags >> 6));
        }
        if packets.is_empty() && !matches!(kind, SENDER_REPORT | RECEIVER_REPORT) {
            return Err(RtcpError::First(kind));
        }
        if packets.len() == PACKETS_MAX {
            return Err(RtcpError::Packets);
        }
        let length = usize::from(u16::from_be_bytes([high, low])) * 4 + 4;
        let (packet, rest) = octets.split_at_checked(length).ok_or(RtcpError::Short)?;
        let mut body = &packet[4..];
        if flags & 0x20 != 0 {
            let padding = usize::from(*body.last().ok_or(RtcpError::Padding)?);
            let is_whole = padding > 0 && padding.is_multiple_of(4) && padding <= body.len();
            if !is_whole || !rest.is_empty() {
                return Err(RtcpError::Padding);
            }
            body = &body[..body.len() - padding];
        }
        packets.push(read_one(kind, usize::from(flags & 0x1F), Reader(body))?);
        octets = rest;
    }
    if packets.is_empty() { Err(RtcpError::Short) } else { Ok(packets) }
}

fn read_one(kind: u8, count: usize, mut body: Reader<'_>) -> Result<Packet, RtcpError> {
    Ok(match kind {
        SENDER_REPORT => {
            let ssrc = body.word()?;
            let ntp = u64::from(body.word()?) << 32 | u64::from(body.word()?);
            let (timestamp, packets, octets) = (body.word()?, body.word()?, body.word()?);
            let info = SenderInfo { ntp, timestamp, packets, octets };
            Packet::SenderReport { ssrc, info, blocks: body.blocks(count)? }
        }
        RECEIVER_REPORT => {
            Packet::ReceiverReport { ssrc: body.word()?, blocks: body.blocks(count)? }
        }
        DESCRIPTION => Packet::Description(body.names(count)?),
        GOODBYE => {
            let sources = (0..count).map(|_| body.word()).collect::<Result<_, _>>()?;
            let reason = if body.0.is_empty() { None } else { Some(body.text()?) };
            Packet::Goodbye { sources, reason }
        }
        other => Packet::Other(other),
    })
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn octet(&mut self) -> Result<u8, RtcpError> {
        let (octet, rest) = self.0.split_first().ok_or(RtcpError::Short)?;
        self.0 = rest;
        Ok(*octet)
    }

    fn word(&mut self) -> Result<u32, RtcpError> {
        let (word, rest) = self.0.split_first_chunk::<4>().ok_or(RtcpError::Short)?;
        self.0 = rest;
        Ok(u32::from_be_bytes(*word))
    }

    /// A length and that many octets.
    fn text(&mut self) -> Result<String, RtcpError> {
        let length = usize::from(self.octet()?);
        let (text, rest) = self.0.split_at_checked(length).ok_or(RtcpError::Short)?;
        self.0 = rest;
        Ok(String::from_utf8_lossy(text).into_owned())
    }

    fn blocks(&mut self, count: usize) -> Result<Vec<Block>, RtcpError> {
        let block = |_| {
            let ssrc = self.word()?;
            let loss = self.word()?;
            Ok(Block {
                ssrc,
                fraction_lost: (loss >> 24) as u8,
                // Sign-extended from 24 bits.
                lost: (loss << 8) as i32 >> 8,
                highest: self.word()?,
                jitter: self.word()?,
                last_report: self.word()?,
                delay: self.word()?,
            })
        };
        (0..count).map(block).collect()
    }

    fn names(&mut self, count: usize) -> Result<Vec<(u32, String)>, RtcpError> {
        let mut names = Vec::new();
        for _ in 0..count {
            let start = self.0.len();
            let ssrc = self.word()?;
            loop {
                match self.octet()? {
                    0 => break,
                    CNAME => names.push((ssrc, self.text()?)),
                    _ => drop(self.text()?),
                }
            }
            // The list is filled up to a whole word.
            while !(start - self.0.len()).is_multiple_of(4) {
                self.octet()?;
            }
        }
        Ok(names)
    }
}

/// Appends a compound packet to `out`. On an error `out` is as before. [`Packet::Other`] cannot be
/// written and is skipped.
pub fn write(packets: &[Packet], out: &mut Vec<u8>) -> Result<(), RtcpError> {
    match packets.first() {
        None => return Err(RtcpError::Short),
        Some(Packet::SenderReport { .. } | Packet::ReceiverReport { .. }) => {}
        Some(other) => return Err(RtcpError::First(other.kind())),
    }
    if packets.len() > PACKETS_MAX {
        return Err(RtcpError::Packets);
    }
    let start = out.len();
    for packet in packets {
        if let Err(error) = write_one(packet, out) {
            out.truncate(start);
            return Err(error);
        }
    }
    Ok(())
}

impl Packet {
    fn kind(&self) -> u8 {
        match self {
            Self::SenderReport { .. } => SENDER_REPORT,
            Self::ReceiverReport { .. } => RECEIVER_REPORT,
            Self::Description(_) => DESCRIPTION,
            Self::Goodbye { .. } => GOODBYE,
            Self::Other(kind) => *kind,
        }
    }
}

fn write_one(packet: &Packet, out: &mut Vec<u8>) -> Result<(), RtcpError> {
    let start = out.len();
    out.extend([0; 4]);
    let count = match packet {
        Packet::SenderReport { ssrc, info, blocks } => {
            out.extend(ssrc.to_be_bytes());
            out.extend(info.ntp.to_be_bytes());
            out.extend(info.timestamp.to_be_bytes());
            out.extend(info.packets.to_be_bytes());
            out.extend(info.octets.to_be_bytes());
            write_blocks(blocks, out);
            blocks.len()
        }
        Packet::ReceiverReport { ssrc, blocks } => {
            out.extend(ssrc.to_be_bytes());
            write_blocks(blocks, out);
            blocks.len()
        }
        Packet::Description(names) => {
            for (ssrc, name) in names {
                out.extend(ssrc.to_be_bytes());
                out.push(CNAME);
                write_text(name, out)?;
                // At least one zero ends the list.
                out.push(0);
                fill(start, out);
            }
            names.len()
        }
        Packet::Goodbye { sources, reason } => {
            sources.iter().for_each(|source| out.extend(source.to_be_bytes()));
            if let Some(reason) = reason {
                write_text(reason, out)?;
                fill(start, out);
            }
            sources.len()
        }
        Packet::Other(_) => {
            out.truncate(start);
            return Ok(());
        }
    };
    let words = u16::try_from((out.len() - start) / 4 - 1).map_err(|_| RtcpError::TooMany)?;
    if count > BLOCKS_MAX {
        return Err(RtcpError::TooMany);
    }
    let [high, low] = words.to_be_bytes();
    out[start..start + 4].copy_from_slice(&[VERSION << 6 | count as u8, packet.kind(), high, low]);
    Ok(())
}

fn write_blocks(blocks: &[Block], out: &mut Vec<u8>) {
    for block in blocks {
        let lost = block.lost.clamp(-0x80_0000, 0x7F_FFFF) as u32 & 0xFF_FFFF;
        out.extend(block.ssrc.to_be_bytes());
        out.extend((u32::from(block.fraction_lost) << 24 | lost).to_be_bytes());
        out.extend(block.highest.to_be_bytes());
        out.extend(block.jitter.to_be_bytes());
        out.extend(block.last_report.to_be_bytes());
        out.extend(block.delay.to_be_bytes());
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), RtcpError> {
    out.push(u8::try_from(text.len()).map_err(|_| RtcpError::TooMany)?);
    out.extend(text.as_bytes());
    Ok(())
}

fn fill(start: usize, out: &mut Vec<u8>) {
    let whole = (out.len() - start).next_multiple_of(4);
    out.resize(start + whole, 0);
}

#[cfg(test)]
#[path = "tests/rtcp.rs"]
mod tests;
