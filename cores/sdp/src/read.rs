//! Reading descriptions.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rtp::payload::Codec;

/// Octets of a description.
pub const OCTETS_MAX: usize = 16 * 1024;
/// Streams of a description.
pub const MEDIA_MAX: usize = 16;
/// Formats of a stream, keys, and other lists.
const LIST_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("the description is longer than 16 KiB")]
    Long,
    #[error("the description is no text")]
    Text,
    #[error("the description does not begin with v=0")]
    Version,
    #[error("line {0} of the description is malformed")]
    Line(usize),
    #[error("the description has more than 16 streams or 64 formats")]
    Many,
}

/// Who sends, seen from whoever wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    #[default]
    Both,
    SendOnly,
    ReceiveOnly,
    Inactive,
}

impl Direction {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "sendrecv" => Some(Self::Both),
            "sendonly" => Some(Self::SendOnly),
            "recvonly" => Some(Self::ReceiveOnly),
            "inactive" => Some(Self::Inactive),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Both => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same, seen from the other end.
    pub fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::ReceiveOnly,
            Self::ReceiveOnly => Self::SendOnly,
            same => same,
        }
    }

    pub fn sends(self) -> bool {
        matches!(self, Self::Both | Self::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Self::Both | Self::ReceiveOnly)
    }
}

/// How packets are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
}

impl Suite {
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "AES_CM_128_HMAC_SHA1_80" => Some(Self::AesCm128HmacSha1_80),
            "AES_CM_128_HMAC_SHA1_32" => Some(Self::AesCm128HmacSha1_32),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }
}

/// A key for what its writer sends: 16 octets of key, 14 of salt.
#[derive(Clone, PartialEq, Eq)]
pub struct Crypto {
    pub tag: u32,
    pub suite: Suite,
    pub key: [u8; 30],
}

impl std::fmt::Debug for Crypto {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crypto").field("tag", &self.tag).field("suite", &self.suite).finish()
    }
}

impl Crypto {
    /// `1 AES_CM_128_HMAC_SHA1_80 inline:…|2^31`; `None` for suites and parameters that are not
    /// spoken here.
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let tag = words.next()?.parse().ok()?;
        let suite = Suite::named(words.next()?)?;
        let key = words.next()?.strip_prefix("inline:")?;
        let mut parts = key.split('|');
        let key = parts.next()?.trim_end_matches('=');
        // A master key index in packets is not spoken.
        if parts.any(|part| part.contains(':')) {
            return None;
        }
        // Session parameters change how packets look; only the window is of no matter.
        if words.any(|word| !word.starts_with("WSH=")) {
            return None;
        }
        let octets = STANDARD_NO_PAD.decode(key).ok()?;
        Some(Self { tag, suite, key: octets.try_into().ok()? })
    }

    pub(crate) fn line(&self) -> String {
        let key = STANDARD.encode(self.key);
        format!("a=crypto:{} {} inline:{key}\r\n", self.tag, self.suite.as_str())
    }
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    pub kind: String,
    /// 0: refused.
    pub port: u16,
    pub protocol: String,
    pub formats: Vec<String>,
    /// Of its own, or of all; `None` when it is a name or none.
    pub address: Option<IpAddr>,
    pub direction: Direction,
    pub maps: Vec<(u8, String, u32, u16)>,
    pub crypto: Vec<Crypto>,
    pub ptime: Option<u16>,
    pub rtcp_port: Option<u16>,
    pub rtcp_mux: bool,
}

impl Media {
    /// Payload types that are spoken here, as preferred by who wrote them.
    pub fn codecs(&self) -> Vec<(u8, Codec)> {
        let spoken = self.formats.iter().filter_map(|format| {
            let number: u8 = format.parse().ok().filter(|number| *number < 128)?;
            let mapped = self.maps.iter().find(|(known, ..)| *known == number);
            let codec = match mapped {
                Some((_, name, clock, channels)) => Codec::named(name, *clock, *channels)?,
                None => Codec::of_static(number)?,
            };
            Some((number, codec))
        });
        spoken.collect()
    }

    pub fn is_secure(&self) -> bool {
        self.protocol.eq_ignore_ascii_case("RTP/SAVP")
    }

