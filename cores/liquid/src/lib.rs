//! Liquid templates (sendgrid §15): `{{ name | default: 'there' }}`, conditions, loops.
//!
//! What is unknown is nil: it renders as nothing and is false. Own, and not the `liquid` crate,
//! because that one refuses unknown names and has no bound on what a template makes it do: a range
//! of a thousand million is a vector of as many.
//!
//! Pure. Bounds: 64 levels of blocks, 100,000 steps and 5 MiB of text in one rendering.

mod filter;
mod lex;
mod parse;
mod render;

use serde_json::Value;

/// A template that was read.
#[derive(Clone, Debug)]
pub struct Template(Vec<Node>);

/// Why a template cannot be read or rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// 1 for the first; 0 of a rendering.
    pub line: usize,
    pub why: String,
}

impl Template {
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        parse::template(text).map(Self)
    }

    /// The text, with the members of the object `data` as variables.
    ///
    /// # Errors
    /// A bound that is reached.
    pub fn render(&self, data: &Value) -> Result<String, Fault> {
        render::render(&self.0, data)
    }
}

/// A piece of a template.
#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Output(Expr),
    Assign(String, Expr),
    /// The first branch whose condition holds; `else` has none.
    If(Vec<(Option<Condition>, Vec<Node>)>),
    /// What is compared, and the branches with their values; `else` has none.
    Case(Term, Vec<(Vec<Term>, Vec<Node>)>),
    For(Box<Loop>),
    Break,
    Continue,
}

#[derive(Clone, Debug)]
struct Loop {
    name: String,
    over: Over,
    limit: Option<Term>,
    offset: Option<Term>,
    is_reversed: bool,
    body: Vec<Node>,
    otherwise: Vec<Node>,
}

#[derive(Clone, Debug)]
enum Over {
    Values(Term),
    Range(Term, Term),
}

/// A value that goes through filters.
#[derive(Clone, Debug)]
struct Expr {
    value: Term,
    filters: Vec<(filter::Filter, Vec<Term>)>,
}

#[derive(Clone, Debug)]
enum Term {
    Literal(Value),
    /// A name and what is asked of it.
    Path(String, Vec<Step>),
}

#[derive(Clone, Debug)]
enum Step {
    Member(String),
    Index(Term),
}

#[derive(Clone, Debug)]
enum Condition {
    Is(Term),
    Compare(Term, Comparison, Term),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    More,
    MoreOrEqual,
    Contains,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(text: &str) -> String {
        let data = json!({
            "firstName": "Ada", "empty": "", "n": 3, "html": "<b>&",
            "order": {"id": "17", "items": [{"name": "Owl", "price": 9.5}, {"name": "Fox"}]},
            "tags": ["a", "b", "c"], "yes": true, "no": false, "nil": null,
        });
        Template::parse(text).and_then(|template| template.render(&data)).unwrap_or_else(|fault| {
            panic!("{text}: {fault:?}");
        })
    }

    #[test]
    fn templates_render() {
        for (text, expected) in [
            ("Hello {{ firstName }}!", "Hello Ada!"),
            ("{{ lastName | default: 'there' }}", "there"),
            ("{{ empty | default: \"x\" }}{{ no | default: 'y' }}", "xy"),
            ("{{ missing.deeper[0].still }}|{{ firstName.x }}", "|"),
            ("{{ order.items[1].name }} {{ order['id'] }} {{ order.items.size }}", "Fox 17 2"),
            ("{{ tags.first }}{{ tags.last }}{{ tags[-2] }}{{ tags[9] }}", "acb"),
            ("{{ firstName | upcase | append: '!' | prepend: '¡' }}", "¡ADA!"),
            ("{{ html | escape }} {{ html }}", "&lt;b&gt;&amp; <b>&"),
            (
                "{{ n | plus: 2 | times: 1.5 }} {{ 7 | divided_by: 2 }} {{ 7.0 | divided_by: 2 }}",
                "7.5 3 3.5",
            ),
            ("{{ tags | join: ', ' }} {{ 'a-b' | split: '-' | last }}", "a, b, c b"),
            ("{{ 'a long sentence' | truncate: 9 }}", "a long..."),
            ("{% if yes and n > 2 %}a{% elsif no %}b{% else %}c{% endif %}", "a"),
            ("{% if missing.x == 'z' %}a{% else %}b{% endif %}", "b"),
            (
                "{% if nil == missing %}same{% endif %}{% if tags contains 'b' %} in{% endif %}",
                "same in",
            ),
            ("{% unless no %}x{% endunless %}{% if no or yes and no %}y{% endif %}", "x"),
            ("{% if empty == empty_ %}{% endif %}{% if empty == blank %}blank{% endif %}", "blank"),
            (
                "{% for item in order.items %}{{ forloop.index }}{{ item.name }}{{ item.price }}{% unless forloop.last %}, {% endunless %}{% endfor %}",
                "1Owl9.5, 2Fox",
            ),
            ("{% for x in missing %}a{% else %}none{% endfor %}", "none"),
            ("{% for i in (1..n) reversed %}{{ i }}{% endfor %}", "321"),
            ("{% for t in tags limit: 1 offset: 1 %}{{ t }}{% endfor %}", "b"),
            (
                "{% for t in tags %}{% if t == 'b' %}{% continue %}{% endif %}{{ t }}{% endfor %}",
                "ac",
            ),
            ("{% for t in tags %}{% if t == 'b' %}{% break %}{% endif %}{{ t }}{% endfor %}", "a"),
            ("{% assign x = firstName | downcase %}{{ x }}", "ada"),
            ("{% case n %}{% when 1, 2 %}few{% when 3 %}three{% else %}many{% endcase %}", "three"),
            ("a  {%- if yes -%}  b  {%- endif -%}  c", "abc"),
            ("{% raw %}{{ x }}{% endraw %}{% comment %}{{ broken {% endcomment %}", "{{ x }}"),
            ("100% {not} a }} tag", "100% {not} a }} tag"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, why) in [
            ("a\n{{ x", 2, "}}"),
            ("{{ x | shout }}", 1, "shout"),
            ("{% if x %}", 1, "endif"),
            ("\n\n{% endfor %}", 3, "endfor"),
            ("{% widget %}", 1, "widget"),
            ("{{ 'x }}", 1, "quote"),
            ("{% for x of y %}{% endfor %}", 1, "in"),
            ("{{ }}", 1, "value"),
        ] {
            let fault = Template::parse(text).unwrap_err();
            assert_eq!(fault.line, line, "{text}: {fault:?}");
            assert!(fault.why.contains(why), "{text}: {fault:?}");
        }
        assert!(Template::parse(&"{% if x %}".repeat(100)).is_err());
    }

    #[test]
    fn no_template_runs_or_grows_for_ever() {
        for text in [
            "{% for i in (1..999999999) %}x{% endfor %}",
            "{% for i in (1..999) %}{% for j in (1..999) %}x{% endfor %}{% endfor %}",
            "{% assign x = 'xxxxxxxxxxxxxxxx' %}{% for i in (1..40) %}{% assign x = x | append: x %}{% endfor %}",
        ] {
            let template = Template::parse(text).unwrap();
            assert!(template.render(&json!({})).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tag_that_only_begins_is_text_of_a_raw_block() {
        let template = Template::parse("{% raw %}{%}{% endraw %}!").unwrap();
        assert_eq!(template.render(&json!({})).unwrap(), "{%}!");
    }
}
