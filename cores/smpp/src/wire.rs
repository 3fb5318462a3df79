//! Octets in and out (SMPP 3.4 §3.1): big-endian integers and C-octet strings.

/// The body does not have the shape of its command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is cut short")]
pub struct Malformed;

pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn left(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn octets(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.octets(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        let octets = self.octets(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A string that ends with NUL. Peers exceed the lengths of the standard, so only
    /// the PDU bounds it; octets that are not UTF-8 are read as Latin-1.
    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|octet| *octet == 0).ok_or(Malformed)?;
        let octets = self.octets(end)?;
        self.octets(1)?;
        Ok(text_of(octets))
    }

    /// The last string of a body, whose NUL some peers forget.
    pub(crate) fn last_text(&mut self) -> String {
        self.text().unwrap_or_else(|Malformed| text_of(std::mem::take(&mut self.0)))
    }
}

fn text_of(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().map(|octet| char::from(*octet)).collect(),
    }
}

/// Writes `text` as a C-octet string of at most `octets_max` octets with its NUL.
/// An inner NUL would end it early and is left out.
pub(crate) fn put_text(out: &mut Vec<u8>, text: &str, octets_max: usize) {
    let octets = text.bytes().filter(|octet| *octet != 0);
    out.extend(octets.take(octets_max - 1));
    out.push(0);
}
