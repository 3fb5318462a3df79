//! What WhatsApp's reviewers decide (whatsapp-content §4, §5).

use std::collections::BTreeSet;

use crate::variables::{Blank, blanks};
use crate::whatsapp::body_of;
use crate::{Kind, Template, placeholders};

const NAME_MAX: usize = 512;
const BODY_MAX: usize = 1024;

/// Words that sell.
const MARKETING: &[&str] = &[
    "% off",
    "buy now",
    "coupon",
    "deal",
    "deals",
    "discount",
    "discounts",
    "free gift",
    "limited time",
    "promo",
    "promotion",
    "sale",
    "special offer",
];
/// Hosts that hide where a link leads.
const SHORTENERS: &[&str] =
    &["bit.ly", "goo.gl", "is.gd", "ow.ly", "rebrand.ly", "t.co", "tinyurl.com", "wa.me"];

/// What a template is for, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    Utility,
    Marketing,
    Authentication,
}

impl Category {
    pub const NAMES: [&str; 3] = ["UTILITY", "MARKETING", "AUTHENTICATION"];

    pub fn name(self) -> &'static str {
        match self {
            Self::Utility => Self::NAMES[0],
            Self::Marketing => Self::NAMES[1],
            Self::Authentication => Self::NAMES[2],
        }
    }

    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::Utility, Self::Marketing, Self::Authentication];
        all.into_iter().find(|category| category.name() == name)
    }
}

/// A template put before the reviewers.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    pub name: &'a str,
    pub category: Category,
    /// A template that sells may be approved as marketing instead of being rejected.
    pub allow_category_change: bool,
}

/// What they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Approved { category: Category },
    Rejected { reason: String },
}

/// Reviews a template by rule; what other templates there are is the caller's to know.
///
/// Differs: Meta's reviewers also judge by policy and by taste; these judge by rule alone, and
/// know marketing by English words.
pub fn review(template: &Template, submission: Submission<'_>) -> Verdict {
    match judge(template, submission) {
        Ok(category) => Verdict::Approved { category },
        Err(reason) => Verdict::Rejected { reason },
    }
}

fn judge(template: &Template, submission: Submission<'_>) -> Result<Category, String> {
    check_name(submission.name)?;
    let kind =
        template.reviewed_kind().ok_or("None of the content types can be a WhatsApp template.")?;
    check_blanks(template, kind)?;
    let body = body_of(template, kind);
    if kind != Kind::Authentication {
        check_body(&body)?;
    }
    let texts: String = template.texts(kind).join("\n").to_lowercase();
    if let Some(host) = SHORTENERS.iter().find(|host| leads_to(&texts, host)) {
        return Err(format!("The template has a shortened link ({host}): use the full URL."));
    }
    check_category(kind, &texts, submission)
}

fn check_name(name: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    Err(format!("The name must have 1 to {NAME_MAX} lower-case letters, digits and underscores."))
}

/// Every variable of the template is a number from 1 without gap, and has a sample.
fn check_blanks(template: &Template, kind: Kind) -> Result<(), String> {
    let names: BTreeSet<&str> = template.texts(kind).into_iter().flat_map(placeholders).collect();
    for at in 1..=names.len() {
        if !names.contains(at.to_string().as_str()) {
            return Err("The variables must be numbered from {{1}} without a gap.".to_owned());
        }
    }
    let has_sample =
        |name: &&str| template.samples().get(name).is_some_and(|text| !text.is_empty());
    match names.iter().find(|name| !has_sample(name)) {
        Some(name) => Err(format!("The variable {{{{{name}}}}} has no sample.")),
        None => Ok(()),
    }
}

/// Text around, between and enough beside the variables.
fn check_body(body: &str) -> Result<(), String> {
    let length = body.chars().count();
    if length > BODY_MAX {
        return Err(format!("The body has {length} characters; at most {BODY_MAX}."));
    }
    let blanks: Vec<Blank<'_>> = blanks(body).collect();
    let (Some(first), Some(last)) = (blanks.first(), blanks.last()) else { return Ok(()) };
    if body[..first.start].trim().is_empty() || body[last.end..].trim().is_empty() {
        return Err("The body must not begin or end with a variable.".to_owned());
    }
    if blanks.windows(2).any(|pair| body[pair[0].end..pair[1].start].trim().is_empty()) {
        return Err("Two variables must not stand side by side.".to_owned());
    }
    let mut rest = body.to_owned();
    for blank in blanks.iter().rev() {
        rest.replace_range(blank.start..blank.end, " ");
    }
    let is_word = |word: &&str| word.chars().any(char::is_alphanumeric);
    let words = rest.split_whitespace().filter(is_word).count();
    let needed = 2 * blanks.len() + 1;
    if words < needed {
        return Err(format!(
            "The body has {} variables and {words} words beside them; it needs {needed}.",
            blanks.len()
        ));
    }
    Ok(())
}