    /// Sound by WebRTC (RFC 8827): DTLS-SRTP with ICE, of which nothing is read here.
    pub fn is_web(&self) -> bool {
        self.kind.eq_ignore_ascii_case("audio")
            && self.protocol.eq_ignore_ascii_case("UDP/TLS/RTP/SAVPF")
    }
}

/// A description, as far as telephone calls go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    pub media: Vec<Media>,
}

fn address(value: &str) -> Option<IpAddr> {
    let mut words = value.split_ascii_whitespace();
    if words.next()? != "IN" {
        return None;
    }
    let _family = words.next()?;
    // A multicast address has a lifetime behind it.
    words.next()?.split('/').next()?.parse().ok()
}

fn media(value: &str, at: usize) -> Result<Media, SdpError> {
    let line = SdpError::Line(at);
    let mut words = value.split_ascii_whitespace();
    let kind = words.next().ok_or(line)?.to_owned();
    let port = words.next().ok_or(line)?;
    let port = port.split('/').next().unwrap_or(port).parse().map_err(|_| line)?;
    let protocol = words.next().ok_or(line)?.to_owned();
    let formats: Vec<String> = words.map(str::to_owned).collect();
    if formats.len() > LIST_MAX {
        return Err(SdpError::Many);
    }
    Ok(Media {
        kind,
        port,
        protocol,
        formats,
        address: None,
        direction: Direction::Both,
        maps: Vec::new(),
        crypto: Vec::new(),
        ptime: None,
        rtcp_port: None,
        rtcp_mux: false,
    })
}

/// `0 PCMU/8000/1`
fn map(value: &str) -> Option<(u8, String, u32, u16)> {
    let (number, encoding) = value.split_once(|c: char| c.is_ascii_whitespace())?;
    let mut parts = encoding.trim().split('/');
    let name = parts.next()?.to_owned();
    let clock = parts.next()?.trim().parse().ok()?;
    let channels = parts.next().map_or(Some(1), |count| count.trim().parse().ok())?;
    Some((number.trim().parse().ok()?, name, clock, channels))
}

fn attribute(media: &mut Media, value: &str) {
    if let Some(direction) = Direction::named(value) {
        media.direction = direction;
    }
    if value == "rtcp-mux" {
        media.rtcp_mux = true;
    }
    let Some((name, value)) = value.split_once(':') else { return };
    match name {
        "rtpmap" if media.maps.len() < LIST_MAX => media.maps.extend(map(value)),
        "crypto" if media.crypto.len() < LIST_MAX => media.crypto.extend(Crypto::parse(value)),
        "ptime" => media.ptime = value.trim().parse().ok(),
        "rtcp" => {
            media.rtcp_port = value.split_ascii_whitespace().next().and_then(|p| p.parse().ok())
        }
        _ => {}
    }
}

/// Reads a description. Lines that say nothing about sound are skipped.
pub fn parse(octets: &[u8]) -> Result<Description, SdpError> {
    if octets.len() > OCTETS_MAX {
        return Err(SdpError::Long);
    }
    let text = std::str::from_utf8(octets).map_err(|_| SdpError::Text)?;
    let mut found = Description::default();
    let (mut common, mut direction) = (None, Direction::Both);
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let (kind, value) = line.split_once('=').ok_or(SdpError::Line(at + 1))?;
        let value = value.trim();
        match (kind, found.media.last_mut()) {
            ("v", _) if at == 0 && value == "0" => {}
            _ if at == 0 => return Err(SdpError::Version),
            ("m", _) => {
                if found.media.len() == MEDIA_MAX {
                    return Err(SdpError::Many);
                }
                let mut media = media(value, at + 1)?;
                (media.address, media.direction) = (common, direction);
                found.media.push(media);
            }
            ("c", Some(media)) => media.address = address(value),
            ("c", None) => common = address(value),
            ("a", Some(media)) => attribute(media, value),
            ("a", None) => direction = Direction::named(value).unwrap_or(direction),
            _ => {}
        }
    }
    if text.is_empty() {
        return Err(SdpError::Version);
    }
    Ok(found)
}
