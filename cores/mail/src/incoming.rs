//! Messages that come in.

use mail_parser::{MessageParser, MimeHeaders, PartType};

/// A message, read.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// The header lines as they came.
    pub headers: String,
    pub from: String,
    pub to: String,
    pub cc: String,
    pub subject: String,
    pub text: Option<String>,
    pub html: Option<String>,
    pub parts: Vec<Part>,
}

/// A file of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub filename: String,
    pub content_type: String,
    pub content_id: Option<String>,
    pub is_inline: bool,
    pub bytes: Vec<u8>,
}

/// Files of one message that are looked at.
const PARTS_MAX: usize = 100;

/// Reads a message; `None` when it has no headers at all.
pub fn read(bytes: &[u8]) -> Option<Incoming> {
    let message = MessageParser::default().parse(bytes)?;
    if message.headers().is_empty() {
        return None;
    }
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
    let raw = |name: &str| message.header_raw(name).map(unfold).unwrap_or_default();
    let mut parts = Vec::new();
    for part in message.attachments().take(PARTS_MAX) {
        let kind = part.content_type().map_or_else(
            || "application/octet-stream".to_owned(),
            |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")),
        );
        parts.push(Part {
            filename: part.attachment_name().unwrap_or("unnamed").to_owned(),
            content_type: kind,
            content_id: part.content_id().map(str::to_owned),
            is_inline: part.content_disposition().is_some_and(|how| how.is_inline()),
            bytes: part.contents().to_vec(),
        });
    }
    let part_text = |id: Option<&u32>, want_html: bool| {
        let part = message.part(*id?)?;
        match (&part.body, want_html) {
            (PartType::Text(text), false) | (PartType::Html(text), true) => Some(text.to_string()),
            _ => None,
        }
    };
    Some(Incoming {
        headers: String::from_utf8_lossy(&bytes[..end]).into_owned(),
        from: decoded(&message, "From", raw("From")),
        to: decoded(&message, "To", raw("To")),
        cc: decoded(&message, "Cc", raw("Cc")),
        subject: message.subject().unwrap_or_default().to_owned(),
        text: part_text(message.text_body.first(), false),
        html: part_text(message.html_body.first(), true),
        parts,
    })
}

/// Mailboxes with their names decoded; as it came where they cannot be read.
fn decoded(message: &mail_parser::Message<'_>, name: &str, raw: String) -> String {
    let Some(addresses) = message.header(name).and_then(|value| value.as_address()) else {
        return raw;
    };
    let shown = addresses.iter().map(|mailbox| match (&mailbox.name, &mailbox.address) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (None, Some(address)) => address.to_string(),
        (name, None) => name.as_deref().unwrap_or_default().to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn unfold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_malformed_is_read_as_far_as_it_goes_and_never_panics() {
        for bytes in [
            &b""[..],
            b"\0\0\0",
            b"no headers",
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x",
            b"Subject: =?utf-8?B?!!!?=\r\nTo: <<<>>,;\r\n\r\n\xff\xfe",
            b"Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n----\r\n",
            b"Content-Transfer-Encoding: base64\r\n\r\n!!!!",
        ] {
            let _ = read(bytes);
            let _ = crate::report(bytes);
        }
        let cut = b"From: a@b.c\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x";
        assert_eq!(read(cut).unwrap().text.as_deref(), Some("hi"));
    }
}
