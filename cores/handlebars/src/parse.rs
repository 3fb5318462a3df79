//! From text to nodes.

/// Blocks within blocks.
const DEPTH_MAX: usize = 50;

/// Why text is no template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError(pub String);

impl std::fmt::Display for TemplateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

/// A template, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub(crate) nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Text(String),
    /// A value or inline helper; escaped or not.
    Show {
        call: Call,
        escaped: bool,
    },
    /// Conditions with what they show, tried in turn, and what is shown when none holds.
    Choice {
        branches: Vec<(Call, Vec<Node>)>,
        otherwise: Vec<Node>,
    },
    Each {
        list: Expr,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        value: Expr,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// A helper, empty for a plain value, and what it is given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub helper: String,
    pub args: Vec<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Text(String),
    Number(f64),
    Bool(bool),
    Null,
    /// `..` steps up, whether it begins at the root, and the names.
    Path {
        up: usize,
        root: bool,
        names: Vec<String>,
    },
    /// `@index` and the like.
    Loop(String),
    Length(Box<Expr>),
}

/// Blocks that show their body when a condition holds, and how many values they compare.
const CONDITIONS: [(&str, usize); 8] = [
    ("if", 1),
    ("unless", 1),
    ("greaterThan", 2),
    ("lessThan", 2),
    ("equals", 2),
    ("notEquals", 2),
    ("and", 2),
    ("or", 2),
];

