//! Delivery receipts in the forms that SMSCs use.
//!
//! The text form is only an appendix of the standard (SMPP 3.4 appendix B), so each
//! vendor has its own: other case, missing fields, other dates. Optional parameters
//! (§5.3.2.12, §5.3.2.35, §5.3.2.31), where present, are believed before the text.

use std::time::Duration;

use kernel::Timestamp;

use crate::pdu::Sm;
use crate::tlv;

/// `esm_class` of a `deliver_sm` that is an SMSC delivery receipt (§5.2.12).
pub const ESM_CLASS: u8 = 0x04;
/// Bits 5-2, the message type.
const MESSAGE_TYPE: u8 = 0x3C;

/// `message_state` (§5.2.28), or the seven letters after `stat:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Enroute,
    Delivered,
    Expired,
    Deleted,
    Undeliverable,
    Accepted,
    Unknown,
    Rejected,
    /// SMPP 5.0 and vendors: the network or a rule stops traffic of this kind.
    Blocked,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    /// A 30xxx of the error table.
    Undelivered(u32),
    /// Not decided yet.
    UnderWay,
}

/// A receipt, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// As the SMSC wrote it; empty when there is none.
    pub id: String,
    pub state: State,
    /// The vendor's reason, as written after `err:`; `000` when there is none.
    pub error: Option<String>,
    /// `network_error_code`: network type (3 is GSM) and the network's own code.
    pub network_error: Option<(u8, u16)>,
    /// In the SMSC's own time zone, which no receipt names.
    pub done_at: Option<Timestamp>,
}

#[rustfmt::skip]
const STATES: &[(&str, u8, State)] = &[
    ("ENROUTE", 1, State::Enroute),
    ("DELIVRD", 2, State::Delivered),
    ("EXPIRED", 3, State::Expired),
    ("DELETED", 4, State::Deleted),
    ("UNDELIV", 5, State::Undeliverable),
    ("ACCEPTD", 6, State::Accepted),
    ("UNKNOWN", 7, State::Unknown),
    ("REJECTD", 8, State::Rejected),
    // Not in the standard, but seen.
    ("DELIVERED", 2, State::Delivered),
    ("DELIVERD", 2, State::Delivered),
    ("ESME_ROK", 2, State::Delivered),
    ("ACKED", 6, State::Accepted),
    ("ACCEPTED", 6, State::Accepted),
    ("BUFFERED", 1, State::Enroute),
    ("SCHEDULED", 0, State::Enroute),
    ("UNDELIVERED", 5, State::Undeliverable),
    ("UNDELIVERABLE", 5, State::Undeliverable),
    ("FAILED", 5, State::Undeliverable),
    ("REJECTED", 8, State::Rejected),
    ("SKIPPED", 9, State::Blocked),
    ("BLOCKED", 9, State::Blocked),
    ("BLACKLST", 9, State::Blocked),
];

/// GSM MAP errors, as `network_error_code` of type 3 carries them (3GPP TS 29.002 §17.6).
#[rustfmt::skip]
const MAP_ERRORS: &[(u16, u32)] = &[
    (1, 30005),  // unknown subscriber
    (5, 30005),  // unidentified subscriber
    (6, 30003),  // absent subscriber (SM)
    (9, 30004),  // illegal subscriber
    (11, 30006), // teleservice not provisioned
    (12, 30004), // illegal equipment
    (13, 30004), // call barred
    (21, 30006), // facility not supported
    (27, 30003), // absent subscriber
    (31, 30003), // subscriber busy for SM
    (32, 30003), // SM delivery failure: memory full, protocol error
];

impl State {
    fn of_word(word: &str) -> Self {
        let row = STATES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(word));
        row.map_or(Self::Unknown, |(.., state)| *state)
    }

    fn of_number(number: u32) -> Self {
        let row = STATES.iter().find(|(_, known, _)| u32::from(*known) == number);
        row.map_or(Self::Unknown, |(.., state)| *state)
    }

    /// The seven letters and the number that a receipt of ours carries.
    pub fn on_wire(self) -> (&'static str, u8) {
        let row = STATES.iter().find(|(.., state)| *state == self);
        row.map_or(("UNKNOWN", 7), |(word, number, _)| (word, *number))
    }
}

