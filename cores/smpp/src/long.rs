//! Long messages: a body as short messages, and back (3GPP TS 23.040 §9.2.3.24.1 for the
//! header; SMPP 3.4 §5.3.2.22-24 and §5.3.2.32 for the optional parameters).

use std::collections::BTreeMap;
use std::time::Duration;

use kernel::Timestamp;

use crate::coding::{self, Alphabet, Content, UnsupportedCoding};
use crate::pdu::{SHORT_MESSAGE_OCTETS_MAX, Sm};
use crate::tlv;

/// Bit 6 of `esm_class`: the user data begins with a header (§5.2.12).
pub const UDHI: u8 = 0x40;
/// A concatenation counts its parts in one octet.
const PARTS_MAX: usize = 255;

/// How a body that needs several short messages is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LongForm {
    /// User data header with an 8-bit reference.
    #[default]
    Udh8,
    /// User data header with a 16-bit reference: 152 septets or 66 units a part.
    Udh16,
    /// The `sar_*` parameters; the SMSC makes the header.
    Sar,
    /// All of it in one `message_payload`; the SMSC makes the parts.
    Payload,
}

/// The body needs more parts than can be counted, or more octets than a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is too long for this form")]
pub struct TooLong;

/// Fills copies of `template` with `body`, one per short message, in order. `reference`
/// tells apart the long messages of one pair of addresses; 8 bits of it count in `Udh8`.
pub fn compose(
    template: &Sm,
    body: &str,
    form: LongForm,
    alphabet: Alphabet,
    reference: u16,
) -> Result<Vec<Sm>, TooLong> {
    // Alphabets other than GSM become GSM on the air, so its room counts for them too.
    let is_plain = sms::segments(body).encoding == sms::Encoding::Gsm7;
    let plain = is_plain.then(|| alphabet.encode(body)).flatten().is_some();
    let encode = |text: &str| match plain {
        true => alphabet.encode(text).unwrap_or_default(),
        false => coding::encode_ucs2(text),
    };
    let data_coding = if plain { coding::DEFAULT } else { coding::UCS2 };
    let template = Sm { data_coding, ..template.clone() };
    let parts = split(body, plain, form);
    let total = u8::try_from(parts.len()).map_err(|_| TooLong)?;
    if total == 1 {
        return Ok(vec![Sm { short_message: encode(body), ..template }]);
    }
    if form == LongForm::Payload {
        let octets = encode(body);
        if octets.len() > usize::from(u16::MAX) - 1024 {
            return Err(TooLong);
        }
        let tlvs = template.tlvs.clone().with(tlv::MESSAGE_PAYLOAD, octets);
        return Ok(vec![Sm { tlvs, ..template }]);
    }
    let numbered = (1..=total).zip(parts);
    Ok(numbered
        .map(|(number, text)| part(&template, encode(text), form, reference, total, number))
        .collect())
}

fn part(
    template: &Sm,
    octets: Vec<u8>,
    form: LongForm,
    reference: u16,
    total: u8,
    number: u8,
) -> Sm {
    let mut sm = template.clone();
    let [high, low] = reference.to_be_bytes();
    let header: &[u8] = match form {
        LongForm::Udh8 => &[5, 0x00, 3, low, total, number],
        LongForm::Udh16 => &[6, 0x08, 4, high, low, total, number],
        LongForm::Sar | LongForm::Payload => &[],
    };
    if header.is_empty() {
        sm.tlvs = sm
            .tlvs
            .with(tlv::SAR_MSG_REF_NUM, [high, low])
            .with(tlv::SAR_TOTAL_SEGMENTS, [total])
            .with(tlv::SAR_SEGMENT_SEQNUM, [number]);
    } else {
        sm.esm_class |= UDHI;
    }
    sm.short_message = [header, &octets].concat();
    debug_assert!(sm.short_message.len() <= SHORT_MESSAGE_OCTETS_MAX);
    sm
}

/// The texts of the parts, as `sms` cuts them where its 6-octet header is the one used.
///
/// A body that is GSM but not in the SMSC's own alphabet goes as UCS-2, for which `sms`
/// has no word; it and the longer header are cut between characters.
fn split(body: &str, plain: bool, form: LongForm) -> Vec<&str> {
    let cost = sms::segments(body);
    let ucs2 = !plain;
    let is_standard = ucs2 == (cost.encoding == sms::Encoding::Ucs2);
    let units = |c: char| if ucs2 { c.len_utf16() } else { sms::gsm::septets(c).unwrap_or(1) };
    let (single, room) = match (ucs2, form) {
        (false, LongForm::Udh16) => (160, 152),
        (true, LongForm::Udh16) => (70, 66),
        (false, _) => (160, 153),
        (true, _) => (70, 67),
    };
    if is_standard && form != LongForm::Udh16 {
        return sms::split(body);
    }
    if body.chars().map(units).sum::<usize>() <= single {
        return vec![body];
    }
    let (mut parts, mut start, mut used) = (Vec::new(), 0, 0);
    for (at, character) in body.char_indices() {
        let size = units(character);
        if used + size > room {
            parts.push(&body[start..at]);
            (start, used) = (at, 0);
        }
        used += size;
    }
    parts.push(&body[start..]);
    parts
}

