//! The committed lists: gaps that are accepted, and extras with their reasons.

use std::collections::BTreeSet;

use anyhow::bail;

/// What we have beyond the definitions, one `key  # reason` per line.
pub(crate) const EXTRAS: &str = include_str!("../extras.txt");

/// How the gaps of today stand to the accepted ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Gaps nobody has accepted.
    pub new: Vec<String>,
    /// Accepted gaps that are none any more.
    pub closed: Vec<String>,
}

/// The lines of a gap file.
pub(crate) fn parse(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Holds the gaps of today against the accepted ones.
pub(crate) fn judge(now: &BTreeSet<String>, accepted: &BTreeSet<String>) -> Judgement {
    let covered = |gap: &String| {
        // Operations of a product that was accepted as missing whole.
        let mut words = gap.split(' ');
        let (file, kind) = (words.next().unwrap_or_default(), words.next());
        let product = format!("{file} product ");
        kind == Some("op") && accepted.iter().any(|line| line.starts_with(&product))
    };
    let new = now.difference(accepted).filter(|gap| !covered(gap)).cloned().collect();
    Judgement { new, closed: accepted.difference(now).cloned().collect() }
}

/// The text of a gap file.
pub(crate) fn text(gaps: &BTreeSet<String>) -> String {
    let mut text = String::from(
        "# What Twilio's definitions declare and this platform lacks or does otherwise.\n\
         # Written by `conformance definitions --write`; it may only shrink.\n\
         # A product of which nothing exists is one line.\n",
    );
    for gap in gaps {
        text.push_str(gap);
        text.push('\n');
    }
    text
}

/// The keys of the allow-list.
///
/// # Errors
/// When an entry gives no reason.
pub(crate) fn allowed(text: &str) -> anyhow::Result<BTreeSet<String>> {
    let mut keys = BTreeSet::new();
    for line in parse(text) {
        match line.split_once('#') {
            Some((key, reason)) if !reason.trim().is_empty() => {
                keys.insert(key.trim().to_owned());
            }
            _ => bail!("extras.txt: '{line}' gives no reason behind '#'"),
        }
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(lines: &[&str]) -> BTreeSet<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn new_and_closed_gaps_are_told_apart() {
        let judgement = judge(&set(&["a field X.b", "a op GET /x"]), &set(&["a op GET /x", "a y"]));
        assert_eq!(judgement.new, ["a field X.b"]);
        assert_eq!(judgement.closed, ["a y"]);
        assert_eq!(judge(&set(&["a"]), &set(&["a"])), Judgement::default());
    }

    #[test]
    fn the_rest_of_a_product_that_was_missing_whole_is_no_new_gap() {
        let accepted = set(&["verify_v2 product 57 operations"]);
        let now = set(&["verify_v2 op GET /v2/Forms", "verify_v2 field Service.name"]);
        let judgement = judge(&now, &accepted);
        assert_eq!(judgement.new, ["verify_v2 field Service.name"]);
        assert_eq!(judgement.closed, ["verify_v2 product 57 operations"]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let gaps = set(&["a field X.b", "b product 3 operations"]);
        assert_eq!(parse(&text(&gaps)), gaps);
    }

    #[test]
    fn an_extra_needs_a_reason() {
        assert_eq!(allowed("a field X.b  # newer SDKs\n").unwrap(), set(&["a field X.b"]));
        assert!(allowed("a field X.b\n").is_err());
        assert!(allowed("a field X.b #\n").is_err());
        allowed(EXTRAS).unwrap();
    }
}