impl Receipt {
    /// The fate of the message. A reason given by the network or listed in `vendor`
    /// (the text after `err:`, compared without leading zeros) is more than the state says.
    pub fn fate(&self, vendor: &[(String, u32)]) -> Fate {
        let bare = |error: &str| error.trim_start_matches('0').to_ascii_lowercase();
        let reason = || {
            let error = bare(self.error.as_deref()?);
            vendor.iter().find(|(known, _)| bare(known) == error).map(|(_, code)| *code)
        };
        let network = || {
            let (_, error) = self.network_error.filter(|(network, _)| *network == 3)?;
            MAP_ERRORS.iter().find(|(known, _)| *known == error).map(|(_, code)| *code)
        };
        let failed = |code| Fate::Undelivered(reason().or_else(network).unwrap_or(code));
        match self.state {
            State::Delivered => Fate::Delivered,
            State::Enroute | State::Accepted => Fate::UnderWay,
            State::Expired => failed(30003),
            State::Rejected => failed(30007),
            State::Blocked => failed(30004),
            State::Deleted | State::Undeliverable | State::Unknown => failed(30008),
        }
    }
}

/// Reads the receipt that `sm` is; `None` when it is a message from a handset. It is
/// one when `esm_class` or `receipted_message_id` says so.
pub fn read(sm: &Sm) -> Option<Receipt> {
    let says_so = sm.esm_class & MESSAGE_TYPE == ESM_CLASS;
    let tlv_id = sm.tlvs.text(tlv::RECEIPTED_MESSAGE_ID);
    if !says_so && tlv_id.is_none() {
        return None;
    }
    let text = text_of(sm);
    let fields = Fields::of(&text);
    let state = sm.tlvs.number(tlv::MESSAGE_STATE).map(State::of_number);
    let stat = fields.get("stat").map(State::of_word);
    let network_error = sm.tlvs.get(tlv::NETWORK_ERROR_CODE).and_then(|value| match value {
        [network, high, low] => Some((*network, u16::from_be_bytes([*high, *low]))),
        _ => None,
    });
    Some(Receipt {
        id: tlv_id.or_else(|| fields.get("id").map(str::to_owned)).unwrap_or_default(),
        state: state.or(stat).unwrap_or(State::Unknown),
        error: fields.get("err").map(str::to_owned),
        network_error,
        done_at: fields.get("done date").and_then(read_date),
    })
}

/// Receipts are ASCII, whatever their data coding says; UCS-2 has been seen too.
fn text_of(sm: &Sm) -> String {
    let data = sm.user_data();
    if sm.data_coding == crate::coding::UCS2 {
        return data.iter().filter(|octet| **octet != 0).map(|octet| char::from(*octet)).collect();
    }
    data.iter().map(|octet| char::from(*octet)).collect()
}

/// Names of fields, longest alternatives first; `text` ends the fields.
const NAMES: &[(&str, &str)] = &[
    ("submit date", "submit date"),
    ("submit_date", "submit date"),
    ("submitdate", "submit date"),
    ("done date", "done date"),
    ("done_date", "done date"),
    ("donedate", "done date"),
    ("dlvrd", "dlvrd"),
    ("sub", "sub"),
    ("stat", "stat"),
    ("err", "err"),
    ("text", "text"),
    ("id", "id"),
];

/// The `name:value` pairs of a receipt.
struct Fields<'a>(Vec<(&'static str, &'a str)>);

impl<'a> Fields<'a> {
    fn of(text: &'a str) -> Self {
        let lower = text.to_ascii_lowercase();
        let mut found: Vec<(&'static str, usize, usize)> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            if let Some((name, value_at)) = name_at(&lower, at) {
                found.push((name, at, value_at));
                if name == "text" {
                    break;
                }
                at = value_at;
            } else {
                at += lower[at..].chars().next().map_or(1, char::len_utf8);
            }
        }
        let ends = found.iter().skip(1).map(|(_, start, _)| *start).chain([text.len()]);
        let value = |((name, _, from), to): (&(&'static str, usize, usize), usize)| {
            let is_space = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | '\0');
            (*name, text[*from..to].trim_matches(is_space))
        };
        Self(found.iter().zip(ends).map(value).collect())
    }

    /// The first value of `name` that is not empty, up to its first space.
    fn get(&self, name: &str) -> Option<&'a str> {
        let values = self.0.iter().filter(|(known, _)| *known == name);
        values.filter_map(|(_, value)| value.split_whitespace().next()).next()
    }
}

