//! A message and its bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A name and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    pub name: String,
    pub email: String,
}

/// One way to read the message: `text/plain`, `text/html`, `text/calendar` …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub content_type: String,
    pub text: String,
}

/// A file that goes along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    pub filename: String,
    pub content_type: String,
    pub bytes: Vec<u8>,
    /// Shown within the text, by its content id.
    pub is_inline: bool,
    pub content_id: Option<String>,
}

/// A message before it is bytes.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Name and value in their order. Values are encoded as text (RFC 2047).
    pub headers: Vec<(String, String)>,
    /// From the simplest to the best; one at least.
    pub bodies: Vec<Body>,
    pub attachments: Vec<Attachment>,
    /// What separates parts; letters and digits that occur in no part by themselves.
    pub boundary: String,
}

/// Octets of a line without its end (RFC 5322 §2.1.1).
const LINE: usize = 76;

impl Mailbox {
    /// `"Name" <address>`, encoded.
    pub fn header(&self) -> String {
        let name = one_line(&self.name);
        let email = one_line(&self.email);
        if name.is_empty() {
            return email;
        }
        if name.is_ascii() {
            let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
            return format!("\"{quoted}\" <{email}>");
        }
        format!("{} <{email}>", encoded_words(&name))
    }
}

/// Several mailboxes as one header's value.
pub(crate) fn one_line(text: &str) -> String {
    let spaced = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(spaced).collect::<String>().trim().to_owned()
}

/// RFC 2047: base64 words of 75 characters at most, split between characters.
fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut chunk = String::new();
    for c in text.chars() {
        if chunk.len() + c.len_utf8() > 42 {
            words.push(std::mem::take(&mut chunk));
        }
        chunk.push(c);
    }
    words.push(chunk);
    let word = |chunk: &String| format!("=?utf-8?B?{}?=", STANDARD.encode(chunk));
    words.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// `Name: value`, folded at spaces. What is not ASCII is encoded; a line end in a value is a space.
fn header(name: &str, value: &str, out: &mut Vec<u8>) {
    let name: String = name.chars().filter(|c| c.is_ascii_graphic() && *c != ':').collect();
    let value = one_line(value);
    let value = if value.is_ascii() { value } else { encoded_words(&value) };
    let mut line = format!("{name}:");
    for word in value.split(' ') {
        if line.len() + 1 + word.len() > LINE && line.len() > name.len() + 1 {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
            line.clear();
        }
        line.push(' ');
        line.push_str(word);
    }
    out.extend_from_slice(line.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// RFC 2045 §6.7.
fn quoted_printable(text: &str, out: &mut Vec<u8>) {
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let mut width = 0;
        let bytes = line.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            let is_last = at + 1 == bytes.len();
            let plain =
                matches!(byte, 33..=60 | 62..=126) || (matches!(byte, b' ' | b'\t') && !is_last);
            let piece = if plain { vec![byte] } else { format!("={byte:02X}").into_bytes() };
            if width + piece.len() > LINE - 1 {
                out.extend_from_slice(b"=\r\n");
                width = 0;
            }
            width += piece.len();
            out.extend_from_slice(&piece);
        }
        out.extend_from_slice(b"\r\n");
    }
}

fn base64_lines(bytes: &[u8], out: &mut Vec<u8>) {
    let text = STANDARD.encode(bytes);
    for line in text.as_bytes().chunks(LINE) {
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
    }
}

fn token(content_type: &str) -> String {
    let fine = |c: &char| c.is_ascii() && !c.is_control();
    content_type.chars().filter(fine).collect()
}

fn body(body: &Body, out: &mut Vec<u8>) {
    header("Content-Type", &format!("{}; charset=utf-8", token(&body.content_type)), out);
    header("Content-Transfer-Encoding", "quoted-printable", out);
    out.extend_from_slice(b"\r\n");
    quoted_printable(&body.text, out);
}

