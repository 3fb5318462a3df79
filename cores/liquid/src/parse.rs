//! From pieces to nodes.

use serde_json::Value;

use crate::lex::{Piece, Word, pieces, words};
use crate::{Comparison, Condition, Expr, Fault, Loop, Node, Over, Step, Term, filter};

const DEPTH_MAX: usize = 64;

/// The nodes of a whole template.
pub(crate) fn template(text: &str) -> Result<Vec<Node>, Fault> {
    let pieces = pieces(text)?;
    let mut parser = Parser { pieces: &pieces, at: 0, depth: 0 };
    let (nodes, end) = parser.nodes(&[])?;
    match end {
        None => Ok(nodes),
        Some(end) => Err(end.fault(format!("{} has no beginning", end.name))),
    }
}

struct Parser<'a> {
    pieces: &'a [Piece<'a>],
    at: usize,
    depth: usize,
}

/// A tag: its name and its words.
struct Tag {
    name: String,
    words: Vec<Word>,
    line: usize,
}

impl Tag {
    fn fault(&self, why: impl Into<String>) -> Fault {
        Fault { line: self.line, why: why.into() }
    }

    fn words(&self) -> Words<'_> {
        Words { words: &self.words, at: 0, line: self.line }
    }
}

impl Parser<'_> {
    /// Nodes until a tag of `ends`, which is returned.
    fn nodes(&mut self, ends: &[&str]) -> Result<(Vec<Node>, Option<Tag>), Fault> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.get(self.at) {
            self.at += 1;
            match piece {
                Piece::Text(text) => nodes.push(Node::Text((*text).to_owned())),
                Piece::Output(inside, line) => {
                    let words = words(inside, *line)?;
                    let mut words = Words { words: &words, at: 0, line: *line };
                    nodes.push(Node::Output(words.expr()?));
                    words.end()?;
                }
                Piece::Tag(inside, line) => {
                    let mut words = words(inside, *line)?;
                    let name = match words.first() {
                        Some(Word::Name(name)) => name.clone(),
                        _ => return Err(Fault { line: *line, why: "a tag has no name".into() }),
                    };
                    words.remove(0);
                    let tag = Tag { name, words, line: *line };
                    if ends.contains(&tag.name.as_str()) || tag.name.starts_with("end") {
                        return Ok((nodes, Some(tag)));
                    }
                    nodes.push(self.tag(&tag)?);
                }
            }
        }
        Ok((nodes, None))
    }

    fn tag(&mut self, tag: &Tag) -> Result<Node, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(tag.fault(format!("blocks are nested more than {DEPTH_MAX} deep")));
        }
        self.depth += 1;
        let mut words = tag.words();
        let node = match tag.name.as_str() {
            "if" => self.branches(tag, "endif", false)?,
            "unless" => self.branches(tag, "endunless", true)?,
            "case" => self.case(tag)?,
            "for" => self.each(tag)?,
            "assign" => {
                let name = words.name("a name")?;
                words.sign("=")?;
                let expr = words.expr()?;
                words.end()?;
                Node::Assign(name, expr)
            }
            "break" => Node::Break,
            "continue" => Node::Continue,
            "else" | "elsif" | "when" => {
                return Err(tag.fault(format!("{} has no beginning", tag.name)));
            }
            other => return Err(tag.fault(format!("there is no tag {other}"))),
        };
        self.depth -= 1;
        Ok(node)
    }

    /// The nodes up to a tag of `ends` or to the end of the block, which must be there.
    fn until(&mut self, tag: &Tag, ends: &[&str], end: &str) -> Result<(Vec<Node>, Tag), Fault> {
        match self.nodes(ends)? {
            (nodes, Some(found)) if found.name == end || !found.name.starts_with("end") => {
                Ok((nodes, found))
            }
            (_, Some(found)) => {
                Err(found.fault(format!("{} stands where {end} should", found.name)))
            }
            (_, None) => Err(tag.fault(format!("{} has no {end}", tag.name))),
        }
    }

    fn branches(&mut self, tag: &Tag, end: &str, is_unless: bool) -> Result<Node, Fault> {
        let mut words = tag.words();
        let first = words.condition()?;
        words.end()?;
        let (body, mut next) = self.until(tag, &["elsif", "else"], end)?;
        let mut branches = match is_unless {
            true => vec![(Some(first), Vec::new()), (None, body)],
            false => vec![(Some(first), body)],
        };
        while next.name != end {
            let condition = match next.name.as_str() {
                "else" => None,
                _ => Some(next.words().condition()?),
            };
            let (body, behind) = self.until(tag, &["elsif", "else"], end)?;
            // Of `unless`, the body of the first branch is what `else` says.
            match (is_unless, &condition) {
                (true, None) => branches[0].1 = body,
                (true, Some(_)) => return Err(next.fault("unless has no elsif")),
                (false, _) => branches.push((condition, body)),
            }
            next = behind;
        }
        Ok(Node::If(branches))
    }

    fn case(&mut self, tag: &Tag) -> Result<Node, Fault> {
        let value = tag.words().term()?;
        let (_, mut next) = self.until(tag, &["when", "else"], "endcase")?;
        let mut branches = Vec::new();
        while next.name != "endcase" {
            let mut values = Vec::new();
            if next.name == "when" {
                let mut words = next.words();
                values.push(words.term()?);
                while words.takes(",") || words.takes_name("or") {
                    values.push(words.term()?);
                }
                words.end()?;
            }
            let (body, behind) = self.until(tag, &["when", "else"], "endcase")?;
            branches.push((values, body));
            next = behind;
        }
        Ok(Node::Case(value, branches))
    }

    fn each(&mut self, tag: &Tag) -> Result<Node, Fault> {
        let mut words = tag.words();
        let name = words.name("a name")?;
        if !words.takes_name("in") {
            return Err(tag.fault("for NAME in VALUES is expected"));
        }
        let over = if words.takes("(") {
            let from = words.term()?;
            words.sign("..")?;
            let to = words.term()?;
            words.sign(")")?;
            Over::Range(from, to)
        } else {
            Over::Values(words.term()?)
        };
        let (mut limit, mut offset, mut is_reversed) = (None, None, false);
        while let Some(Word::Name(word)) = words.peek() {
            let word = word.clone();
            words.at += 1;
            match word.as_str() {
                "reversed" => is_reversed = true,
                "limit" | "offset" => {
                    words.sign(":")?;
                    let value = Some(words.term()?);
                    if word == "limit" { limit = value } else { offset = value }
                }
                other => return Err(tag.fault(format!("for has no {other}"))),
            }
        }
        words.end()?;
        let (body, mut next) = self.until(tag, &["else"], "endfor")?;
        let mut otherwise = Vec::new();
        if next.name == "else" {
            (otherwise, next) = self.until(tag, &[], "endfor")?;
        }
        debug_assert_eq!(next.name, "endfor");
        Ok(Node::For(Box::new(Loop { name, over, limit, offset, is_reversed, body, otherwise })))
    }
}