enum Tag<'a> {
    Open(&'a str),
    Else(&'a str),
    Close(&'a str),
    Value(&'a str, bool),
    Comment,
}

struct Parser<'a> {
    rest: &'a str,
}

impl Template {
    /// # Errors
    /// What is wrong, naming the tag.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser { rest: text };
        let (nodes, end) = parser.nodes(0)?;
        match end {
            End::Text => Ok(Self { nodes }),
            End::Else(_) => Err(wrong("{{else}} stands in no block")),
            End::Close(name) => Err(wrong(format!("{{{{/{name}}}}} closes nothing"))),
        }
    }
}

/// What ended a run of nodes.
enum End {
    Text,
    Else(String),
    Close(String),
}

fn wrong(why: impl Into<String>) -> TemplateError {
    TemplateError(why.into())
}

impl<'a> Parser<'a> {
    fn nodes(&mut self, depth: usize) -> Result<(Vec<Node>, End), TemplateError> {
        if depth > DEPTH_MAX {
            return Err(wrong(format!("blocks are nested more than {DEPTH_MAX} deep")));
        }
        let mut nodes = Vec::new();
        loop {
            let Some(at) = self.rest.find("{{") else {
                push_text(&mut nodes, self.rest);
                self.rest = "";
                return Ok((nodes, End::Text));
            };
            let (text, tag) = self.rest.split_at(at);
            if let Some(before) = text.strip_suffix('\\') {
                push_text(&mut nodes, before);
                push_text(&mut nodes, "{{");
                self.rest = &tag[2..];
                continue;
            }
            push_text(&mut nodes, text);
            self.rest = tag;
            match self.tag()? {
                Tag::Comment => {}
                Tag::Value(inside, escaped) => {
                    nodes.push(Node::Show { call: value(inside)?, escaped })
                }
                Tag::Open(inside) => nodes.push(self.block(inside, depth)?),
                Tag::Else(inside) => return Ok((nodes, End::Else(inside.to_owned()))),
                Tag::Close(name) => return Ok((nodes, End::Close(name.to_owned()))),
            }
        }
    }

    /// Takes the tag at the beginning.
    fn tag(&mut self) -> Result<Tag<'a>, TemplateError> {
        let (open, close) = match self.rest {
            rest if rest.starts_with("{{!--") => ("{{!--", "--}}"),
            rest if rest.starts_with("{{{") => ("{{{", "}}}"),
            _ => ("{{", "}}"),
        };
        let inside = &self.rest[open.len()..];
        let shown = || self.rest.chars().take(40).collect::<String>();
        let end = find_outside_quotes(inside, close)
            .ok_or_else(|| wrong(format!("{:?} is not closed", shown())))?;
        let (inside, rest) = inside.split_at(end);
        let inside = inside.trim().trim_matches('~').trim();
        self.rest = &rest[close.len()..];
        Ok(match inside.as_bytes().first() {
            _ if open == "{{!--" => Tag::Comment,
            _ if open == "{{{" => Tag::Value(inside, false),
            Some(b'!') => Tag::Comment,
            Some(b'#') => Tag::Open(inside[1..].trim()),
            Some(b'/') => Tag::Close(inside[1..].trim()),
            Some(b'&') => Tag::Value(inside[1..].trim(), false),
            Some(b'>') => {
                return Err(wrong(format!("partials ({{{{{inside}}}}}) are not supported")));
            }
            _ if inside == "else" || inside == "^" => Tag::Else(""),
            _ => match inside.strip_prefix("else ") {
                Some(condition) => Tag::Else(condition.trim()),
                None => Tag::Value(inside, true),
            },
        })
    }

    fn block(&mut self, inside: &str, depth: usize) -> Result<Node, TemplateError> {
        let mut words = words(inside)?;
        if words.is_empty() {
            return Err(wrong("{{#}} names no helper"));
        }
        let name = words.remove(0);
        if name == "each" || name == "with" {
            let mut args = expressions(&words)?;
            let (1, Some(arg)) = (args.len(), args.pop()) else {
                return Err(wrong(format!("#{name} takes one value")));
            };
            let (body, otherwise) = self.two_bodies(&name, depth)?;
            return Ok(match name.as_str() {
                "each" => Node::Each { list: arg, body, otherwise },
                _ => Node::With { value: arg, body, otherwise },
            });
        }
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        let mut condition = Some(condition(&name, &words)?);
        loop {
            let (nodes, end) = self.nodes(depth + 1)?;
            match condition.take() {
                Some(condition) => branches.push((condition, nodes)),
                None => otherwise = nodes,
            }
            match end {
                End::Else(next) if next.is_empty() => {}
                End::Else(next) => condition = Some(else_condition(&next)?),
                End::Close(closed) if closed == name => {
                    return Ok(Node::Choice { branches, otherwise });
                }
                End::Close(closed) => {
                    return Err(wrong(format!("{{{{#{name}}}}} is closed by {{{{/{closed}}}}}")));
                }
                End::Text => return Err(wrong(format!("{{{{#{name}}}}} is not closed"))),
            }
        }
    }

    fn two_bodies(
        &mut self,
        name: &str,
        depth: usize,
    ) -> Result<(Vec<Node>, Vec<Node>), TemplateError> {
        let (body, mut end) = self.nodes(depth + 1)?;
        let mut otherwise = Vec::new();
        if matches!(&end, End::Else(next) if next.is_empty()) {
            (otherwise, end) = self.nodes(depth + 1)?;
        }
        match end {
            End::Close(closed) if closed == name => Ok((body, otherwise)),
            _ => Err(wrong(format!("{{{{#{name}}}}} is not closed"))),
        }
    }
}

fn push_text(nodes: &mut Vec<Node>, text: &str) {
    if !text.is_empty() {
        nodes.push(Node::Text(text.to_owned()));
    }
}

fn find_outside_quotes(text: &str, what: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (None, _) if text[at..].starts_with(what) => return Some(at),
            (None, '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            _ => {}
        }
    }
    // A quotation mark of the text around it, not of a tag.
    text.find(what)
}

/// `else if x`, `else equals a b`.
fn else_condition(text: &str) -> Result<Call, TemplateError> {
    let mut words = words(text)?;
    let name = words.remove(0);
    condition(&name, &words)
}

fn condition(name: &str, words: &[String]) -> Result<Call, TemplateError> {
    let Some((_, count)) = CONDITIONS.iter().find(|(known, _)| *known == name) else {
        return Err(wrong(format!("there is no helper #{name}")));
    };
    let args = expressions(words)?;
    if args.len() != *count {
        return Err(wrong(format!("#{name} takes {count} value(s), and is given {}", args.len())));
    }
    Ok(Call { helper: name.to_owned(), args })
}

