//! Optional parameters (SMPP 3.4 §5.3).

use crate::wire::{Malformed, Reader};

pub const SAR_MSG_REF_NUM: u16 = 0x020C;
pub const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
pub const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
pub const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
pub const SC_INTERFACE_VERSION: u16 = 0x0210;
pub const NETWORK_ERROR_CODE: u16 = 0x0423;
pub const MESSAGE_PAYLOAD: u16 = 0x0424;
pub const MESSAGE_STATE: u16 = 0x0427;

/// Tag and value pairs in the order of the wire. Tags that nobody knows are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tlvs(pub Vec<(u16, Vec<u8>)>);

impl Tlvs {
    /// The first value of `tag`.
    pub fn get(&self, tag: u16) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == tag).map(|(_, value)| value.as_slice())
    }

    /// A number of 1 to 4 octets.
    pub fn number(&self, tag: u16) -> Option<u32> {
        let value = self.get(tag).filter(|value| (1..=4).contains(&value.len()))?;
        Some(value.iter().fold(0, |number, octet| number << 8 | u32::from(*octet)))
    }

    /// A C-octet string; its NUL may be missing.
    pub fn text(&self, tag: u16) -> Option<String> {
        let value = self.get(tag)?;
        let end = value.iter().position(|octet| *octet == 0).unwrap_or(value.len());
        Some(String::from_utf8_lossy(&value[..end]).into_owned())
    }

    pub fn with(mut self, tag: u16, value: impl Into<Vec<u8>>) -> Self {
        self.0.push((tag, value.into()));
        self
    }

    /// Everything that is left. One or two stray octets at the end, which some SMSCs
    /// send, are not an error; a value that is cut short is.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut tlvs = Vec::new();
        while reader.left() >= 4 {
            let (tag, length) = (reader.u16()?, reader.u16()?);
            tlvs.push((tag, reader.octets(usize::from(length))?.to_vec()));
        }
        Ok(Self(tlvs))
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for (tag, value) in &self.0 {
            // A value longer than a length can say is no TLV; nobody makes one.
            let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
            out.extend(tag.to_be_bytes());
            out.extend(length.to_be_bytes());
            out.extend(&value[..usize::from(length)]);
        }
    }
}
