//! Reading a voice document: the tree that the grammar allows, and a note of everything else.

use roxmltree::Node;
use serde::{Deserialize, Serialize};

use super::grammar::{self, as_flag, split_words};
use crate::diagnostic::{Diagnostic, Fatal};
use crate::method::Method;
use crate::source::Source;
use crate::xml::{self, Reader};

/// An element with the attributes whose values are good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Element>,
    /// Trimmed; of `Say` what is to be spoken, its markup resolved.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl Element {
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.get(name).and_then(as_flag).unwrap_or(default)
    }

    pub fn integer(&self, name: &str) -> Option<u64> {
        self.get(name).and_then(|value| value.trim().parse().ok())
    }

    pub fn method(&self, name: &str) -> Method {
        self.get(name).and_then(Method::parse).unwrap_or_default()
    }

    pub fn words(&self, name: &str) -> Vec<&str> {
        self.get(name).map(|value| split_words(value).collect()).unwrap_or_default()
    }
}

/// A document as it is to be carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// In order.
    pub verbs: Vec<Element>,
    /// In order of discovery.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the answer to a request for a call's document. `text/plain` that is no TwiML is spoken,
/// sound is played, and the call ends then.
///
/// Every element and attribute that the grammar does not know is left out with 12200, every value
/// that is none of its kind with the code of its attribute.
///
/// Differs: an empty answer is a document without verbs, with 11770.
///
/// # Errors
/// [`Fatal`] with 11750, 12100, 12101, 12102 or 12300.
pub fn parse(body: &[u8], content_type: Option<&str>, url: &str) -> Result<Document, Fatal> {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.to_ascii_lowercase().starts_with("audio/") {
        let play = Element { name: "Play".into(), text: url.to_owned(), ..Element::default() };
        return Ok(Document { verbs: vec![play, hangup()], diagnostics: Vec::new() });
    }
    match Source::read(body, content_type)? {
        Source::Empty => {
            let message = "the answer is empty; answer with <Response> and verbs in it";
            let diagnostic = Diagnostic::new(11770, roxmltree::TextPos::new(1, 1), message);
            Ok(Document { verbs: Vec::new(), diagnostics: vec![diagnostic] })
        }
        Source::Plain(text) => Ok(parse_text(&text).unwrap_or_else(|_| spoken(text.trim()))),
        Source::Xml(text) => parse_text(&text),
    }
}

fn hangup() -> Element {
    Element { name: "Hangup".into(), ..Element::default() }
}

fn spoken(text: &str) -> Document {
    let say = Element { name: "Say".into(), text: collapsed(text), ..Element::default() };
    Document { verbs: vec![say, hangup()], diagnostics: Vec::new() }
}

/// Reads TwiML.
///
/// # Errors
/// [`Fatal`] with 12100, 12101 or 12102.
pub fn parse_text(text: &str) -> Result<Document, Fatal> {
    let xml = xml::parse(text)?;
    let mut reader = Reader::new(&xml);
    let response = reader.response()?;
    let verbs = children(&mut reader, response, "Response");
    Ok(Document { verbs, diagnostics: reader.diagnostics })
}

fn children<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    parent: Node<'a, 'input>,
    parent_name: &str,
) -> Vec<Element> {
    let mut found = Vec::new();
    for node in parent.children().filter(Node::is_element) {
        let name = node.tag_name().name();
        let known = match reader.name(node) {
            Some(name) => grammar::lookup(parent_name, name),
            None => None,
        };
        match known {
            Some(grammar) => found.push(element(reader, node, grammar)),
            None => stray(reader, node, parent_name, name),
        }
    }
    found
}

fn stray<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    node: Node<'a, 'input>,
    parent: &str,
    name: &str,
) {
    let known = grammar::ELEMENTS.iter().find(|element| element.name == parent);
    let fitting = known.map(|element| element.children).unwrap_or_default();
    let hint = match fitting.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => format!("names are case-sensitive: write <{known}>"),
        None if fitting.is_empty() => "it holds no elements".to_owned(),
        None => format!("it holds {}", fitting.join(", ")),
    };
    let message = format!("<{name}> has no place in <{parent}>; {hint}");
    reader.note_at(grammar::stray_code(parent), node, &message);
}

fn element<'a, 'input>(
    reader: &mut Reader<'a, 'input>,
    node: Node<'a, 'input>,
    grammar: &'static grammar::Element,
) -> Element {
    let mut element = Element { name: grammar.name.to_owned(), ..Element::default() };
    for attribute in node.attributes() {
        let name = match attribute.namespace() {
            Some(roxmltree::NS_XML_URI) => format!("xml:{}", attribute.name()),
            _ => attribute.name().to_owned(),
        };
        let start = attribute.range().start;
        let Some(known) = grammar.attributes.iter().find(|known| known.name == name) else {
            let same = grammar.attributes.iter().find(|a| a.name.eq_ignore_ascii_case(&name));
            let hint = same.map_or("leave it out".to_owned(), |known| {
                format!("names are case-sensitive: write {}", known.name)
            });
            let message = format!("<{}> has no attribute {name}; {hint}", grammar.name);
            reader.note(12200, start, &message);
            continue;
        };
        let value = attribute.value().trim();
        match known.kind.problem(value) {
            None => element.attributes.push((name, value.to_owned())),
            Some(problem) => {
                let message = format!("the attribute {name} of <{}> {problem}", grammar.name);
                reader.note(known.code, start, &message);
            }
        }
    }
    if grammar.name == "Say" {
        // What is inside is checked, and spoken as text.
        children(reader, node, "Say");
        element.text = collapsed(&speech(node));
        return element;
    }
    element.children = children(reader, node, grammar.name);
    element.text = xml::own_text(node);
    element
}

