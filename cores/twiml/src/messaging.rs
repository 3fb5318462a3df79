//! Messaging TwiML: the answer to an inbound message.

use roxmltree::Node;

use crate::diagnostic::{Diagnostic, Fatal};
use crate::link::{PROBLEM as URL_PROBLEM, is_url};
use crate::method::Method;
use crate::source::Source;
use crate::xml::{self, Reader};

/// Messages carried out of one document; later ones are ignored with 14109.
pub const MESSAGES_MAX: usize = 10;

/// Media of one message.
pub const MEDIA_MAX: usize = 10;

/// Characters (Unicode scalar values) of a body; a longer one is not sent, 14103.
pub const BODY_CHARS_MAX: usize = 1600;

/// A document as it is to be carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// In order. A redirect is always last: what follows it is never reached.
    pub verbs: Vec<Verb>,
    /// In order of discovery.
    pub diagnostics: Vec<Diagnostic>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `<Message>`, or its older name `<Sms>`.
    Message(Message),
    /// `<Redirect>`: fetch the next document.
    Redirect {
        /// As written: absolute http(s), or relative to the URL of this document.
        url: String,
        method: Method,
    },
}

/// A message to send in reply. `None` is left to the caller, who knows the message replied to.
/// URLs are as written: absolute http(s), or relative to the URL of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The recipient; by default the sender of the inbound message.
    pub to: Option<String>,
    /// The sender; by default the recipient of the inbound message.
    pub from: Option<String>,
    /// Where status changes of this message are reported.
    pub action: Option<String>,
    /// How `action` is requested.
    pub method: Method,
    /// The deprecated name of `action`.
    pub status_callback: Option<String>,
    /// Trimmed, at most [`BODY_CHARS_MAX`]; empty only if there are media.
    pub body: String,
    /// URLs, at most [`MEDIA_MAX`].
    pub media: Vec<String>,
}

/// Reads the response to a messaging webhook. An empty one, as of a 204, has no verbs; `text/plain`
/// is one reply; `text/xml`, `application/xml` and `text/html` are TwiML, and so is a body without
/// `content_type` that begins with `<`.
///
/// Ignored or defaulted with a diagnostic:
///
/// | code | |
/// |---|---|
/// | 11100 | URL of `<Media>` or `<Redirect>` bad: ignored |
/// | 12200 | unknown verb, noun or attribute, stray text, media beyond the tenth: ignored |
/// | 13710 | `method` of `<Redirect>` bad: POST |
/// | 14101 | `to` bad: the message is not sent |
/// | 14102 | `from` bad: the default |
/// | 14103 | body empty without media, or too long: the message is not sent |
/// | 14104 | `method` of a message bad: POST |
/// | 14105 | `action` or `statusCallback` bad: nothing is reported |
/// | 14109 | messages beyond the tenth: ignored, noted once |
/// | 14110 | a verb for calls: ignored |
///
/// Differs: a bad `to` stops the message; Twilio's default could reach someone it was not meant
/// for.
///
/// # Errors
/// [`Fatal`] with 11750, 12100, 12101, 12102 or 12300.
pub fn parse(body: &[u8], content_type: Option<&str>) -> Result<Document, Fatal> {
    match Source::read(body, content_type)? {
        Source::Empty => Ok(Document::default()),
        Source::Plain(text) => Ok(plain(text.trim())),
        Source::Xml(text) => {
            let xml = xml::parse(&text)?;
            let mut reader = Reader::new(&xml);
            let response = reader.response()?;
            let verbs = verbs(&mut reader, response);
            Ok(Document { verbs, diagnostics: reader.diagnostics })
        }
    }
}

