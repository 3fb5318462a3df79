//! What a message or call can be sent to or come from.

use std::fmt;

use thiserror::Error;

use crate::e164::E164;

/// The other end of a message or call (Twilio docs: Messages resource, `To` and `From`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A telephone number, `+14155550100`. Shape only: whether it is valid is [`E164::is_valid`].
    E164(E164),
    /// A number of three to six digits, a sender only.
    ShortCode(ShortCode),
    /// A name of 1 to 11 characters `[A-Za-z0-9 +_&-]` with a letter among them, a sender only.
    Alphanumeric(String),
    /// An address on another network, `whatsapp:+14155550100`.
    Channel {
        /// The network.
        channel: Channel,
        /// What follows the prefix; a number is normalised to E.164 with `+`.
        id: String,
    },
    /// A Wireless or Super SIM, `sim:HS…`; holds the SID.
    Sim(String),
}

/// The networks that are addressed by a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    Whatsapp,
    Messenger,
    Rcs,
    Viber,
}

impl Channel {
    /// The prefix before the colon, lower case.
    pub fn prefix(self) -> &'static str {
        match self {
            Channel::Whatsapp => "whatsapp",
            Channel::Messenger => "messenger",
            Channel::Rcs => "rcs",
            Channel::Viber => "viber",
        }
    }

    fn from_prefix(prefix: &str) -> Option<Channel> {
        [Channel::Whatsapp, Channel::Messenger, Channel::Rcs, Channel::Viber]
            .into_iter()
            .find(|channel| channel.prefix() == prefix)
    }
}

/// Three to six digits; leading zeros count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShortCode {
    value: u32,
    digits: u8,
}

impl ShortCode {
    /// From exactly three to six ASCII digits.
    pub fn parse(text: &str) -> Option<ShortCode> {
        let is_code = (3..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let (value, digits) = (text.parse().ok()?, u8::try_from(text.len()).ok()?);
        is_code.then_some(ShortCode { value, digits })
    }
}

/// Why a text is no address. The caller maps each to Twilio's code for its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Nothing but white space. `To`: 21604, `From`: 21603.
    #[error("the address is empty")]
    Empty,
    /// None of the known forms. `To`: 21211, `From`: 21212.
    #[error("the address has none of the known forms")]
    Malformed,
    /// A short code as destination: 21265.
    #[error("a short code cannot be a destination")]
    ShortCodeDestination,
    /// A name as destination: 21211.
    #[error("an alphanumeric sender cannot be a destination")]
    AlphanumericDestination,
    /// Several recipients in one field: 21653.
    #[error("one field holds several recipients")]
    SeveralRecipients,
    /// A prefix that is no network here, such as `telegram:`. `To`: 21211, `From`: 21212.
    #[error("the prefix names no known channel")]
    UnknownChannel,
}

impl Address {
    /// A destination. Numbers may carry spaces, dashes, parentheses and dots; ten digits, or eleven
    /// that begin with 1, count as North American.
    pub fn parse_to(text: &str) -> Result<Address, AddressError> {
        if text.contains([',', ';']) {
            return Err(AddressError::SeveralRecipients);
        }
        match Address::parse_from(text)? {
            Address::ShortCode(_) => Err(AddressError::ShortCodeDestination),
            Address::Alphanumeric(_) => Err(AddressError::AlphanumericDestination),
            reachable => Ok(reachable),
        }
    }

    /// A sender; as [`Address::parse_to`], and short codes and names too. A Messaging Service SID
    /// is not an address: look for `MG…` before.
    pub fn parse_from(text: &str) -> Result<Address, AddressError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if let Some((prefix, id)) = text.split_once(':') {
            return parse_prefixed(prefix, id.trim());
        }
        if text.bytes().any(|byte| byte.is_ascii_alphabetic()) {
            return parse_alphanumeric(text);
        }
        // Only a bare code is a short code: `123-45` is a mistyped number.
        if let Some(code) = ShortCode::parse(text) {
            return Ok(Address::ShortCode(code));
        }
        parse_number(text).map(Address::E164)
    }

    /// The telephone number in the address, on whichever channel.
    pub fn number(&self) -> Option<E164> {
        match self {
            Address::E164(number) => Some(*number),
            Address::Channel { id, .. } => E164::parse(id).ok(),
            Address::ShortCode(_) | Address::Alphanumeric(_) | Address::Sim(_) => None,
        }
    }

    /// The channel, `None` for the telephone network. Both ends of a message must agree (21910).
    pub fn channel(&self) -> Option<Channel> {
        match self {
            Address::Channel { channel, .. } => Some(*channel),
            _ => None,
        }
    }
}

