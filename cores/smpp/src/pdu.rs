//! PDUs (SMPP 3.4 §4) and their octets.
//!
//! Reading is lenient where peers are known to be sloppy (over-long strings, missing
//! NULs at the end, bodies left out of error responses), writing keeps the lengths of
//! the standard.

use crate::address::Address;
use crate::status::Status;
use crate::tlv::{self, Tlvs};
use crate::wire::{Malformed, Reader, put_text};

/// Octets of the header: length, id, status, sequence number (§3.2).
pub const HEADER_OCTETS: usize = 16;
/// Octets that `short_message` can hold (§5.2.21); more goes into `message_payload`.
pub const SHORT_MESSAGE_OCTETS_MAX: usize = 254;

/// `command_id` (§5.1.2.1). Bit 31 marks the response.
pub mod id {
    pub const RESPONSE: u32 = 0x8000_0000;
    pub const GENERIC_NACK: u32 = 0x8000_0000;
    pub const BIND_RECEIVER: u32 = 0x01;
    pub const BIND_TRANSMITTER: u32 = 0x02;
    pub const QUERY_SM: u32 = 0x03;
    pub const SUBMIT_SM: u32 = 0x04;
    pub const DELIVER_SM: u32 = 0x05;
    pub const UNBIND: u32 = 0x06;
    pub const REPLACE_SM: u32 = 0x07;
    pub const CANCEL_SM: u32 = 0x08;
    pub const BIND_TRANSCEIVER: u32 = 0x09;
    pub const OUTBIND: u32 = 0x0B;
    pub const ENQUIRE_LINK: u32 = 0x15;
    pub const SUBMIT_MULTI: u32 = 0x21;
    pub const ALERT_NOTIFICATION: u32 = 0x102;
    pub const DATA_SM: u32 = 0x103;
}

/// What a bind may do (§2.2): a transmitter submits, a receiver is delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    Transmitter,
    Receiver,
    Transceiver,
}

impl Mode {
    pub fn command(self) -> u32 {
        match self {
            Self::Transmitter => id::BIND_TRANSMITTER,
            Self::Receiver => id::BIND_RECEIVER,
            Self::Transceiver => id::BIND_TRANSCEIVER,
        }
    }

    pub fn submits(self) -> bool {
        self != Self::Receiver
    }

    pub fn receives(self) -> bool {
        self != Self::Transmitter
    }
}

/// `bind_*` (§4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct Bind {
    pub mode: Mode,
    /// 15 octets at most.
    pub system_id: String,
    /// 8 octets at most.
    pub password: String,
    /// 12 octets at most.
    pub system_type: String,
    /// 0x34 for this standard.
    pub interface_version: u8,
    /// The numbers this ESME wants, as a pattern; empty lets the SMSC decide.
    pub address_range: Address,
}

impl std::fmt::Debug for Bind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Bind({:?}, {:?})", self.mode, self.system_id)
    }
}

/// `submit_sm` or `deliver_sm` (§4.4, §4.6), which have one shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sm {
    pub service_type: String,
    pub source: Address,
    pub destination: Address,
    /// §5.2.12: bit 6 says that a user data header precedes the text.
    pub esm_class: u8,
    pub protocol_id: u8,
    pub priority: u8,
    pub schedule_delivery_time: String,
    pub validity_period: String,
    /// §5.2.17: bits 1-0 ask for a receipt.
    pub registered_delivery: u8,
    pub replace_if_present: u8,
    pub data_coding: u8,
    pub default_message_id: u8,
    /// At most [`SHORT_MESSAGE_OCTETS_MAX`]; longer is cut by no one: use `message_payload`.
    pub short_message: Vec<u8>,
    pub tlvs: Tlvs,
}

impl Sm {
    /// The user data: `message_payload` when `short_message` is empty (§5.3.2.32).
    pub fn user_data(&self) -> &[u8] {
        match self.tlvs.get(tlv::MESSAGE_PAYLOAD) {
            Some(payload) if self.short_message.is_empty() => payload,
            _ => &self.short_message,
        }
    }

    /// Bits 1-0 of `registered_delivery`: 1 always, 2 on failure only (§5.2.17).
    pub fn wants_receipt(&self, is_failure: bool) -> bool {
        match self.registered_delivery & 0b11 {
            1 => true,
            2 => is_failure,
            _ => false,
        }
    }
}

/// A PDU without its sequence number and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    Bind(Bind),
    /// Answer to a bind: the SMSC's name and its interface version.
    BindResp {
        mode: Mode,
        system_id: String,
        interface_version: Option<u8>,
    },
    Outbind {
        system_id: String,
    },
    Unbind,
    UnbindResp,
    EnquireLink,
    EnquireLinkResp,
    SubmitSm(Sm),
    SubmitSmResp {
        message_id: String,
    },
    DeliverSm(Sm),
    DeliverSmResp,
    /// As `Sm`, of which `data_sm` carries fewer fields; the text is in `message_payload`.
    DataSm(Sm),
    DataSmResp {
        message_id: String,
    },
    AlertNotification {
        source: Address,
        esme: Address,
    },
    GenericNack,
    /// `submit_multi`, `query_sm`, `cancel_sm`, `replace_sm`: read no further.
    Unsupported {
        command: u32,
    },
    /// The answer that such a command gets, with no body.
    UnsupportedResp {
        command: u32,
    },
}