fn plain(text: &str) -> Document {
    match body_problem(text, false) {
        None => {
            let message = Message { body: text.to_owned(), ..Message::default() };
            Document { verbs: vec![Verb::Message(message)], diagnostics: Vec::new() }
        }
        Some(problem) => {
            let message = format!("the reply {problem}");
            let diagnostic = Diagnostic::new(14103, roxmltree::TextPos::new(1, 1), &message);
            Document { verbs: Vec::new(), diagnostics: vec![diagnostic] }
        }
    }
}

fn verbs<'a, 'input>(reader: &mut Reader<'a, 'input>, response: Node<'a, 'input>) -> Vec<Verb> {
    let mut verbs = Vec::new();
    let mut is_full = false;
    for node in response.children() {
        if node.is_text() && !node.text().unwrap_or_default().trim().is_empty() {
            let message = "<Response> has text outside its verbs; put it inside a <Message>";
            reader.note_at(12200, node, message);
        }
        if !node.is_element() {
            continue;
        }
        match reader.name(node) {
            Some("Message" | "Sms") if verbs.len() < MESSAGES_MAX => {
                verbs.extend(message(reader, node).map(Verb::Message));
            }
            Some("Message" | "Sms") => {
                if !is_full {
                    let message = "the document has more than ten messages; the rest are not sent";
                    reader.note_at(14109, node, message);
                }
                is_full = true;
            }
            Some("Redirect") => {
                if let Some(redirect) = redirect(reader, node) {
                    verbs.push(redirect);
                    break;
                }
            }
            _ => stray_verb(reader, node),
        }
    }
    verbs
}

/// Verbs that exist, but for calls.
const VOICE: [&str; 18] = [
    "Connect", "Dial", "Echo", "Enqueue", "Gather", "Hangup", "Leave", "Pause", "Pay", "Play",
    "Prompt", "Queue", "Record", "Refer", "Reject", "Say", "Start", "Stop",
];

fn stray_verb<'a, 'input>(reader: &mut Reader<'a, 'input>, node: Node<'a, 'input>) {
    let name = node.tag_name().name();
    let known = ["Message", "Redirect", "Sms"];
    let hint = match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        _ if reader.name(node).is_none() => "it is in another namespace than <Response>".into(),
        Some(known) => format!("names are case-sensitive: write <{known}>"),
        None if VOICE.contains(&name) => {
            let message = format!("<{name}> is for calls; in reply to a message use <Message>");
            return reader.note_at(14110, node, &message);
        }
        None if matches!(name, "Body" | "Media") => "put it inside a <Message>".into(),
        None => "a reply to a message has <Message> and <Redirect>".into(),
    };
    reader.note_at(12200, node, &format!("<{name}> is not a verb; {hint}"));
}

/// `None` when the message is not to be sent.
///
/// Differs: several `<Body>`, and text beside them, are joined; Twilio's documents leave it open.
/// Differs: `<Sms>` takes all that `<Message>` does.
fn message<'a, 'input>(reader: &mut Reader<'a, 'input>, node: Node<'a, 'input>) -> Option<Message> {
    reader.only_attributes(node, &["to", "from", "action", "method", "statusCallback"]);
    let to = "is not a recipient; write a number like +14155550100";
    let from = "is not a sender; write one of your numbers, or leave it out";
    let mut message = Message {
        to: attribute(reader, node, "to", is_recipient, (14101, to)),
        from: attribute(reader, node, "from", is_sender, (14102, from)),
        action: attribute(reader, node, "action", is_url, (14105, URL_PROBLEM)),
        method: method(reader, node, 14104),
        status_callback: attribute(reader, node, "statusCallback", is_url, (14105, URL_PROBLEM)),
        body: xml::own_text(node),
        media: Vec::new(),
    };
    for child in node.children().filter(Node::is_element) {
        match reader.name(child) {
            Some("Body") => {
                reader.only_attributes(child, &[]);
                message.body += &reader.text_only(child);
            }
            Some("Media") => message.media.extend(media(reader, child, message.media.len())),
            _ => {
                let (outer, inner) = (node.tag_name().name(), child.tag_name().name());
                let message = format!("<{inner}> has no place in <{outer}>; use <Body> or <Media>");
                reader.note_at(12200, child, &message);
            }
        }
    }
    if let Some(problem) = body_problem(&message.body, !message.media.is_empty()) {
        let name = node.tag_name().name();
        reader.note_at(14103, node, &format!("the body of <{name}> {problem}"));
        return None;
    }
    let is_addressed = message.to.is_some() || !node.has_attribute("to");
    is_addressed.then_some(message)
}

