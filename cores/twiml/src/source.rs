//! From the bytes of a response to the text of a document: size, content type, character set.

use std::borrow::Cow;

use crate::diagnostic::Fatal;

/// The largest response that is read, in bytes. One more is Twilio error 11750.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// A response, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// Nothing but white space, whatever its content type.
    Empty,
    /// `text/plain`: words, not markup.
    Plain(Cow<'a, str>),
    Xml(Cow<'a, str>),
}

impl<'a> Source<'a> {
    /// `content_type` is the header as received. Without one, a body that begins with `<` is taken
    /// for XML.
    pub fn read(body: &'a [u8], content_type: Option<&str>) -> Result<Self, Fatal> {
        if body.len() > BODY_BYTES_MAX {
            return Err(Fatal::whole(11750, "the document is larger than 64 kB; answer with less"));
        }
        if body.trim_ascii().is_empty() {
            return Ok(Self::Empty);
        }
        let (kind, charset) = split(content_type.unwrap_or_default());
        let text = decode(body, charset)?;
        if text.trim().is_empty() {
            return Ok(Self::Empty);
        }
        match kind.to_ascii_lowercase().as_str() {
            "text/xml" | "application/xml" | "text/html" => Ok(Self::Xml(text)),
            "text/plain" => Ok(Self::Plain(text)),
            "" if text.trim_start().starts_with('<') => Ok(Self::Xml(text)),
            "" => Err(Fatal::whole(
                12300,
                "there is no Content-Type and this is not XML; send Content-Type: text/xml",
            )),
            _ => Err(Fatal::whole(
                12300,
                &format!("{kind} is not a content type of TwiML; send Content-Type: text/xml"),
            )),
        }
    }
}

/// A Content-Type header as media type and charset.
fn split(content_type: &str) -> (&str, Option<&str>) {
    let mut parts = content_type.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let charset = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']))
    });
    (kind, charset)
}

#[derive(Clone, Copy)]
enum Charset {
    Utf8,
    Utf16Be,
    Utf16Le,
    Windows1252,
}

/// Decodes by byte order mark, else by the header, else by the XML declaration, else as UTF-8.
///
/// Differs: the character sets known are UTF-8, UTF-16, windows-1252 and what browsers read as
/// windows-1252 (ISO-8859-1, US-ASCII); others are 12100.
fn decode<'a>(body: &'a [u8], header: Option<&str>) -> Result<Cow<'a, str>, Fatal> {
    let (charset, bytes) = match body {
        [0xEF, 0xBB, 0xBF, rest @ ..] => (Charset::Utf8, rest),
        [0xFE, 0xFF, rest @ ..] => (Charset::Utf16Be, rest),
        [0xFF, 0xFE, rest @ ..] => (Charset::Utf16Le, rest),
        _ => (declared_charset(body, header)?, body),
    };
    let text = match charset {
        Charset::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Charset::Utf16Be => utf16(bytes, u16::from_be_bytes),
        Charset::Utf16Le => utf16(bytes, u16::from_le_bytes),
        Charset::Windows1252 => Some(bytes.iter().map(|byte| windows_1252(*byte)).collect()),
    };
    text.ok_or_else(|| {
        Fatal::whole(12100, "the bytes do not fit the character set; send UTF-8 and say so")
    })
}

fn declared_charset(body: &[u8], header: Option<&str>) -> Result<Charset, Fatal> {
    let unknown = |label: &str| {
        Fatal::whole(12100, &format!("the character set {label} is not known; send UTF-8"))
    };
    if let Some(label) = header {
        return charset(label).ok_or_else(|| unknown(label));
    }
    let end = body.windows(2).position(|pair| pair == b"?>").unwrap_or(0);
    let declaration = std::str::from_utf8(&body[..end]).unwrap_or_default();
    match declared(declaration, "encoding") {
        // A declaration that can be read as ASCII is not in UTF-16, though .NET writes so.
        Some(label) => match charset(label).ok_or_else(|| unknown(label))? {
            Charset::Utf16Be | Charset::Utf16Le => Ok(Charset::Utf8),
            charset => Ok(charset),
        },
        None => Ok(Charset::Utf8),
    }
}