/// RFC 2231 where a name is not ASCII.
fn parameter(name: &str, value: &str) -> String {
    let value = one_line(value).replace(['"', '\\'], "_");
    if value.is_ascii() {
        return format!("{name}=\"{value}\"");
    }
    let mut text = format!("{name}*=utf-8''");
    for byte in value.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn attachment(file: &Attachment, out: &mut Vec<u8>) {
    let kind = token(&file.content_type);
    header("Content-Type", &format!("{kind}; {}", parameter("name", &file.filename)), out);
    let how = if file.is_inline { "inline" } else { "attachment" };
    header(
        "Content-Disposition",
        &format!("{how}; {}", parameter("filename", &file.filename)),
        out,
    );
    if let Some(id) = &file.content_id {
        header("Content-ID", &format!("<{}>", token(id).replace(['<', '>'], "")), out);
    }
    header("Content-Transfer-Encoding", "base64", out);
    out.extend_from_slice(b"\r\n");
    base64_lines(&file.bytes, out);
}

/// Parts between boundaries.
fn multipart<T>(
    kind: &str,
    boundary: &str,
    parts: &[T],
    write: impl Fn(&T, &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    header("Content-Type", &format!("multipart/{kind}; boundary=\"{boundary}\""), out);
    out.extend_from_slice(b"\r\n");
    for part in parts {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        write(part, out);
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
}

/// A node of the tree of parts.
enum Node<'a> {
    Bodies(&'a [Body]),
    Related(&'a [Body], Vec<&'a Attachment>),
    File(&'a Attachment),
}

impl Message {
    /// The message on the wire, lines ending in CRLF.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        for (name, value) in &self.headers {
            header(name, value, &mut out);
        }
        header("MIME-Version", "1.0", &mut out);
        let (inline, rest): (Vec<_>, Vec<_>) =
            self.attachments.iter().partition(|file| file.is_inline);
        let text = match inline.is_empty() {
            true => Node::Bodies(&self.bodies),
            false => Node::Related(&self.bodies, inline),
        };
        if rest.is_empty() {
            self.node(&text, &mut out);
        } else {
            let mut parts = vec![text];
            parts.extend(rest.into_iter().map(Node::File));
            let boundary = format!("{}-m", self.boundary);
            multipart("mixed", &boundary, &parts, |node, out| self.node(node, out), &mut out);
        }
        out
    }

    fn node(&self, node: &Node<'_>, out: &mut Vec<u8>) {
        match node {
            Node::File(file) => attachment(file, out),
            Node::Bodies([one]) => body(one, out),
            Node::Bodies(all) => {
                multipart("alternative", &format!("{}-a", self.boundary), all, body, out);
            }
            Node::Related(bodies, files) => {
                let mut parts = vec![Node::Bodies(bodies)];
                parts.extend(files.iter().map(|file| Node::File(file)));
                let boundary = format!("{}-r", self.boundary);
                multipart("related", &boundary, &parts, |node, out| self.node(node, out), out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let body = |kind: &str, text: &str| Body { content_type: kind.into(), text: text.into() };
        Message {
            headers: vec![("Subject".into(), "Grüße\r\nBcc: x@evil.example".into())],
            bodies: vec![body("text/plain", "Grüße = fine \n.\n"), body("text/html", "<p>hi</p>")],
            attachments: vec![
                Attachment {
                    filename: "ü.txt".into(),
                    content_type: "text/plain\r\nX-Bad: 1".into(),
                    bytes: b"file".to_vec(),
                    is_inline: false,
                    content_id: None,
                },
                Attachment {
                    filename: "p.png".into(),
                    content_type: "image/png".into(),
                    bytes: vec![1, 2, 3],
                    is_inline: true,
                    content_id: Some("pic".into()),
                },
            ],
            boundary: "b0".into(),
        }
    }

    #[test]
    fn a_message_reads_as_it_was_composed_and_nothing_becomes_a_header() {
        let bytes = message().bytes();
        let text = String::from_utf8(bytes.clone()).unwrap();
        assert!(!text.contains("\r\nBcc:") && !text.contains("\r\nX-Bad:"), "{text}");
        let read = crate::read(&bytes).unwrap();
        assert_eq!(read.subject, "Grüße  Bcc: x@evil.example");
        assert_eq!(read.text.as_deref(), Some("Grüße = fine \r\n.\r\n"));
        assert_eq!(read.html.as_deref().map(str::trim), Some("<p>hi</p>"));
        let names: Vec<_> = read.parts.iter().map(|part| part.filename.as_str()).collect();
        assert_eq!(names, ["p.png", "ü.txt"]);
        assert_eq!(read.parts[1].bytes, b"file");
        assert_eq!(read.parts[0].content_id.as_deref(), Some("pic"));
    }

    #[test]
    fn names_are_quoted_or_encoded() {
        let of = |name: &str| Mailbox { name: name.into(), email: "a@b.c".into() }.header();
        assert_eq!(of(""), "a@b.c");
        assert_eq!(of("A \"B\""), "\"A \\\"B\\\"\" <a@b.c>");
        assert_eq!(of("x\r\ny"), "\"x  y\" <a@b.c>");
        assert!(of("Jürgen").starts_with("=?utf-8?B?"));
    }
}