/// What markup inside `Say` sounds like.
fn speech(node: Node<'_, '_>) -> String {
    let mut out = String::new();
    for child in node.children() {
        if child.is_text() {
            out.push_str(child.text().unwrap_or_default());
            continue;
        }
        if !child.is_element() {
            continue;
        }
        let inner = speech(child);
        match child.tag_name().name() {
            "break" => out.push(' '),
            "sub" => out.push_str(child.attribute("alias").unwrap_or(&inner)),
            "say-as" => match child.attribute("interpret-as") {
                Some("characters" | "spell-out" | "digits" | "telephone") => {
                    let letters: Vec<String> = inner.trim().chars().map(String::from).collect();
                    out.push_str(&letters.join(" "));
                }
                Some("expletive") => out.push_str("(beep)"),
                _ => out.push_str(&inner),
            },
            "p" | "s" => {
                out.push(' ');
                out.push_str(&inner);
                out.push(' ');
            }
            name if grammar::SSML.contains(&name) => out.push_str(&inner),
            _ => {}
        }
    }
    out
}

fn collapsed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(document: &Document) -> Vec<u32> {
        document.diagnostics.iter().map(|found| found.code).collect()
    }

    fn read(inside: &str) -> Document {
        parse_text(&format!("<Response>{inside}</Response>")).unwrap()
    }

    #[test]
    fn what_is_not_in_the_grammar_is_left_out_with_its_code() {
        for (inside, verbs, expected) in [
            ("<!-- a --><Say>x</Say><!-- b -->", 1, vec![]),
            ("<say>x</say><Say>y</Say>", 1, vec![12200]),
            ("<Nonsense/>", 0, vec![12200]),
            ("<Say Loop=\"2\">x</Say>", 1, vec![12200]),
            ("<Say loop=\"-1\">x</Say>", 1, vec![13510]),
            ("<Gather numDigits=\"none\"/>", 1, vec![13314]),
            ("<Gather><Dial>1</Dial></Gather>", 1, vec![13320]),
            ("<Dial timeout=\"x\" record=\"maybe\">1</Dial>", 1, vec![13212, 13217]),
            ("<Dial><Numbr>1</Numbr></Dial>", 1, vec![13215]),
            ("<Start><Say>x</Say></Start>", 1, vec![14300]),
            ("<Reject reason=\"angry\"/>", 1, vec![13810]),
            ("<Message>x</Message>", 0, vec![12200]),
        ] {
            let document = read(inside);
            assert_eq!(document.verbs.len(), verbs, "{inside}");
            assert_eq!(codes(&document), expected, "{inside}");
        }
    }

    #[test]
    fn what_is_said_is_text() {
        for (inside, expected) in [
            ("<Say>  a \n b </Say>", "a b"),
            ("<Say>a<break time=\"1s\"/>b</Say>", "a b"),
            ("<Say><p>One.</p><p>Two.</p></Say>", "One. Two."),
            ("<Say>Code <say-as interpret-as=\"digits\">123</say-as></Say>", "Code 1 2 3"),
            ("<Say><sub alias=\"World Wide Web\">WWW</sub></Say>", "World Wide Web"),
            ("<Say><![CDATA[a & b]]></Say>", "a & b"),
            ("<Say><lang xml:lang=\"de-DE\">Guten Tag</lang></Say>", "Guten Tag"),
        ] {
            let document = read(inside);
            assert_eq!(document.verbs[0].text, expected, "{inside}");
            assert!(codes(&document).is_empty(), "{inside}");
        }
    }

    #[test]
    fn answers_are_read_by_their_type() {
        let names = |body: &str, kind: &str| -> Vec<String> {
            let document = parse(body.as_bytes(), Some(kind), "http://x/a").unwrap();
            document.verbs.into_iter().map(|verb| verb.name).collect()
        };
        assert_eq!(names("Hello", "text/plain"), ["Say", "Hangup"]);
        assert_eq!(names("<Response><Pause/></Response>", "text/plain"), ["Pause"]);
        assert_eq!(names("ID3", "audio/mpeg"), ["Play", "Hangup"]);
        assert_eq!(names("", "text/xml"), [] as [&str; 0]);
        let code = |body: &str, kind| parse(body.as_bytes(), kind, "").unwrap_err().code();
        assert_eq!(code("{}", Some("application/json")), 12300);
        assert_eq!(code("<Respons/>", Some("text/xml")), 12102);
        assert_eq!(code("<Response>", Some("text/xml")), 12100);
    }
}