/// The wire form, which parses to the same address again.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::E164(number) => number.fmt(f),
            Address::ShortCode(code) => code.fmt(f),
            Address::Alphanumeric(name) => f.write_str(name),
            Address::Channel { channel, id } => write!(f, "{}:{id}", channel.prefix()),
            Address::Sim(sid) => write!(f, "sim:{sid}"),
        }
    }
}

impl fmt::Display for ShortCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.value, width = usize::from(self.digits))
    }
}

/// Digits of a number as people type it; at most fifteen.
fn parse_number(text: &str) -> Result<E164, AddressError> {
    let mut digits = [0_u8; 15];
    let (mut count, mut has_plus) = (0, false);
    for byte in text.bytes() {
        match byte {
            b' ' | b'-' | b'(' | b')' | b'.' => {}
            b'+' if count == 0 && !has_plus => has_plus = true,
            b'0'..=b'9' if count < digits.len() => {
                digits[count] = byte;
                count += 1;
            }
            _ => return Err(AddressError::Malformed),
        }
    }
    let digits = &digits[..count];
    let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    let value = match (has_plus, digits) {
        (true, [b'0', ..]) => None,
        (true, _) => Some(value),
        (false, [b'1', ..]) if count == 11 => Some(value),
        (false, _) if count == 10 => Some(10_000_000_000 + value),
        (false, _) => None,
    };
    value.and_then(E164::from_u64).ok_or(AddressError::Malformed)
}

fn parse_alphanumeric(text: &str) -> Result<Address, AddressError> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b" +_&-".contains(&byte);
    if text.len() > 11 || !text.bytes().all(is_allowed) {
        return Err(AddressError::Malformed);
    }
    Ok(Address::Alphanumeric(text.to_owned()))
}

fn parse_prefixed(prefix: &str, id: &str) -> Result<Address, AddressError> {
    let prefix = prefix.to_ascii_lowercase();
    if prefix == "sim" {
        let is_sid = id.len() == 34
            && id.starts_with("HS")
            && id.bytes().skip(2).all(|byte| byte.is_ascii_hexdigit());
        return if is_sid { Ok(Address::Sim(id.to_owned())) } else { Err(AddressError::Malformed) };
    }
    let channel = Channel::from_prefix(&prefix).ok_or(AddressError::UnknownChannel)?;
    let id = parse_channel_id(channel, id).ok_or(AddressError::Malformed)?;
    Ok(Address::Channel { channel, id })
}

