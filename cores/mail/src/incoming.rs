//! Messages that come in: what people write, bounces and complaints.

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

/// What a machine reports of a mail of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// RFC 3464: it failed for good, or for now.
    Failed {
        status: String,
        diagnostic: String,
    },
    Delayed,
    /// RFC 5965: its reader complained.
    Complaint,
}

/// Reads a bounce or complaint; `None` for anything else.
pub fn report(bytes: &[u8]) -> Option<Report> {
    let message = MessageParser::default().parse(bytes)?;
    let kind = message.content_type()?;
    let is_report = kind.ctype().eq_ignore_ascii_case("multipart")
        && kind.subtype().is_some_and(|kind| kind.eq_ignore_ascii_case("report"));
    if !is_report {
        return None;
    }
    for part in &message.parts {
        let Some(kind) = part.content_type().and_then(|kind| kind.subtype()) else { continue };
        if kind.eq_ignore_ascii_case("feedback-report") {
            return Some(Report::Complaint);
        }
        if !kind.eq_ignore_ascii_case("delivery-status") {
            continue;
        }
        let text =
            String::from_utf8_lossy(part.contents()).replace("\r\n ", " ").replace("\n ", " ");
        let field = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(':'));
            let found = lines.find(|(known, _)| known.trim().eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().to_owned())
        };
        return match field("Action")?.to_ascii_lowercase().as_str() {
            "failed" => {
                let diagnostic = field("Diagnostic-Code").unwrap_or_default();
                let diagnostic = diagnostic.trim_start_matches("smtp;").trim().to_owned();
                Some(Report::Failed { status: field("Status").unwrap_or_default(), diagnostic })
            }
            "delayed" => Some(Report::Delayed),
            _ => None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounces_and_complaints_are_told_from_mail() {
        let dsn = "From: MAILER-DAEMON@mx.example\r\nContent-Type: multipart/report; \
            report-type=delivery-status; boundary=\"x\"\r\n\r\n--x\r\n\r\nSorry.\r\n--x\r\n\
            Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
            Final-Recipient: rfc822; a@mx.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
            Diagnostic-Code: smtp; 550 5.1.1 no\r\n such user\r\n--x--\r\n";
        let expected =
            Report::Failed { status: "5.1.1".into(), diagnostic: "550 5.1.1 no such user".into() };
        assert_eq!(report(dsn.as_bytes()), Some(expected));
        assert_eq!(
            report(dsn.replace("Action: failed", "Action: delayed").as_bytes()),
            Some(Report::Delayed)
        );
        let arf = "From: <abuse@isp.example>\r\nContent-Type: multipart/report; \
            report-type=feedback-report; boundary=\"y\"\r\n\r\n--y\r\nContent-Type: \
            message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: X\r\nVersion: 1\r\n--y--\r\n";
        assert_eq!(report(arf.as_bytes()), Some(Report::Complaint));
        assert_eq!(report(b"Subject: hi\r\n\r\nhello"), None);
    }

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
            let _ = report(bytes);
        }
        let cut = b"From: a@b.c\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x";
        assert_eq!(read(cut).unwrap().text.as_deref(), Some("hi"));
    }
}