fn check_category(kind: Kind, texts: &str, submission: Submission<'_>) -> Result<Category, String> {
    let is_code = kind == Kind::Authentication;
    match submission.category {
        Category::Authentication if is_code => Ok(Category::Authentication),
        Category::Authentication => {
            Err("The category AUTHENTICATION takes whatsapp/authentication alone.".to_owned())
        }
        _ if is_code => {
            Err("whatsapp/authentication belongs to the category AUTHENTICATION.".to_owned())
        }
        Category::Utility => match MARKETING.iter().find(|word| says(texts, word)) {
            Some(_) if submission.allow_category_change => Ok(Category::Marketing),
            Some(word) => Err(format!("The category UTILITY does not fit: '{word}' is marketing.")),
            None => Ok(Category::Utility),
        },
        Category::Marketing => Ok(Category::Marketing),
    }
}

/// The words stand alone in the text, which is lower-case.
fn says(text: &str, words: &str) -> bool {
    text.match_indices(words).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        let stands = |side: Option<char>| side.is_none_or(|letter| !letter.is_alphanumeric());
        (words.starts_with('%') || stands(before)) && stands(after)
    })
}

/// A link of the text goes to this host.
fn leads_to(text: &str, host: &str) -> bool {
    text.match_indices(host).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        let part = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '.';
        !before.is_some_and(part) && after == Some('/')
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    fn verdict(types: Json, category: &str, allow: bool) -> Result<&'static str, String> {
        let samples = json!({"1": "Owl", "2": "Tuesday", "named": "x"});
        let template = Template::new("en", &samples, &types).unwrap();
        let category = Category::of(category).unwrap();
        let submission = Submission { name: "order_1", category, allow_category_change: allow };
        match review(&template, submission) {
            Verdict::Approved { category } => Ok(category.name()),
            Verdict::Rejected { reason } => Err(reason),
        }
    }

    fn text(body: &str) -> Json {
        json!({"twilio/text": {"body": body}})
    }

    #[test]
    fn each_rule_rejects_what_breaks_it() {
        for (body, why) in [
            ("{{1}} is on its way to you", "begin or end"),
            ("On its way to you: {{1}} ", "begin or end"),
            ("Your order {{1}} {{2}} is on its way to you", "side by side"),
            ("Order {{1}} is here", ""),
            ("Order {{1}} shipped", "needs 3"),
            ("Your order {{2}} is on its way", "numbered from"),
            ("Your order {{named}} is on its way", "numbered from"),
            ("Your {{1}} and {{2}} and {{3}} are now on their way to you", "no sample"),
            ("See https://bit.ly/abc for your order", "shortened link"),
            ("See https://orbit.ly/abc for your order", ""),
            ("Your order has shipped", ""),
        ] {
            match verdict(text(body), "UTILITY", false) {
                Ok(_) => assert_eq!(why, "", "{body}"),
                Err(reason) => assert!(!why.is_empty() && reason.contains(why), "{body}: {reason}"),
            }
        }
    }

    #[test]
    fn words_that_sell_make_a_template_marketing() {
        for (body, allow, expected) in [
            ("Big SALE today", true, Some("MARKETING")),
            ("Big SALE today", false, None),
            ("Now 20% off for you", false, None),
            ("Your salesperson has called", false, Some("UTILITY")),
            ("Your dealer has called", false, Some("UTILITY")),
        ] {
            assert_eq!(verdict(text(body), "UTILITY", allow).ok(), expected, "{body}");
        }
        assert_eq!(verdict(text("Big sale"), "MARKETING", false), Ok("MARKETING"));
    }

    #[test]
    fn codes_have_their_own_category() {
        let code = json!({"whatsapp/authentication": {
            "actions": [{"type": "COPY_CODE", "copy_code_text": "Copy"}]}});
        assert_eq!(verdict(code.clone(), "AUTHENTICATION", true), Ok("AUTHENTICATION"));
        assert!(verdict(code, "UTILITY", true).is_err());
        assert!(verdict(text("Your code has come"), "AUTHENTICATION", true).is_err());
    }

    #[test]
    fn names_are_lower_case() {
        for (name, fine) in [
            ("order_1", true),
            ("Order", false),
            ("order-1", false),
            ("", false),
            (&*"a".repeat(512), true),
            (&*"a".repeat(513), false),
        ] {
            assert_eq!(check_name(name).is_ok(), fine, "{name}");
        }
    }

    #[test]
    fn what_whatsapp_never_takes_is_rejected() {
        let place = json!({"twilio/location": {"latitude": 1, "longitude": 2}});
        assert!(verdict(place, "UTILITY", true).is_err());
    }
}