/// 1 to 100 characters. WhatsApp knows numbers and business-scoped user ids (`US.1234…`).
fn parse_channel_id(channel: Channel, id: &str) -> Option<String> {
    let is_word = |text: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=100).contains(&text.len()) && text.bytes().all(is_plain)
    };
    // A form post turns an unescaped plus into a space, which `trim` has eaten.
    let is_digits = id.bytes().all(|byte| byte.is_ascii_digit() || b" -().".contains(&byte));
    match channel {
        Channel::Whatsapp if id.starts_with('+') || is_digits => {
            parse_number(id).ok().map(|number| number.to_string())
        }
        Channel::Whatsapp => {
            let (country, user) = id.split_once('.')?;
            let is_country = country.len() == 2 && country.bytes().all(|b| b.is_ascii_uppercase());
            (is_country && is_word(user)).then(|| id.to_owned())
        }
        Channel::Rcs if id.starts_with('+') => parse_number(id).ok().map(|n| n.to_string()),
        Channel::Rcs | Channel::Messenger | Channel::Viber => is_word(id).then(|| id.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn destinations() {
        use AddressError::*;
        for (text, expected) in [
            ("+14155550100", Ok("+14155550100")),
            ("+1 (415) 555-0100", Ok("+14155550100")),
            ("415.555.0100", Ok("+14155550100")),
            (" 14155550100", Ok("+14155550100")),
            ("+15005550001", Ok("+15005550001")),
            ("+44 20 7946 0958", Ok("+442079460958")),
            ("whatsapp:+1 415 555 0100", Ok("whatsapp:+14155550100")),
            ("whatsapp: 14155550100", Ok("whatsapp:+14155550100")),
            ("WhatsApp:US.13491208655302741918", Ok("whatsapp:US.13491208655302741918")),
            ("messenger:1234567890", Ok("messenger:1234567890")),
            ("rcs:+14155550100", Ok("rcs:+14155550100")),
            ("rcs:brand_agent", Ok("rcs:brand_agent")),
            (
                "sim:HS0123456789abcdef0123456789abcdef",
                Ok("sim:HS0123456789abcdef0123456789abcdef"),
            ),
            ("", Err(Empty)),
            ("  ", Err(Empty)),
            ("12345", Err(ShortCodeDestination)),
            ("ACME", Err(AlphanumericDestination)),
            ("+14155550100,+14155550101", Err(SeveralRecipients)),
            ("telegram:bob", Err(UnknownChannel)),
            ("+", Err(Malformed)),
            ("12", Err(Malformed)),
            ("123-45", Err(Malformed)),
            ("4155550", Err(Malformed)),
            ("442079460958", Err(Malformed)),
            ("+0442079460958", Err(Malformed)),
            ("++14155550100", Err(Malformed)),
            ("1+4155550100", Err(Malformed)),
            ("+1234567890123456", Err(Malformed)),
            ("+１４１５５５５０１００", Err(Malformed)),
            ("whatsapp:", Err(Malformed)),
            ("whatsapp:bob", Err(Malformed)),
            ("messenger:a b", Err(Malformed)),
            ("sim:HS01", Err(Malformed)),
        ] {
            let parsed = Address::parse_to(text).map(|address| address.to_string());
            assert_eq!(parsed, expected.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn senders() {
        let code = Address::parse_from("00123").unwrap();
        assert_eq!(code.to_string(), "00123");
        assert!(matches!(code, Address::ShortCode(_)));
        for name in ["ACME", "A", "My Shop & Co", "1-800-CALL", "+1CALL", "a_b-c+d&e f"] {
            let parsed = Address::parse_from(name);
            let expected = if name.len() <= 11 {
                Ok(Address::Alphanumeric(name.into()))
            } else {
                Err(AddressError::Malformed)
            };
            assert_eq!(parsed, expected, "{name}");
        }
        assert_eq!(Address::parse_from("Acme!"), Err(AddressError::Malformed));
        assert_eq!(Address::parse_from("1234567"), Err(AddressError::Malformed));
    }

    #[test]
    fn numbers_and_channels_are_seen_through_the_address() {
        let address = Address::parse_to("whatsapp:+14155238886").unwrap();
        assert_eq!(address.number(), E164::parse("+14155238886").ok());
        assert_eq!(address.channel(), Some(Channel::Whatsapp));
        assert_eq!(Address::parse_from("ACME").unwrap().number(), None);
    }

    proptest! {
        #[test]
        fn any_text_parses_or_is_refused(text in "\\PC*") {
            let _ = Address::parse_to(&text);
            let _ = Address::parse_from(&text);
        }

        #[test]
        fn the_wire_form_parses_to_the_same(
            text in "(whatsapp:|rcs:|messenger:|sim:HS)?[+]?[A-Za-z0-9 ().&-]{0,16}"
        ) {
            if let Ok(address) = Address::parse_from(&text) {
                prop_assert_eq!(Address::parse_from(&address.to_string()), Ok(address));
            }
        }
    }
}