/// Which part of which long message a short message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub reference: u16,
    /// 2 to 255.
    pub total: u8,
    /// 1 to `total`.
    pub number: u8,
}

/// User data taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// `None`: the message is whole.
    pub place: Option<Place>,
    pub content: Content,
}

/// Reads the user data of an `Sm` in every form. A header that makes no sense is
/// dropped and the text kept.
pub fn read(sm: &Sm, default: Alphabet) -> Result<Piece, UnsupportedCoding> {
    let mut data = sm.user_data();
    let mut place = None;
    if sm.esm_class & UDHI != 0
        && let Some((length, rest)) = data.split_first()
    {
        let (header, text) = rest.split_at(usize::from(*length).min(rest.len()));
        (place, data) = (header_place(header), text);
    }
    let sar = |tag| sm.tlvs.number(tag);
    if place.is_none()
        && let (Some(reference), Some(total), Some(number)) =
            (sar(tlv::SAR_MSG_REF_NUM), sar(tlv::SAR_TOTAL_SEGMENTS), sar(tlv::SAR_SEGMENT_SEQNUM))
    {
        place = valid_place(reference, total, number);
    }
    Ok(Piece { place, content: coding::decode(sm.data_coding, data, default)? })
}

fn header_place(mut header: &[u8]) -> Option<Place> {
    while let [element, length, rest @ ..] = header {
        let (value, rest) = rest.split_at_checked(usize::from(*length))?;
        match (element, value) {
            (0x00, [reference, total, number]) => {
                return valid_place((*reference).into(), (*total).into(), (*number).into());
            }
            (0x08, [high, low, total, number]) => {
                let reference = u16::from_be_bytes([*high, *low]);
                return valid_place(reference.into(), (*total).into(), (*number).into());
            }
            _ => header = rest,
        }
    }
    None
}

fn valid_place(reference: u32, total: u32, number: u32) -> Option<Place> {
    let is_valid = (2..=PARTS_MAX as u32).contains(&total) && (1..=total).contains(&number);
    let place = Place {
        reference: u16::try_from(reference).ok()?,
        total: u8::try_from(total).ok()?,
        number: u8::try_from(number).ok()?,
    };
    is_valid.then_some(place)
}

/// One long message under way: who, to whom, and which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    pub from: String,
    pub to: String,
    pub reference: u16,
    pub total: u8,
}

/// Parts of long messages until they are whole. `T` is what the caller keeps of each.
///
/// Bounds: `groups_max` messages under way, of at most 255 parts each. A new message
/// beyond that makes the oldest one leave as it is.
#[derive(Debug)]
pub struct Reassembly<T> {
    groups: BTreeMap<GroupKey, Group<T>>,
    groups_max: usize,
    keep: Duration,
}

#[derive(Debug)]
struct Group<T> {
    since: Timestamp,
    parts: BTreeMap<u8, T>,
}

/// A long message that leaves: whole, or with the parts that came in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving<T> {
    pub key: GroupKey,
    /// By part number.
    pub parts: BTreeMap<u8, T>,
}

impl<T> Leaving<T> {
    pub fn is_whole(&self) -> bool {
        self.parts.len() == usize::from(self.key.total)
    }
}

impl<T> Reassembly<T> {
    /// `keep`: how long after its first part a message waits for the others.
    pub fn new(groups_max: usize, keep: Duration) -> Self {
        Self { groups: BTreeMap::new(), groups_max: groups_max.max(1), keep }
    }

    /// Takes a part; the message leaves when it was the last one missing. A part that
    /// came before replaces itself.
    pub fn add(&mut self, now: Timestamp, key: GroupKey, number: u8, part: T) -> Vec<Leaving<T>> {
        let mut leaving = Vec::new();
        let is_new = !self.groups.contains_key(&key);
        if is_new && self.groups.len() >= self.groups_max {
            let oldest = self.groups.iter().min_by_key(|(_, group)| group.since);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                leaving.extend(self.remove(&oldest));
            }
        }
        let fresh = || Group { since: now, parts: BTreeMap::new() };
        let group = self.groups.entry(key.clone()).or_insert_with(fresh);
        group.parts.insert(number, part);
        if group.parts.len() == usize::from(key.total) {
            leaving.extend(self.remove(&key));
        }
        leaving
    }

    /// Takes back a message that left and could not go on, beyond the bound if need be.
    /// Its time starts again.
    pub fn put_back(&mut self, now: Timestamp, message: Leaving<T>) {
        if !message.parts.is_empty() {
            self.groups.insert(message.key, Group { since: now, parts: message.parts });
        }
    }

    /// The messages whose time is up.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Leaving<T>> {
        let is_late = |group: &Group<T>| now.since(group.since) >= self.keep;
        let late = self.groups.iter().filter(|(_, group)| is_late(group));
        let late: Vec<GroupKey> = late.map(|(key, _)| key.clone()).collect();
        late.iter().filter_map(|key| self.remove(key)).collect()
    }

    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    fn remove(&mut self, key: &GroupKey) -> Option<Leaving<T>> {
        let group = self.groups.remove(key)?;
        Some(Leaving { key: key.clone(), parts: group.parts })
    }
}

#[cfg(test)]
#[path = "tests/long.rs"]
mod tests;