struct Words<'a> {
    words: &'a [Word],
    at: usize,
    line: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    fn fault(&self, wanted: &str) -> Fault {
        let found = match self.peek() {
            None => "the end".to_owned(),
            Some(word) => format!("{word:?}"),
        };
        Fault { line: self.line, why: format!("{wanted} is expected, not {found}") }
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is_there = matches!(self.peek(), Some(Word::Sign(found)) if *found == sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn takes_name(&mut self, name: &str) -> bool {
        let is_there = matches!(self.peek(), Some(Word::Name(found)) if found == name);
        self.at += usize::from(is_there);
        is_there
    }

    fn sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.takes(sign) { Ok(()) } else { Err(self.fault(sign)) }
    }

    fn name(&mut self, wanted: &str) -> Result<String, Fault> {
        match self.peek() {
            Some(Word::Name(name)) => {
                self.at += 1;
                Ok(name.clone())
            }
            _ => Err(self.fault(wanted)),
        }
    }

    fn end(&self) -> Result<(), Fault> {
        if self.peek().is_none() { Ok(()) } else { Err(self.fault("the end")) }
    }

    fn term(&mut self) -> Result<Term, Fault> {
        let Some(word) = self.peek() else { return Err(self.fault("a value")) };
        self.at += 1;
        let name = match word {
            Word::Text(text) => return Ok(Term::Literal(Value::String(text.clone()))),
            Word::Number(number) => return Ok(Term::Literal(Value::Number(number.clone()))),
            Word::Sign(_) => {
                self.at -= 1;
                return Err(self.fault("a value"));
            }
            Word::Name(name) => match name.as_str() {
                "true" => return Ok(Term::Literal(Value::Bool(true))),
                "false" => return Ok(Term::Literal(Value::Bool(false))),
                "nil" | "null" => return Ok(Term::Literal(Value::Null)),
                "blank" | "empty" if !matches!(self.peek(), Some(Word::Sign("." | "["))) => {
                    return Ok(Term::Literal(Value::String(String::new())));
                }
                _ => name.clone(),
            },
        };
        let mut steps = Vec::new();
        loop {
            if self.takes(".") {
                steps.push(Step::Member(self.name("a member")?));
            } else if self.takes("[") {
                steps.push(Step::Index(self.term()?));
                self.sign("]")?;
            } else {
                return Ok(Term::Path(name, steps));
            }
        }
    }

    fn expr(&mut self) -> Result<Expr, Fault> {
        let value = self.term()?;
        let mut filters = Vec::new();
        while self.takes("|") {
            let name = self.name("a filter")?;
            let found = filter::by_name(&name).ok_or_else(|| Fault {
                line: self.line,
                why: format!("there is no filter {name}"),
            })?;
            let mut arguments = Vec::new();
            if self.takes(":") {
                arguments.push(self.term()?);
                while self.takes(",") {
                    arguments.push(self.term()?);
                }
            }
            filters.push((found, arguments));
        }
        Ok(Expr { value, filters })
    }

    /// As Liquid reads it: from the right, `and` and `or` alike.
    fn condition(&mut self) -> Result<Condition, Fault> {
        let left = self.term()?;
        let comparison = match self.peek() {
            Some(Word::Sign("==")) => Some(Comparison::Equal),
            Some(Word::Sign("!=" | "<>")) => Some(Comparison::Unequal),
            Some(Word::Sign("<")) => Some(Comparison::Less),
            Some(Word::Sign("<=")) => Some(Comparison::LessOrEqual),
            Some(Word::Sign(">")) => Some(Comparison::More),
            Some(Word::Sign(">=")) => Some(Comparison::MoreOrEqual),
            Some(Word::Name(name)) if name == "contains" => Some(Comparison::Contains),
            _ => None,
        };
        let first = match comparison {
            Some(comparison) => {
                self.at += 1;
                Condition::Compare(left, comparison, self.term()?)
            }
            None => Condition::Is(left),
        };
        if self.takes_name("and") {
            return Ok(Condition::And(Box::new(first), Box::new(self.condition()?)));
        }
        if self.takes_name("or") {
            return Ok(Condition::Or(Box::new(first), Box::new(self.condition()?)));
        }
        Ok(first)
    }
}
