//! What machines report of mail: bounces (RFC 3464) and complaints (RFC 5965).

use mail_parser::{Message, MessageParser, MimeHeaders};

/// What a machine reports of a mail of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It failed: for good where the status begins with 5, for now where it begins with 4.
    Failed {
        /// RFC 3463, as `5.1.1`.
        status: String,
        /// What the server said.
        diagnostic: String,
    },
    Delayed,
    /// Its reader complained.
    Complaint,
}

const DIAGNOSTIC_CHARS_MAX: usize = 1000;

/// Reads a bounce or complaint; `None` for anything else.
///
/// It is known by its parts, not by `multipart/report`: OpenSMTPD's say `multipart/mixed`. What has
/// no such parts and comes from a mailer's own address is read for the words of a server.
pub fn report(bytes: &[u8]) -> Option<Report> {
    let message = MessageParser::default().parse(bytes)?;
    for part in &message.parts {
        let Some(kind) = part.content_type() else { continue };
        if !kind.ctype().eq_ignore_ascii_case("message") {
            continue;
        }
        let is = |name: &str| kind.subtype().is_some_and(|kind| kind.eq_ignore_ascii_case(name));
        if is("feedback-report") {
            return complaint(&fields(part.contents()));
        }
        if is("delivery-status") {
            return status(&fields(part.contents()), &text_of(&message));
        }
    }
    let is_reply = message.header_raw("Auto-Submitted").is_some_and(|how| how.contains("replied"));
    if is_reply || !is_by_mailer(&message) {
        return None;
    }
    let (status, diagnostic) = said(&text_of(&message))?;
    Some(Report::Failed { status, diagnostic })
}

/// The fields of a report with their lines joined.
fn fields(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let text = text.replace("\n ", " ").replace("\n\t", " ");
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

/// The first field of this name.
fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// A report that says it is no spam is none.
fn complaint(fields: &[(String, String)]) -> Option<Report> {
    let kind = field(fields, "Feedback-Type").unwrap_or("other");
    (!kind.eq_ignore_ascii_case("not-spam")).then_some(Report::Complaint)
}

/// The way back is one reader's, so the first recipient of the report is the one.
fn status(fields: &[(String, String)], text: &str) -> Option<Report> {
    match field(fields, "Action")?.to_ascii_lowercase().as_str() {
        "failed" => {}
        "delayed" => return Some(Report::Delayed),
        _ => return None,
    }
    let told = field(fields, "Status").and_then(|status| status.split_whitespace().next());
    let told = told.filter(|status| is_status(status)).unwrap_or("5.0.0");
    let diagnostic = field(fields, "Diagnostic-Code").unwrap_or_default();
    let diagnostic = diagnostic.split_once(';').map_or(diagnostic, |(_, said)| said.trim());
    let words = said(if diagnostic.is_empty() { text } else { diagnostic });
    let (from_words, line) = words.unwrap_or_else(|| (told.to_owned(), String::new()));
    // A status without detail yields to what the server said.
    let is_better = told.ends_with(".0.0") && from_words[..1] == told[..1];
    let status = if is_better { from_words } else { told.to_owned() };
    let diagnostic = if diagnostic.is_empty() { line } else { shown(diagnostic) };
    Some(Report::Failed { status, diagnostic })
}

/// Addresses that programs write from.
fn is_by_mailer(message: &Message<'_>) -> bool {
    let from = message.from().and_then(|from| from.first()).and_then(|from| from.address.as_ref());
    from.and_then(|address| address.split('@').next()).is_some_and(|local| {
        local.eq_ignore_ascii_case("mailer-daemon") || local.eq_ignore_ascii_case("postmaster")
    })
}

fn text_of(message: &Message<'_>) -> String {
    message.body_text(0).map(|text| text.into_owned()).unwrap_or_default()
}

/// The first words of a server in a text: the enhanced status, and the line from its code on.
fn said(text: &str) -> Option<(String, String)> {
    text.lines().find_map(|line| {
        let mut begin = None;
        let mut before = ":";
        for (at, word) in words(line) {
            let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_code = bare.len() == 3 && bare.starts_with(['4', '5']) && is_number(bare);
            if is_code && before.ends_with([':', ';']) {
                begin = begin.or(Some((at, bare)));
            } else if is_status(bare) {
                let (at, _) = begin.unwrap_or((at, bare));
                return Some((bare.to_owned(), shown(&line[at..])));
            }
            before = word;
        }
        begin.map(|(at, code)| (format!("{}.0.0", &code[..1]), shown(&line[at..])))
    })
}

/// Words and where they begin; `550-5.1.1` is two.
fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let pieces = line.split([' ', '\t', '-', '(', '#']).filter(|piece| !piece.is_empty());
    pieces.map(move |piece| (piece.as_ptr() as usize - line.as_ptr() as usize, piece))
}