impl Body {
    pub fn command(&self) -> u32 {
        match self {
            Self::Bind(bind) => bind.mode.command(),
            Self::BindResp { mode, .. } => mode.command() | id::RESPONSE,
            Self::Outbind { .. } => id::OUTBIND,
            Self::Unbind => id::UNBIND,
            Self::UnbindResp => id::UNBIND | id::RESPONSE,
            Self::EnquireLink => id::ENQUIRE_LINK,
            Self::EnquireLinkResp => id::ENQUIRE_LINK | id::RESPONSE,
            Self::SubmitSm(_) => id::SUBMIT_SM,
            Self::SubmitSmResp { .. } => id::SUBMIT_SM | id::RESPONSE,
            Self::DeliverSm(_) => id::DELIVER_SM,
            Self::DeliverSmResp => id::DELIVER_SM | id::RESPONSE,
            Self::DataSm(_) => id::DATA_SM,
            Self::DataSmResp { .. } => id::DATA_SM | id::RESPONSE,
            Self::AlertNotification { .. } => id::ALERT_NOTIFICATION,
            Self::GenericNack => id::GENERIC_NACK,
            Self::Unsupported { command } => *command,
            Self::UnsupportedResp { command } => command | id::RESPONSE,
        }
    }
}

/// One PDU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pdu {
    /// 0 in requests.
    pub status: Status,
    /// 1 to 0x7FFFFFFF (§5.1.4); a response repeats its request's.
    pub sequence: u32,
    pub body: Body,
}

/// Why octets are no PDU; what there is of the header allows an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// No such command.
    UnknownCommand { command: u32, sequence: u32, status: Status },
    /// A known command with a body of another shape.
    Malformed { command: u32, sequence: u32, status: Status },
}

/// Reads one PDU, of which `octets` are all, header included.
///
/// Errors: fewer than 16 octets, an unknown command, or a body that is cut short.
pub fn read(octets: &[u8]) -> Result<Pdu, Unreadable> {
    let word = |at: usize| {
        let octets = octets.get(at..at + 4).and_then(|word| word.try_into().ok());
        octets.map_or(0, u32::from_be_bytes)
    };
    let (command, status, sequence) = (word(4), Status(word(8)), word(12));
    let mut reader = Reader(octets.get(HEADER_OCTETS..).unwrap_or_default());
    match read_body(command, status, &mut reader) {
        Ok(Some(body)) => Ok(Pdu { status, sequence, body }),
        Ok(None) => Err(Unreadable::UnknownCommand { command, sequence, status }),
        Err(Malformed) => Err(Unreadable::Malformed { command, sequence, status }),
    }
}

fn read_body(
    command: u32,
    status: Status,
    reader: &mut Reader<'_>,
) -> Result<Option<Body>, Malformed> {
    let mode = match command & !id::RESPONSE {
        id::BIND_RECEIVER => Mode::Receiver,
        id::BIND_TRANSMITTER => Mode::Transmitter,
        _ => Mode::Transceiver,
    };
    const RESP: u32 = id::RESPONSE;
    Ok(Some(match command {
        id::BIND_RECEIVER | id::BIND_TRANSMITTER | id::BIND_TRANSCEIVER => {
            Body::Bind(read_bind(mode, reader)?)
        }
        0x8000_0001 | 0x8000_0002 | 0x8000_0009 => {
            let system_id = reader.last_text();
            let tlvs = Tlvs::read(reader).unwrap_or_default();
            let version = tlvs.number(tlv::SC_INTERFACE_VERSION);
            let interface_version = version.and_then(|version| u8::try_from(version).ok());
            Body::BindResp { mode, system_id, interface_version }
        }
        id::OUTBIND => Body::Outbind { system_id: reader.text()? },
        id::UNBIND => Body::Unbind,
        0x8000_0006 => Body::UnbindResp,
        id::ENQUIRE_LINK => Body::EnquireLink,
        0x8000_0015 => Body::EnquireLinkResp,
        id::SUBMIT_SM => Body::SubmitSm(read_sm(reader)?),
        id::DELIVER_SM => Body::DeliverSm(read_sm(reader)?),
        id::DATA_SM => Body::DataSm(read_data_sm(reader)?),
        // The body is absent when the status is an error (§4.4.2).
        0x8000_0004 => Body::SubmitSmResp { message_id: message_id(status, reader) },
        0x8000_0103 => Body::DataSmResp { message_id: message_id(status, reader) },
        0x8000_0005 => Body::DeliverSmResp,
        id::ALERT_NOTIFICATION => {
            Body::AlertNotification { source: Address::read(reader)?, esme: Address::read(reader)? }
        }
        id::GENERIC_NACK => Body::GenericNack,
        id::QUERY_SM | id::REPLACE_SM | id::CANCEL_SM | id::SUBMIT_MULTI => {
            Body::Unsupported { command }
        }
        other if unsupported(other & !RESP) => Body::UnsupportedResp { command: other & !RESP },
        _ => return Ok(None),
    }))
}

