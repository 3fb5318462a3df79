//! RIFF WAVE files.
//!
//! Reads PCM of 8, 16 and 24 bits, µ-law and A-law, one or two channels, 8 to 192 kHz, also in
//! WAVE_FORMAT_EXTENSIBLE; writes PCM of 16 bits and both laws. A data chunk of unknown length
//! (0 or 2³²−1, as streaming writers leave it) reaches to the end of the file, and one that says
//! more than is there is cut: a recording that was interrupted can be heard.

use crate::g711::Law;
use crate::resample::{RATES, ResampleError, resample};

/// Octets of [`header`] for the longest form.
pub const HEADER_OCTETS_MAX: usize = 58;
/// Chunks before the data that are looked through.
const CHUNKS_MAX: usize = 256;

const PCM: u16 = 1;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
const EXTENSIBLE: u16 = 0xFFFE;

/// How samples are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Pcm16,
    G711(Law),
}

impl Encoding {
    /// Octets of one sample.
    pub const fn width(self) -> u32 {
        match self {
            Self::Pcm16 => 2,
            Self::G711(_) => 1,
        }
    }
}

/// A sound that was read: samples of the channels take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wav {
    /// In Hz, 8000 to 192000.
    pub rate: u32,
    /// 1 or 2.
    pub channels: u16,
    pub samples: Vec<i16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    #[error("not a RIFF WAVE file")]
    NotWave,
    #[error("the file has no fmt chunk before its data")]
    NoFormat,
    #[error("the file has no data")]
    NoData,
    #[error("the fmt chunk contradicts itself")]
    Format,
    #[error("format {tag} of {bits} bits is not supported")]
    Encoding { tag: u16, bits: u16 },
    #[error("{0} channels are not 1 or 2")]
    Channels(u16),
    #[error("a rate of {0} Hz is outside 8000 to 192000")]
    Rate(u32),
    #[error("the sound is longer than a WAVE file can be")]
    TooLong,
}

/// Reads a whole file. At most two octets of samples are made of each octet of `file`.
pub fn read(file: &[u8]) -> Result<Wav, WavError> {
    if file.len() < 12 || &file[..4] != b"RIFF" || &file[8..12] != b"WAVE" {
        return Err(WavError::NotWave);
    }
    let mut rest = &file[12..];
    let mut format = None;
    for _ in 0..CHUNKS_MAX {
        let Some((head, body)) = rest.split_at_checked(8) else { break };
        let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        if &head[..4] == b"data" {
            let format: Format = format.ok_or(WavError::NoFormat)?;
            // An empty chunk that others follow is empty; one where the file should end is not
            // finished.
            let riff = u32::from_le_bytes([file[4], file[5], file[6], file[7]]);
            let ends_here = riff == u32::MAX || riff as usize + 8 <= file.len() - body.len();
            let unknown = size == u32::MAX || (size == 0 && ends_here);
            let length = if unknown { body.len() } else { body.len().min(size as usize) };
            return format.decode(&body[..length]);
        }
        let body_octets = body.get(..size as usize).ok_or(WavError::NoData)?;
        if &head[..4] == b"fmt " {
            format = Some(Format::read(body_octets)?);
        }
        // Chunks begin at even places.
        rest = body.get(size as usize + (size & 1) as usize..).unwrap_or_default();
    }
    Err(WavError::NoData)
}

struct Format {
    tag: u16,
    channels: u16,
    rate: u32,
    bits: u16,
}

impl Format {
    fn read(chunk: &[u8]) -> Result<Self, WavError> {
        if chunk.len() < 16 {
            return Err(WavError::Format);
        }
        let word = |at: usize| u16::from_le_bytes([chunk[at], chunk[at + 1]]);
        let (mut tag, channels, align, bits) = (word(0), word(2), word(12), word(14));
        let rate = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        if tag == EXTENSIBLE {
            // The sub-format, of which the first word is the tag.
            tag = if chunk.len() >= 40 { word(24) } else { return Err(WavError::Format) };
        }
        if !matches!((tag, bits), (PCM, 8 | 16 | 24) | (A_LAW | MU_LAW, 8)) {
            return Err(WavError::Encoding { tag, bits });
        }
        if !(1..=2).contains(&channels) {
            return Err(WavError::Channels(channels));
        }
        if !RATES.contains(&rate) {
            return Err(WavError::Rate(rate));
        }
        if align != channels * (bits / 8) {
            return Err(WavError::Format);
        }
        Ok(Self { tag, channels, rate, bits })
    }

