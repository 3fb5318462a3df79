//! What may be shown of a personal or secret value in a log.

use std::fmt;

use serde::Deserialize;

/// Prints only the last four characters of a number or address: `…5309`.
pub struct Redacted<'a>(pub &'a str);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keep = self.0.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
        write!(f, "…{}", &self.0[if self.0.chars().count() <= 4 { self.0.len() } else { keep }..])
    }
}

/// A password or token of the configuration; it does not print itself.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_four_characters_at_most() {
        for (value, shown) in
            [("+14155550100", "…0100"), ("1234", "…"), ("", "…"), ("äöüßé", "…öüßé")]
        {
            assert_eq!(Redacted(value).to_string(), shown);
        }
    }
}