/// The field name that begins at `at`, at the start of a word, and where its value begins.
fn name_at(lower: &str, at: usize) -> Option<(&'static str, usize)> {
    let before = lower[..at].chars().next_back();
    if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let rest = &lower[at..];
    NAMES.iter().find_map(|(spelling, name)| {
        let after = rest.strip_prefix(spelling)?;
        let value = after.trim_start_matches(' ').strip_prefix(':')?;
        Some((*name, lower.len() - value.len()))
    })
}

/// `YYMMDDhhmm`, with seconds, or with a year of four digits. UTC is assumed.
fn read_date(text: &str) -> Option<Timestamp> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let long = match text.len() {
        10 => format!("20{text}00"),
        12 => format!("20{text}"),
        14 => text.to_owned(),
        _ => return None,
    };
    let [year, month, day] = [&long[..4], &long[4..6], &long[6..8]];
    let [hour, minute, second] = [&long[8..10], &long[10..12], &long[12..14]];
    Timestamp::parse(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}

/// What a receipt of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub id: String,
    pub state: State,
    /// A 30xxx of the error table, or 0.
    pub code: u32,
    pub submitted_at: Timestamp,
    pub done_at: Timestamp,
}

/// Fills `template`, whose addresses are set, as a receipt in text and parameters both,
/// so that a peer may read whichever it knows.
pub fn compose(template: &Sm, report: &Report) -> Sm {
    let (word, number) = report.state.on_wire();
    let date = |at: Timestamp| at.format("%y%m%d%H%M");
    let delivered = u8::from(report.state == State::Delivered);
    // err: has three digits by the appendix, and the last three of a 30xxx tell them apart.
    let text = format!(
        "id:{} sub:001 dlvrd:{delivered:03} submit date:{} done date:{} stat:{word} err:{:03} text:",
        report.id,
        date(report.submitted_at),
        date(report.done_at),
        report.code % 1_000,
    );
    let id: Vec<u8> = report.id.bytes().chain([0]).collect();
    Sm {
        esm_class: ESM_CLASS,
        data_coding: crate::coding::DEFAULT,
        registered_delivery: 0,
        short_message: text.into_bytes(),
        tlvs: template
            .tlvs
            .clone()
            .with(tlv::RECEIPTED_MESSAGE_ID, id)
            .with(tlv::MESSAGE_STATE, [number]),
        ..template.clone()
    }
}

/// Shifts a date of the SMSC's zone to UTC; `offset_minutes` is what the zone is ahead.
pub fn to_utc(at: Timestamp, offset_minutes: i32) -> Timestamp {
    let span = Duration::from_secs(u64::from(offset_minutes.unsigned_abs()) * 60);
    if offset_minutes >= 0 {
        Timestamp::from_micros(at.as_micros().saturating_sub(span.as_micros() as i64))
    } else {
        at + span
    }
}

/// Under what a message id is filed: lower case, no leading zeros.
pub fn file_id(id: &str) -> String {
    let bare = id.trim().trim_start_matches('0').to_ascii_lowercase();
    if bare.is_empty() { "0".to_owned() } else { bare }
}

/// How an SMSC writes an id in its receipts, compared with `submit_sm_resp`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdForm {
    /// Try the id as it is, then as each of the others. Ids that count up from a small
    /// number may then meet another message's; the address is compared to tell them apart.
    #[default]
    Auto,
    /// The same text but for case and leading zeros.
    Same,
    /// Hexadecimal in the response, decimal in the receipt.
    HexThenDecimal,
    /// Decimal in the response, hexadecimal in the receipt.
    DecimalThenHex,
}

/// The filed ids that the id of a receipt may mean, likeliest first.
pub fn candidates(id: &str, form: IdForm) -> Vec<String> {
    let filed = file_id(id);
    let as_hex = filed.parse::<u128>().ok().map(|number| format!("{number:x}"));
    let as_decimal = u128::from_str_radix(&filed, 16).ok().map(|number| number.to_string());
    let all = match form {
        IdForm::Auto => vec![Some(filed), as_hex, as_decimal],
        IdForm::Same => vec![Some(filed)],
        IdForm::HexThenDecimal => vec![as_hex],
        IdForm::DecimalThenHex => vec![as_decimal],
    };
    let mut found: Vec<String> = Vec::new();
    for id in all.into_iter().flatten() {
        if !found.contains(&id) {
            found.push(id);
        }
    }
    found
}

#[cfg(test)]
#[path = "tests/receipt.rs"]
mod tests;