/// Differs: media beyond the tenth are ignored with 12200; Twilio does not document it.
fn media<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    node: Node<'a, 'input>,
    already: usize,
) -> Option<String> {
    reader.only_attributes(node, &[]);
    let url = reader.text_only(node);
    if !is_url(&url) {
        reader.note_at(11100, node, &format!("the text of <Media> {URL_PROBLEM}"));
        return None;
    }
    if already == MEDIA_MAX {
        reader.note_at(12200, node, "a message has at most ten <Media>; send another message");
        return None;
    }
    Some(url)
}

/// `None` when there is nowhere to go, and then the verbs after it are reached.
fn redirect<'a, 'input>(reader: &mut Reader<'a, 'input>, node: Node<'a, 'input>) -> Option<Verb> {
    reader.only_attributes(node, &["method"]);
    let method = method(reader, node, 13710);
    let url = reader.text_only(node);
    if !is_url(&url) {
        reader.note_at(11100, node, &format!("the text of <Redirect> {URL_PROBLEM}"));
        return None;
    }
    Some(Verb::Redirect { url, method })
}

/// The value of an attribute, trimmed, if it is there and good. A bad one is noted.
fn attribute<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    node: Node<'a, 'input>,
    name: &str,
    is_good: impl Fn(&str) -> bool,
    (code, problem): (u32, &str),
) -> Option<String> {
    let attribute = node.attribute_node(name)?;
    let value = attribute.value().trim();
    if is_good(value) {
        return Some(value.to_owned());
    }
    let element = node.tag_name().name();
    let message = format!("the attribute {name} of <{element}> {problem}");
    reader.note(code, attribute.range().start, &message);
    None
}

fn method<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    node: Node<'a, 'input>,
    code: u32,
) -> Method {
    let is_method = |value: &str| Method::parse(value).is_some();
    let problem = (code, "is not a method; write GET or POST");
    let value = attribute(reader, node, "method", is_method, problem);
    value.and_then(|value| Method::parse(&value)).unwrap_or_default()
}

fn body_problem(body: &str, has_media: bool) -> Option<&'static str> {
    if body.is_empty() && !has_media {
        Some("is empty; write text or add <Media>")
    } else if body.chars().count() > BODY_CHARS_MAX {
        Some("is longer than 1600 characters; send several messages")
    } else {
        None
    }
}

/// A number of 3–15 digits, perhaps with `+` and separators, or `channel:address`.
fn is_recipient(value: &str) -> bool {
    if let Some((channel, address)) = value.split_once(':') {
        return !channel.is_empty()
            && channel.bytes().all(|byte| byte.is_ascii_lowercase())
            && !address.is_empty()
            && !address.contains(char::is_whitespace);
    }
    let number = value.strip_prefix('+').unwrap_or(value);
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let is_spelt =
        number.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b' ' | b'-' | b'.' | b'(' | b')'));
    (3..=15).contains(&digits) && is_spelt
}

/// A recipient's form, a Messaging Service SID, or an alphanumeric sender of up to 11 characters.
fn is_sender(value: &str) -> bool {
    let is_service = value.len() == 34
        && value.starts_with("MG")
        && value[2..].bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_alphanumeric = value.len() <= 11
        && value.bytes().any(|byte| byte.is_ascii_alphabetic())
        && value.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'&' | b'+' | b'-' | b'_')
        });
    is_recipient(value) || is_service || is_alphanumeric
}
