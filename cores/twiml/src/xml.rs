//! From the text of a document to its elements, the same for every kind of TwiML.

use roxmltree::{Document, Error, Node};

use crate::diagnostic::{DIAGNOSTICS_MAX, Diagnostic, Fatal};
use crate::source::declared;

/// Namespace declarations in a document. The parser copies those in scope for every element that
/// adds one, so without a bound 64 kB of them would cost a second.
const NAMESPACES_MAX: usize = 100;

/// Parses `text`. 12100 for what is not XML and for any DTD, 12101 for an XML version other
/// than 1.0.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, Fatal> {
    if text.matches("xmlns").nth(NAMESPACES_MAX).is_some() {
        let message = "the document declares more than 100 namespaces; TwiML needs none";
        return Err(Fatal::whole(12100, message));
    }
    // A DTD is refused by the parser's default, and without one there are no entities to expand.
    let document =
        Document::parse(text).map_err(|error| Fatal::at(12100, error.pos(), &explain(&error)))?;
    match declared(text, "version") {
        None | Some("1.0") => Ok(document),
        Some(version) => Err(Fatal::whole(
            12101,
            &format!("the XML declaration says version {version}; TwiML is XML 1.0"),
        )),
    }
}

fn explain(error: &Error) -> String {
    match error {
        Error::DtdDetected => "a DOCTYPE is not accepted; remove it (HTML is not TwiML)".into(),
        Error::UnexpectedDeclaration(_) => {
            "the XML declaration is not at the very beginning; remove what comes before it".into()
        }
        Error::UnexpectedCloseTag(open, close, _) => {
            format!("</{close}> stands where <{open}> is to be closed; close it first")
        }
        Error::UnclosedRootNode | Error::UnexpectedEndOfStream => {
            "the document ends before its elements are closed; close them all".into()
        }
        Error::NoRootNode => "there is no element; answer with <Response> around the verbs".into(),
        Error::UnknownEntityReference(name, _) => {
            format!("&{name}; is not an entity of XML; write the character itself, & as &amp;")
        }
        Error::MalformedEntityReference(_) => "an & stands alone; write &amp;".into(),
        Error::InvalidAttributeValue(_) => {
            "an attribute value contains a bare <; write &lt;".into()
        }
        Error::DuplicatedAttribute(name, _) => {
            format!("the attribute {name} is given twice; remove one")
        }
        Error::UnknownNamespace(prefix, _) => {
            format!("the prefix {prefix}: is not declared; TwiML names have no prefix, remove it")
        }
        Error::NonXmlChar(character, _) => {
            format!("the character {} is not allowed in XML; remove it", character.escape_unicode())
        }
        Error::UnknownToken(_) => "this is not XML; put text inside a verb in <Response>, or send \
                                   Content-Type: text/plain"
            .into(),
        other => format!("this is not well-formed XML: {other}"),
    }
}

/// Walks a document and gathers what is wrong with it.
pub(crate) struct Reader<'a, 'input> {
    document: &'a Document<'input>,
    root: Node<'a, 'input>,
    pub diagnostics: Vec<Diagnostic>,
}

impl<'a, 'input> Reader<'a, 'input> {
    pub fn new(document: &'a Document<'input>) -> Self {
        Self { document, root: document.root_element(), diagnostics: Vec::new() }
    }

    /// The root. 12102 unless it is `<Response>`, 12101 if it names a version other than 1.0.
    pub fn response(&mut self) -> Result<Node<'a, 'input>, Fatal> {
        let root = self.root;
        let name = root.tag_name().name();
        let at = |byte| self.document.text_pos_at(byte);
        if name != "Response" {
            let message = format!("the root element is <{name}>; it has to be <Response>");
            return Err(Fatal::at(12102, at(root.range().start), &message));
        }
        if let Some(version) = root.attribute_node("version")
            && version.value().trim() != "1.0"
        {
            let message = "<Response> has a version other than 1.0; remove the attribute";
            return Err(Fatal::at(12101, at(version.range().start), message));
        }
        self.only_attributes(root, &["version"]);
        Ok(root)
    }

    /// The name of `node` if TwiML could have it: an element of some other namespace than the
    /// root's has none.
    ///
    /// Differs: a default namespace on `<Response>` is accepted; Twilio does not document it.
    pub fn name(&self, node: Node<'a, 'input>) -> Option<&'input str> {
        let name = node.tag_name();
        (name.namespace() == self.root.tag_name().namespace()).then(|| name.name())
    }

    /// Notes every attribute of `node` that is not in `known`.
    pub fn only_attributes(&mut self, node: Node<'a, 'input>, known: &[&str]) {
        for attribute in node.attributes() {
            let name = attribute.name();
            if attribute.namespace().is_none() && known.contains(&name) {
                continue;
            }
            let element = node.tag_name().name();
            let hint = match known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
                Some(known) => format!("names are case-sensitive: write {known}"),
                None if known.is_empty() => "it has none; remove it".into(),
                None => format!("it has {}", known.join(", ")),
            };
            let message = format!("<{element}> has no attribute {name}; {hint}");
            self.note(12200, attribute.range().start, &message);
        }
    }

    /// The text of an element that holds only text, trimmed; elements inside are noted and left
    /// out.
    pub fn text_only(&mut self, node: Node<'a, 'input>) -> String {
        for child in node.children().filter(Node::is_element) {
            let (outer, inner) = (node.tag_name().name(), child.tag_name().name());
            let message = format!("<{outer}> holds text only; take <{inner}> out of it");
            self.note_at(12200, child, &message);
        }
        own_text(node)
    }

    pub fn note_at(&mut self, code: u32, node: Node<'a, 'input>, message: &str) {
        self.note(code, node.range().start, message);
    }

    /// Notes a diagnostic at a byte of the document.
    pub fn note(&mut self, code: u32, byte: usize, message: &str) {
        if self.diagnostics.len() < DIAGNOSTICS_MAX {
            let at = self.document.text_pos_at(byte);
            self.diagnostics.push(Diagnostic::new(code, at, message));
        }
    }
}

/// The text directly inside `node`, CDATA included, comments and elements left out, trimmed.
pub(crate) fn own_text(node: Node<'_, '_>) -> String {
    let pieces = node.children().filter(Node::is_text).filter_map(|child| child.text());
    pieces.collect::<String>().trim().to_owned()
}
