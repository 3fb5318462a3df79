//! Text, outputs and tags of a template, and the words of the latter.

use crate::Fault;

/// A piece of the template's text with the line it begins in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece<'a> {
    Text(&'a str),
    Output(&'a str, usize),
    Tag(&'a str, usize),
}

/// A word of an output or tag.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Word {
    Name(String),
    Text(String),
    Number(serde_json::Number),
    /// `|`, `:`, `,`, `.`, `..`, brackets, comparisons.
    Sign(&'static str),
}

const SIGNS: [&str; 17] =
    ["..", "==", "!=", "<>", "<=", ">=", "<", ">", "|", ":", ",", ".", "[", "]", "(", ")", "="];

/// The pieces in their order. Within `raw` and `comment` nothing is one.
pub(crate) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, Fault> {
    let mut pieces = Vec::new();
    let (mut rest, mut line) = (text, 1);
    while let Some(begin) = rest.find("{{").into_iter().chain(rest.find("{%")).min() {
        let (mut before, opened) = rest.split_at(begin);
        line += before.matches('\n').count();
        let (open, close) = if opened.starts_with("{{") { ("{{", "}}") } else { ("{%", "%}") };
        let end = opened
            .find(close)
            .ok_or_else(|| Fault { line, why: format!("{open} has no {close}") })?;
        let mut inside = &opened[2..end];
        if let Some(trimmed) = inside.strip_prefix('-') {
            (inside, before) = (trimmed, before.trim_end());
        }
        rest = &opened[end + 2..];
        let begun = line;
        line += opened[..end + 2].matches('\n').count();
        if let Some(trimmed) = inside.strip_suffix('-') {
            inside = trimmed;
            line += rest
                .len()
                .checked_sub(rest.trim_start().len())
                .map_or(0, |blank| rest[..blank].matches('\n').count());
            rest = rest.trim_start();
        }
        if !before.is_empty() {
            pieces.push(Piece::Text(before));
        }
        let inside = inside.trim();
        match (open, inside) {
            ("{{", _) => pieces.push(Piece::Output(inside, begun)),
            (_, "raw" | "comment") => {
                let (body, behind) = block(rest, inside)
                    .ok_or_else(|| Fault { line: begun, why: format!("end{inside} is missing") })?;
                if inside == "raw" {
                    pieces.push(Piece::Text(body));
                }
                line += rest[..rest.len() - behind.len()].matches('\n').count();
                rest = behind;
            }
            _ => pieces.push(Piece::Tag(inside, begun)),
        }
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}

/// What is before the end of a block, and what is behind it.
fn block<'a>(rest: &'a str, name: &str) -> Option<(&'a str, &'a str)> {
    let mut from = 0;
    while let Some(at) = rest[from..].find("{%").map(|at| from + at) {
        let end = at + 2 + rest[at + 2..].find("%}")?;
        let inside = rest[at + 2..end].trim_matches('-').trim();
        if inside.strip_prefix("end") == Some(name) {
            return Some((&rest[..at], &rest[end + 2..]));
        }
        from = at + 2;
    }
    None
}

/// The words of an output or tag.
pub(crate) fn words(text: &str, line: usize) -> Result<Vec<Word>, Fault> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' | '\'' => {
                let body = &rest[1..];
                let end = body
                    .find(first)
                    .ok_or_else(|| Fault { line, why: "a quote is not closed".into() })?;
                words.push(Word::Text(body[..end].to_owned()));
                end + 2
            }
            '0'..='9' | '-' if is_number(rest) => {
                let length = number_length(rest);
                let number: serde_json::Number = rest[..length].parse().map_err(|_| Fault {
                    line,
                    why: format!("{} is no number", &rest[..length]),
                })?;
                words.push(Word::Number(number));
                length
            }
            c if c.is_alphabetic() || c == '_' => {
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-' || c == '?'))
                    .unwrap_or(rest.len());
                words.push(Word::Name(rest[..end].to_owned()));
                end
            }
            _ => {
                let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                let sign = sign
                    .ok_or_else(|| Fault { line, why: format!("{first:?} has no meaning here") })?;
                words.push(Word::Sign(sign));
                sign.len()
            }
        };
        rest = rest[length..].trim_start();
    }
    Ok(words)
}

fn is_number(rest: &str) -> bool {
    rest.strip_prefix('-').unwrap_or(rest).starts_with(|c: char| c.is_ascii_digit())
}

/// Digits with at most one dot among them; `1..5` is a range.
fn number_length(rest: &str) -> usize {
    let digits = |from: usize| {
        rest[from..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |at| from + at)
    };
    let whole = digits(usize::from(rest.starts_with('-')));
    let fraction = rest[whole..]
        .strip_prefix('.')
        .is_some_and(|behind| behind.starts_with(|c: char| c.is_ascii_digit()));
    if fraction { digits(whole + 1) } else { whole }
}