fn shown(line: &str) -> String {
    line.trim().chars().take(DIAGNOSTIC_CHARS_MAX).collect()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// RFC 3463, of a failure.
fn is_status(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    matches!(parts.as_slice(), ["4" | "5", b, c] if is_number(b) && is_number(c) && b.len() < 4 && c.len() < 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: &str, diagnostic: &str) -> Option<Report> {
        Some(Report::Failed { status: status.into(), diagnostic: diagnostic.into() })
    }

    #[test]
    fn bounces_and_complaints_are_told_from_mail() {
        let dsn = "From: MAILER-DAEMON@mx.example\r\nContent-Type: multipart/report; \
            report-type=delivery-status; boundary=\"x\"\r\n\r\n--x\r\n\r\nSorry.\r\n--x\r\n\
            Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
            Final-Recipient: rfc822; a@mx.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
            Diagnostic-Code: smtp; 550 5.1.1 no\r\n such user\r\n--x--\r\n";
        assert_eq!(report(dsn.as_bytes()), failed("5.1.1", "550 5.1.1 no such user"));
        assert_eq!(
            report(dsn.replace("Action: failed", "Action: delayed").as_bytes()),
            Some(Report::Delayed)
        );
        let full = dsn.replace("5.1.1 no", "4.2.2 full").replace("Status: 5.1.1", "Status: 4.2.2");
        let full = full.replace("550 ", "452 ").replace("\r\n such user", "");
        assert_eq!(report(full.as_bytes()), failed("4.2.2", "452 4.2.2 full"));
        let arf = "From: <abuse@isp.example>\r\nContent-Type: multipart/report; \
            report-type=feedback-report; boundary=\"y\"\r\n\r\n--y\r\nContent-Type: \
            message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: X\r\nVersion: 1\r\n--y--\r\n";
        assert_eq!(report(arf.as_bytes()), Some(Report::Complaint));
        assert_eq!(report(arf.replace("abuse\r", "not-spam\r").as_bytes()), None);
        assert_eq!(report(b"Subject: hi\r\n\r\nhello"), None);
    }

    /// The shape that OpenSMTPD gives it: mixed, no detail of the status, no diagnostic.
    #[test]
    fn a_report_is_known_by_its_parts() {
        let dsn = "From: Mailer Daemon <MAILER-DAEMON@relay.example>\r\nMIME-Version: 1.0\r\n\
            Content-Type: multipart/mixed;boundary=\"17/relay.example\"\r\n\r\n--17/relay.example\r\n\
            Content-Type: text/plain; charset=us-ascii\r\n\r\n    Hi!\r\n\r\n\
            bo@there.example: 550 Invalid recipient: <bo@there.example>\r\n\r\n--17/relay.example\r\n\
            Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; relay.example\r\n\r\n\
            Final-Recipient: rfc822; bo@there.example\r\nAction: failed\r\nStatus: 5.0.0\r\n\r\n\
            --17/relay.example--\r\n";
        let expected = failed("5.0.0", "550 Invalid recipient: <bo@there.example>");
        assert_eq!(report(dsn.as_bytes()), expected);
        let detailed = dsn.replace("550 Invalid", "550 5.2.1 Disabled");
        let expected = failed("5.2.1", "550 5.2.1 Disabled recipient: <bo@there.example>");
        assert_eq!(report(detailed.as_bytes()), expected);
    }

    #[test]
    fn a_mailer_without_a_report_is_read_by_its_words() {
        for (text, expected) in [
            (
                "Hi. This is the program at mx.example.\r\n<a@b.example>:\r\n550 no such user\r\n",
                failed("5.0.0", "550 no such user"),
            ),
            (
                "host mx.b.example said: 552-5.2.2 (full) the mailbox is full\r\n",
                failed("5.2.2", "552-5.2.2 (full) the mailbox is full"),
            ),
            (
                "remote server: 451 4.7.1 greylisted for 300 seconds",
                failed("4.7.1", "451 4.7.1 greylisted for 300 seconds"),
            ),
            ("We moved to 500 Main Street and have 404 friends.", None),
            ("Version 10.5.1.1 is out, see 5.1.", None),
        ] {
            let mail = format!("From: <MAILER-DAEMON@b.example>\r\nSubject: failure\r\n\r\n{text}");
            assert_eq!(report(mail.as_bytes()), expected, "{text}");
            // People write such lines, too, and machines reply.
            let person = mail.replace("MAILER-DAEMON", "ann");
            assert_eq!(report(person.as_bytes()), None);
            let reply = format!("Auto-Submitted: auto-replied\r\n{mail}");
            assert_eq!(report(reply.as_bytes()), None);
        }
    }
}
