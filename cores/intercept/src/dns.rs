//! The DNS messages of a responder that answers for the intercepted names.
//!
//! A query is read as far as its first question, which is all that decides who
//! answers; what follows it (EDNS options, RFC 6891) is tolerated and ignored.
//! Message format and constants: RFC 1035 §3.2 and §4.1.

use std::net::Ipv4Addr;

/// How long an answer may be cached, in seconds. Short, because the address
/// means something only while the run lasts.
pub const TTL: u32 = 5;

/// Header bytes before the question (RFC 1035 §4.1.1).
const HEADER: usize = 12;
/// Bytes that a name may take on the wire, with its lengths (RFC 1035 §2.3.4).
const NAME_MAX: usize = 255;
/// Type A and class IN (RFC 1035 §3.2.2, §3.2.4).
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;
/// Flag bits of the header's second word (RFC 1035 §4.1.1).
const QR: u16 = 1 << 15;
const OPCODE: u16 = 0b1111 << 11;
const RD: u16 = 1 << 8;
const RA: u16 = 1 << 7;
const SERVFAIL: u16 = 2;

/// A standard query, read as far as its first question.
#[derive(Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The message up to the end of the first question.
    head: &'a [u8],
    /// The name asked for: lower case, labels joined by dots, no dot at the end,
    /// at most 1,004 characters. A byte other than a letter, digit, hyphen or
    /// underscore is written `\DDD` (RFC 1035 §5.1), so that a dot within a label
    /// is no label boundary.
    pub name: String,
    is_address: bool,
}

impl<'a> Query<'a> {
    /// Reads a message without its TCP length prefix. `None` if it is not a
    /// standard query or its first question is not whole.
    pub fn parse(message: &'a [u8]) -> Option<Self> {
        let flags = word(message, 2)?;
        let questions = word(message, 4)?;
        if flags & (QR | OPCODE) != 0 || questions == 0 {
            return None;
        }
        let mut name = String::new();
        let mut at = HEADER;
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            // Above 63 it is a compression pointer (§4.1.4) or reserved: nothing
            // precedes the first question that a pointer could name.
            if length > 63 || at + length - HEADER >= NAME_MAX {
                return None;
            }
            if !name.is_empty() {
                name.push('.');
            }
            for &byte in message.get(at..at + length)? {
                push_byte(&mut name, byte);
            }
            at += length;
        }
        let is_address = word(message, at)? == TYPE_A && word(message, at + 2)? == CLASS_IN;
        Some(Self { head: message.get(..at + 4)?, name, is_address })
    }

    /// The answer for an intercepted name: `address` if type A was asked for, and
    /// otherwise, as for AAAA and HTTPS, that there is no such record (NOERROR
    /// without answers, RFC 2308 §2.2), which makes the asker use the A record.
    pub fn answer(&self, address: Ipv4Addr) -> Vec<u8> {
        if !self.is_address {
            return self.reply(0, 0);
        }
        let mut reply = self.reply(0, 1);
        // A pointer to the name in the question, which begins after the header.
        reply.extend([0xc0, HEADER as u8]);
        reply.extend(TYPE_A.to_be_bytes());
        reply.extend(CLASS_IN.to_be_bytes());
        reply.extend(TTL.to_be_bytes());
        reply.extend(4u16.to_be_bytes());
        reply.extend(address.octets());
        reply
    }

    /// SERVFAIL: the server that was meant cannot be asked.
    pub fn failure(&self) -> Vec<u8> {
        self.reply(SERVFAIL, 0)
    }

    /// Header and question of a reply.
    fn reply(&self, rcode: u16, answers: u16) -> Vec<u8> {
        let asked = word(self.head, 2).unwrap_or_default();
        let mut reply = Vec::with_capacity(self.head.len() + 16);
        reply.extend(&self.head[..2]);
        reply.extend((QR | (asked & RD) | RA | rcode).to_be_bytes());
        for count in [1, answers, 0, 0] {
            reply.extend(count.to_be_bytes());
        }
        reply.extend(&self.head[HEADER..]);
        reply
    }
}

/// The big-endian 16-bit word at `at`.
fn word(message: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]))
}

fn push_byte(name: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
        name.push(char::from(byte.to_ascii_lowercase()));
    } else {
        name.push_str(&format!("\\{byte:03}"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A query with RD set, as a stub resolver sends it.
    fn query(name: &[&[u8]], kind: u16) -> Vec<u8> {
        let mut message = vec![0xbe, 0xef, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name {
            message.push(label.len() as u8);
            message.extend(*label);
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    #[test]
    fn an_address_is_answered_with_the_marker_for_five_seconds() {
        let message = query(&[b"API", b"twilio", b"com"], 1);
        let query = Query::parse(&message).unwrap();
        assert_eq!(query.name, "api.twilio.com");
        let mut expected = vec![0xbe, 0xef, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
        expected.extend(&message[12..]);
        expected.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 127, 66, 0, 1]);
        assert_eq!(query.answer(Ipv4Addr::new(127, 66, 0, 1)), expected);
    }

    #[test]
    fn another_type_has_no_record_and_edns_does_not_matter() {
        for kind in [28, 65, 16, 255] {
            let mut message = query(&[b"api", b"twilio", b"com"], kind);
            let end = message.len();
            message[11] = 1;
            message.extend([0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0]);
            let answer = Query::parse(&message).unwrap().answer(Ipv4Addr::LOCALHOST);
            assert_eq!(answer[..12], [0xbe, 0xef, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0], "{kind}");
            assert_eq!(answer[12..], message[12..end], "{kind}");
        }
    }

    #[test]
    fn a_failure_echoes_the_question() {
        let message = query(&[b"example", b"org"], 1);
        let failure = Query::parse(&message).unwrap().failure();
        assert_eq!(failure[..4], [0xbe, 0xef, 0x81, 0x82]);
        assert_eq!(failure[12..], message[12..]);
    }

    #[test]
    fn a_dot_within_a_label_is_no_boundary() {
        let message = query(&[b"api.twilio", b"com"], 1);
        assert_eq!(Query::parse(&message).unwrap().name, "api\\046twilio.com");
    }

    #[test]
    fn what_is_not_a_whole_query_is_none() {
        let whole = query(&[b"api", b"twilio", b"com"], 1);
        for length in 0..whole.len() {
            assert_eq!(Query::parse(&whole[..length]), None, "{length} bytes");
        }
        let with = |at: usize, byte: u8| {
            let mut message = whole.clone();
            message[at] = byte;
            message
        };
        assert_eq!(Query::parse(&with(2, 0x81)), None, "a response");
        assert_eq!(Query::parse(&with(2, 0x29)), None, "an update");
        assert_eq!(Query::parse(&with(5, 0)), None, "no question");
        assert_eq!(Query::parse(&with(12, 0xc0)), None, "a pointer");
        let label: &[u8] = &[b'a'; 63];
        assert_eq!(Query::parse(&query(&[label; 4], 1)), None, "257 bytes of name");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(message in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Some(query) = Query::parse(&message) {
                prop_assert!(query.name.len() <= 1004);
                prop_assert!(Query::parse(&query.failure()).is_none());
            }
        }

        #[test]
        fn no_question_panics(question in proptest::collection::vec(0u8..70, 0..400)) {
            let mut message = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            message.extend(question);
            if let Some(query) = Query::parse(&message) {
                prop_assert!(query.answer(Ipv4Addr::LOCALHOST).starts_with(&[0, 1, 0x81, 0x80]));
            }
        }
    }
}