/// The value of `name` in an XML declaration at the beginning of `text`.
pub(crate) fn declared<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let declaration = text.strip_prefix("<?xml ")?;
    let declaration = declaration.split_once("?>").map_or(declaration, |(inside, _)| inside);
    let (_, rest) = declaration.split_once(name)?;
    let value = rest.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value[1..].split_once(quote).map(|(value, _)| value)
}

fn charset(label: &str) -> Option<Charset> {
    Some(match label.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" => Charset::Utf8,
        "utf-16" | "utf-16be" => Charset::Utf16Be,
        "utf-16le" => Charset::Utf16Le,
        "iso-8859-1" | "latin1" | "us-ascii" | "ascii" | "windows-1252" => Charset::Windows1252,
        _ => return None,
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Cow<'_, str>> {
    let pairs = bytes.chunks(2).map(|pair| pair.try_into().map(unit));
    let units: Vec<u16> = pairs.collect::<Result<_, _>>().ok()?;
    String::from_utf16(&units).ok().map(Cow::Owned)
}

fn windows_1252(byte: u8) -> char {
    #[rustfmt::skip]
    const C1: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡',
        'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—',
        '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
    ];
    match byte {
        0x80..=0x9F => C1[usize::from(byte - 0x80)],
        _ => char::from(byte),
    }
}

#[cfg(test)]
mod tests {
    //! Goal: bytes become the text that was meant. Method: a table of headers and bodies.
    use super::*;

    fn xml(text: &str) -> Result<Source<'_>, u32> {
        Ok(Source::Xml(text.into()))
    }

    fn check(body: &[u8], content_type: Option<&str>, expected: Result<Source<'_>, u32>) {
        let found = Source::read(body, content_type).map_err(|fatal| fatal.code());
        assert_eq!(found, expected, "{content_type:?} {:?}", String::from_utf8_lossy(body));
    }

    #[test]
    fn content_types() {
        for kind in ["text/xml", "application/xml", "text/html", "Text/XML ; charset=\"UTF-8\""] {
            check(b"<a/>", Some(kind), xml("<a/>"));
        }
        check(b"hi", Some("text/plain; charset=utf-8"), Ok(Source::Plain("hi".into())));
        for kind in ["application/json", "audio/wav", "xml", "text/xml+x"] {
            check(b"<a/>", Some(kind), Err(12300));
        }
        check(b" <a/>", None, xml(" <a/>"));
        check(b"<a/>", Some(""), xml("<a/>"));
        check(b"{}", None, Err(12300));
    }

    #[test]
    fn nothing_is_empty_whatever_it_claims_to_be() {
        for body in [&b""[..], b" \r\n", b"\xEF\xBB\xBF", b"\xFE\xFF\x00 "] {
            for kind in [None, Some("text/xml"), Some("application/json")] {
                check(body, kind, Ok(Source::Empty));
            }
        }
    }

    #[test]
    fn character_sets() {
        let e_acute = xml("<é/>");
        check(b"\xEF\xBB\xBF<\xC3\xA9/>", None, e_acute);
        check(b"\xFF\xFE<\0\xE9\0/\0>\0", None, xml("<é/>"));
        check(b"\xFE\xFF\0<\0\xE9\0/\0>", Some("text/xml"), xml("<é/>"));
        check(b"<\xE9\x80/>", Some("text/xml;charset=ISO-8859-1"), xml("<é€/>"));
        let latin = b"<?xml version='1.0' encoding = 'latin1'?><\xE9/>";
        check(latin, None, xml("<?xml version='1.0' encoding = 'latin1'?><é/>"));
        let dotnet = "<?xml version=\"1.0\" encoding=\"utf-16\"?><é/>";
        check(dotnet.as_bytes(), Some("text/xml"), xml(dotnet));
        check(b"<\xE9/>", Some("text/xml"), Err(12100));
        check(b"<a/>", Some("text/xml; charset=klingon"), Err(12100));
        check(b"\xFF\xFE<\0a", Some("text/xml"), Err(12100));
    }

    #[test]
    fn the_largest_body_is_64_kb() {
        let body = [b'x'; BODY_BYTES_MAX + 1];
        check(&body, Some("text/plain"), Err(11750));
        let found = Source::read(&body[1..], Some("text/plain"));
        assert!(matches!(found, Ok(Source::Plain(text)) if text.len() == BODY_BYTES_MAX));
    }
}