fn unsupported(command: u32) -> bool {
    matches!(command, id::QUERY_SM | id::REPLACE_SM | id::CANCEL_SM | id::SUBMIT_MULTI)
}

fn message_id(status: Status, reader: &mut Reader<'_>) -> String {
    if status.is_ok() { reader.last_text() } else { String::new() }
}

fn read_bind(mode: Mode, reader: &mut Reader<'_>) -> Result<Bind, Malformed> {
    Ok(Bind {
        mode,
        system_id: reader.text()?,
        password: reader.text()?,
        system_type: reader.text()?,
        interface_version: reader.u8()?,
        address_range: Address { ton: reader.u8()?, npi: reader.u8()?, digits: reader.last_text() },
    })
}

fn read_sm(reader: &mut Reader<'_>) -> Result<Sm, Malformed> {
    let mut sm = Sm {
        service_type: reader.text()?,
        source: Address::read(reader)?,
        destination: Address::read(reader)?,
        esm_class: reader.u8()?,
        protocol_id: reader.u8()?,
        priority: reader.u8()?,
        schedule_delivery_time: reader.text()?,
        validity_period: reader.text()?,
        registered_delivery: reader.u8()?,
        replace_if_present: reader.u8()?,
        data_coding: reader.u8()?,
        default_message_id: reader.u8()?,
        ..Sm::default()
    };
    let length = reader.u8()?;
    sm.short_message = reader.octets(usize::from(length))?.to_vec();
    sm.tlvs = Tlvs::read(reader)?;
    Ok(sm)
}

fn read_data_sm(reader: &mut Reader<'_>) -> Result<Sm, Malformed> {
    Ok(Sm {
        service_type: reader.text()?,
        source: Address::read(reader)?,
        destination: Address::read(reader)?,
        esm_class: reader.u8()?,
        registered_delivery: reader.u8()?,
        data_coding: reader.u8()?,
        tlvs: Tlvs::read(reader)?,
        ..Sm::default()
    })
}

/// Appends `pdu` to `out`.
pub fn write(pdu: &Pdu, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(pdu.body.command().to_be_bytes());
    out.extend(pdu.status.0.to_be_bytes());
    out.extend(pdu.sequence.to_be_bytes());
    write_body(pdu, out);
    let length = u32::try_from(out.len() - start).expect("a PDU is far below 4 GiB");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn write_body(pdu: &Pdu, out: &mut Vec<u8>) {
    match &pdu.body {
        Body::Bind(bind) => {
            put_text(out, &bind.system_id, 16);
            put_text(out, &bind.password, 9);
            put_text(out, &bind.system_type, 13);
            out.extend([bind.interface_version, bind.address_range.ton, bind.address_range.npi]);
            put_text(out, &bind.address_range.digits, 41);
        }
        Body::BindResp { system_id, interface_version, .. } => {
            put_text(out, system_id, 16);
            if let Some(version) = interface_version {
                Tlvs::default().with(tlv::SC_INTERFACE_VERSION, [*version]).write(out);
            }
        }
        Body::Outbind { system_id } => {
            put_text(out, system_id, 16);
            put_text(out, "", 9);
        }
        Body::SubmitSm(sm) | Body::DeliverSm(sm) => write_sm(sm, out),
        Body::DataSm(sm) => {
            put_text(out, &sm.service_type, 6);
            sm.source.write(out, 65);
            sm.destination.write(out, 65);
            out.extend([sm.esm_class, sm.registered_delivery, sm.data_coding]);
            sm.tlvs.write(out);
        }
        Body::SubmitSmResp { message_id } | Body::DataSmResp { message_id } => {
            if pdu.status.is_ok() {
                put_text(out, message_id, 65);
            }
        }
        // message_id, unused and empty (§4.6.2).
        Body::DeliverSmResp => out.push(0),
        Body::AlertNotification { source, esme } => {
            source.write(out, 65);
            esme.write(out, 65);
        }
        Body::Unbind
        | Body::UnbindResp
        | Body::EnquireLink
        | Body::EnquireLinkResp
        | Body::GenericNack
        | Body::Unsupported { .. }
        | Body::UnsupportedResp { .. } => {}
    }
}

fn write_sm(sm: &Sm, out: &mut Vec<u8>) {
    put_text(out, &sm.service_type, 6);
    sm.source.write(out, 21);
    sm.destination.write(out, 21);
    out.extend([sm.esm_class, sm.protocol_id, sm.priority]);
    put_text(out, &sm.schedule_delivery_time, 17);
    put_text(out, &sm.validity_period, 17);
    out.extend([sm.registered_delivery, sm.replace_if_present]);
    out.extend([sm.data_coding, sm.default_message_id]);
    debug_assert!(sm.short_message.len() <= SHORT_MESSAGE_OCTETS_MAX);
    let length = sm.short_message.len().min(SHORT_MESSAGE_OCTETS_MAX);
    out.push(length as u8);
    out.extend(&sm.short_message[..length]);
    sm.tlvs.write(out);
}
