//! Default opt-out keywords, as long codes answer them without any set-up.

/// What a subscriber asks for with a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keyword {
    /// Send me nothing more.
    Stop,
    /// Send to me again.
    Start,
    /// Tell me who you are.
    Help,
}

const STOP: [&str; 8] =
    ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"];
const START: [&str; 3] = ["START", "YES", "UNSTOP"];
const HELP: [&str; 2] = ["HELP", "INFO"];

/// The default words of a kind.
pub fn keywords(kind: Keyword) -> &'static [&'static str] {
    match kind {
        Keyword::Stop => &STOP,
        Keyword::Start => &START,
        Keyword::Help => &HELP,
    }
}

/// The keyword `body` is, if it is one: white space around it and case do not count, anything else
/// does, so "STOP please" and "stop." are ordinary messages. Source: Twilio docs, default opt-out
/// keywords.
///
/// The sets are those of long codes; toll-free numbers have narrower ones of their own.
pub fn keyword(body: &str) -> Option<Keyword> {
    let word = body.trim();
    [Keyword::Stop, Keyword::Start, Keyword::Help]
        .into_iter()
        .find(|&kind| keywords(kind).iter().any(|keyword| keyword.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests {
    //! Goal: only a lone keyword counts. Method: a table.
    use super::*;

    #[test]
    fn the_whole_body_must_be_one_keyword() {
        use Keyword::{Help, Start, Stop};
        let table = [
            ("STOP", Some(Stop)),
            ("stop", Some(Stop)),
            ("  StopAll\r\n", Some(Stop)),
            ("unsubscribe", Some(Stop)),
            ("Cancel", Some(Stop)),
            ("end", Some(Stop)),
            ("QUIT", Some(Stop)),
            ("revoke", Some(Stop)),
            ("OptOut", Some(Stop)),
            ("start", Some(Start)),
            ("Yes", Some(Start)),
            ("UNSTOP", Some(Start)),
            ("help", Some(Help)),
            ("info", Some(Help)),
            ("", None),
            ("stop.", None),
            ("STOP PLEASE", None),
            ("stop 🛑", None),
            ("opt out", None),
            ("ſtop", None),
        ];
        for (body, expected) in table {
            assert_eq!(keyword(body), expected, "{body:?}");
        }
    }
}