/// `name`, `insert name "default=x"`, `formatDate at "YYYY"`, `length list`.
fn value(text: &str) -> Result<Call, TemplateError> {
    let all = words(text)?;
    let Some(first) = all.first() else { return Err(wrong("{{}} names nothing")) };
    let helper = match (first.as_str(), all.len()) {
        ("insert" | "formatDate", 2..) => first.as_str(),
        _ => "",
    };
    let args = expressions(&all[usize::from(!helper.is_empty())..])?;
    let fits = match helper {
        "insert" => args.len() <= 2,
        "formatDate" => (2..=3).contains(&args.len()),
        _ => args.len() == 1,
    };
    match fits {
        true => Ok(Call { helper: helper.to_owned(), args }),
        false => Err(wrong(format!(
            "{{{{{text}}}}} calls a helper that there is not, or with too many values"
        ))),
    }
}

/// Splits at spaces; quoted text and what is in parentheses stay whole.
fn words(text: &str) -> Result<Vec<String>, TemplateError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut quote, mut depth) = (None, 0usize);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) => {
                if open == c {
                    quote = None;
                }
                word.push(c);
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                word.push(c);
            }
            (None, '(') => {
                depth += 1;
                word.push(c);
            }
            (None, ')') => {
                depth = depth
                    .checked_sub(1)
                    .ok_or_else(|| wrong(format!("{text:?} has a ) without (")))?;
                word.push(c);
            }
            (None, c) if c.is_whitespace() && depth == 0 => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            (None, c) => word.push(c),
        }
    }
    if quote.is_some() || depth > 0 {
        return Err(wrong(format!("{text:?} has a quotation or parenthesis that is not closed")));
    }
    if !word.is_empty() {
        words.push(word);
    }
    Ok(words)
}

/// Values; `length x` is one even without parentheses, as SendGrid's own examples write it.
fn expressions(words: &[String]) -> Result<Vec<Expr>, TemplateError> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < words.len() {
        if words[at] == "length" && at + 1 < words.len() {
            all.push(Expr::Length(Box::new(expression(&words[at + 1])?)));
            at += 2;
            continue;
        }
        all.push(expression(&words[at])?);
        at += 1;
    }
    Ok(all)
}

fn expression(word: &str) -> Result<Expr, TemplateError> {
    if let Some(inside) = word.strip_prefix('(').and_then(|word| word.strip_suffix(')')) {
        let inner = words(inside)?;
        let mut all = expressions(&inner)?;
        return match (all.len(), all.pop()) {
            (1, Some(one)) => Ok(one),
            _ => Err(wrong(format!(
                "{word} is not supported: within parentheses there is only length"
            ))),
        };
    }
    for quote in ['"', '\''] {
        if let Some(text) = word.strip_prefix(quote).and_then(|word| word.strip_suffix(quote)) {
            return Ok(Expr::Text(text.to_owned()));
        }
    }
    if let Ok(number) = word.parse::<f64>()
        && word.starts_with(|c: char| c.is_ascii_digit() || c == '-')
    {
        return Ok(Expr::Number(number));
    }
    match word {
        "true" => return Ok(Expr::Bool(true)),
        "false" => return Ok(Expr::Bool(false)),
        "null" | "undefined" => return Ok(Expr::Null),
        "." | "this" => return Ok(Expr::Path { up: 0, root: false, names: Vec::new() }),
        _ => {}
    }
    if let Some(name) = word.strip_prefix('@')
        && !name.starts_with("root")
    {
        return Ok(Expr::Loop(name.to_owned()));
    }
    let mut rest = word;
    let mut up = 0;
    while let Some(next) = rest.strip_prefix("../") {
        (up, rest) = (up + 1, next);
    }
    if rest == ".." {
        return Ok(Expr::Path { up: up + 1, root: false, names: Vec::new() });
    }
    let root = rest == "@root" || rest.starts_with("@root.");
    let rest = rest.strip_prefix("@root").unwrap_or(rest).trim_start_matches('.');
    let rest = rest.strip_prefix("this.").or_else(|| rest.strip_prefix("this/")).unwrap_or(rest);
    let names: Vec<String> = rest
        .split(['.', '/'])
        .filter(|name| !name.is_empty())
        .map(|name| name.trim_matches(['[', ']']).to_owned())
        .collect();
    match names.is_empty() && !root {
        true => Err(wrong(format!("{word:?} names no value"))),
        false => Ok(Expr::Path { up, root, names }),
    }
}