    fn decode(&self, data: &[u8]) -> Result<Wav, WavError> {
        // What is not a whole sample of all channels is dropped.
        let whole = usize::from(self.channels * (self.bits / 8));
        let data = &data[..data.len() / whole * whole];
        let samples = match (self.tag, self.bits) {
            (A_LAW, _) => data.iter().map(|octet| Law::A.decode(*octet)).collect(),
            (MU_LAW, _) => data.iter().map(|octet| Law::Mu.decode(*octet)).collect(),
            (_, 8) => data.iter().map(|octet| (i16::from(*octet) - 128) << 8).collect(),
            (_, 16) => data.chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]])).collect(),
            _ => data.chunks_exact(3).map(|s| i16::from_le_bytes([s[1], s[2]])).collect(),
        };
        Ok(Wav { rate: self.rate, channels: self.channels, samples })
    }
}

impl Wav {
    /// One channel at 8 kHz, the channels mixed to their mean.
    pub fn into_telephone(self) -> Result<Vec<i16>, ResampleError> {
        let mono = match self.channels {
            2 => to_mono(&self.samples),
            _ => self.samples,
        };
        resample(&mono, self.rate, crate::RATE)
    }
}

/// The mean of two channels that take turns.
pub fn to_mono(stereo: &[i16]) -> Vec<i16> {
    let mean = |pair: &[i16]| ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16;
    stereo.chunks_exact(2).map(mean).collect()
}

/// The header of a file whose samples take `data_octets`. Streaming writers give 0 first and
/// write the header again, of the same length, when they know.
///
/// An odd number of `data_octets` must be followed by one octet of padding.
pub fn header(
    encoding: Encoding,
    rate: u32,
    channels: u16,
    data_octets: u32,
) -> Result<Vec<u8>, WavError> {
    if !(1..=2).contains(&channels) {
        return Err(WavError::Channels(channels));
    }
    if !RATES.contains(&rate) {
        return Err(WavError::Rate(rate));
    }
    let align = encoding.width() * u32::from(channels);
    let (tag, law) = match encoding {
        Encoding::Pcm16 => (PCM, false),
        Encoding::G711(Law::A) => (A_LAW, true),
        Encoding::G711(Law::Mu) => (MU_LAW, true),
    };
    let mut out = Vec::with_capacity(HEADER_OCTETS_MAX);
    let extra: u32 = if law { 14 } else { 0 };
    let riff =
        (36 + extra).checked_add(data_octets.checked_next_multiple_of(2).unwrap_or(u32::MAX));
    out.extend(b"RIFF");
    out.extend(riff.ok_or(WavError::TooLong)?.to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend((if law { 18_u32 } else { 16 }).to_le_bytes());
    out.extend(tag.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * align).to_le_bytes());
    out.extend((align as u16).to_le_bytes());
    out.extend((encoding.width() as u16 * 8).to_le_bytes());
    if law {
        // Whatever is not PCM has an extension, here empty, and says its length in samples.
        out.extend([0; 2]);
        out.extend(b"fact");
        out.extend(4_u32.to_le_bytes());
        out.extend((data_octets / align).to_le_bytes());
    }
    out.extend(b"data");
    out.extend(data_octets.to_le_bytes());
    Ok(out)
}

/// Appends `samples` as they stand in a file.
pub fn encode_to(encoding: Encoding, samples: &[i16], out: &mut Vec<u8>) {
    match encoding {
        Encoding::Pcm16 => out.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
        Encoding::G711(law) => law.encode_to(samples, out),
    }
}

/// A whole file. `samples` of two channels take turns; an odd last one is dropped.
pub fn write(
    encoding: Encoding,
    rate: u32,
    channels: u16,
    samples: &[i16],
) -> Result<Vec<u8>, WavError> {
    let whole = samples.len() / usize::from(channels.max(1)) * usize::from(channels.max(1));
    let octets = (whole as u64).saturating_mul(u64::from(encoding.width()));
    let octets = u32::try_from(octets).map_err(|_| WavError::TooLong)?;
    let mut out = header(encoding, rate, channels, octets)?;
    out.reserve(octets as usize + 1);
    encode_to(encoding, &samples[..whole], &mut out);
    if octets % 2 == 1 {
        out.push(0);
    }
    Ok(out)
}

#[cfg(test)]
#[path = "tests/wav.rs"]
mod tests;
