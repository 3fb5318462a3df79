//! The `Contains` filter: a pattern of digits, letters and a few signs.

use crate::inventory::FilterError;

/// A digit, or `None` for any digit.
pub(crate) type Mask = Vec<Option<u8>>;

/// A parsed pattern.
///
/// Digits and letters stand for themselves (letters by their key on the telephone), `*` for one
/// digit, `%` for any run of digits; a leading `+` pins the pattern to the calling code, a trailing
/// `$` to the last digit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contains {
    digits: Mask,
    is_start: bool,
    is_end: bool,
}

impl Contains {
    /// 2 to 16 characters; signs only at the ends, and two digits or letters beside a wildcard.
    ///
    // Differs: a run of `*` is allowed, because the vendor's own example `510555****` has one; `%`
    // may not touch another sign.
    pub(crate) fn parse(text: &str) -> Result<Contains, FilterError> {
        if !(2..=16).contains(&text.len()) {
            return Err(FilterError::ContainsLength);
        }
        let (is_start, body) = text.strip_prefix('+').map_or((false, text), |body| (true, body));
        let (is_end, body) = body.strip_suffix('$').map_or((false, body), |body| (true, body));
        let is_wild = |letter: char| letter == '*' || letter == '%';
        let core = body.trim_matches(is_wild);
        if core.is_empty() {
            return Err(FilterError::ContainsLiterals);
        }
        let lead = &body[..body.len() - body.trim_start_matches(is_wild).len()];
        let tail = &body[body.trim_end_matches(is_wild).len()..];
        if core.contains(is_wild) {
            return Err(FilterError::ContainsWildcard);
        }
        if !(lead.is_empty() && tail.is_empty()) && core.len() < 2 {
            return Err(FilterError::ContainsLiterals);
        }
        if !is_run(lead, is_start) || !is_run(tail, is_end) {
            return Err(FilterError::ContainsAdjacent);
        }
        let any = |run: &str| run.bytes().filter(|&sign| sign == b'*').count();
        let mut digits = vec![None; any(lead)];
        for letter in core.bytes() {
            digits.push(Some(keypad(letter).ok_or(FilterError::ContainsCharacter)?));
        }
        digits.resize(digits.len() + any(tail), None);
        Ok(Contains { digits, is_start, is_end })
    }

    /// Every way to lay the pattern over a number, as narrower masks; empty if none fits.
    pub(crate) fn over(&self, number: &Mask) -> Vec<Mask> {
        let Some(last) = number.len().checked_sub(self.digits.len()) else { return Vec::new() };
        let first = if self.is_end { last } else { 0 };
        let last = if self.is_start { 0 } else { last };
        (first..=last).filter_map(|offset| self.over_at(number, offset)).collect()
    }

    fn over_at(&self, number: &Mask, offset: usize) -> Option<Mask> {
        let mut narrowed = number.clone();
        for (slot, wanted) in narrowed[offset..].iter_mut().zip(&self.digits) {
            match (*slot, wanted) {
                (Some(fixed), Some(wanted)) if fixed != *wanted => return None,
                (None, Some(_)) => *slot = *wanted,
                _ => {}
            }
        }
        Some(narrowed)
    }

    /// Does a number, digits only, match?
    #[cfg(test)]
    pub(crate) fn matches(&self, digits: &str) -> bool {
        let mask = digits.bytes().map(|digit| Some(digit - b'0')).collect();
        !self.over(&mask).is_empty()
    }
}

/// A run of `*`, or one `%` that stands alone and away from the anchor.
fn is_run(signs: &str, is_anchored: bool) -> bool {
    signs.bytes().all(|sign| sign == b'*') || (signs == "%" && !is_anchored)
}

/// The digit on whose key a letter is (ITU-T E.161); digits are themselves.
fn keypad(letter: u8) -> Option<u8> {
    Some(match letter.to_ascii_uppercase() {
        digit @ b'0'..=b'9' => digit - b'0',
        b'A'..=b'C' => 2,
        b'D'..=b'F' => 3,
        b'G'..=b'I' => 4,
        b'J'..=b'L' => 5,
        b'M'..=b'O' => 6,
        b'P'..=b'S' => 7,
        b'T'..=b'V' => 8,
        b'W'..=b'Z' => 9,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_match_as_documented() {
        for (pattern, digits, expected) in [
            ("510555****", "15105551234", true),
            ("510555****", "15125551234", false),
            ("STORM", "14155578676", true),
            ("storm", "14155578676", true),
            ("+1415", "14155578676", true),
            ("+415", "14155578676", false),
            ("8676$", "14155578676", true),
            ("867$", "14155578676", false),
            ("*76$", "14155578676", true),
            ("+*415", "14155578676", true),
            ("%415%", "14155578676", true),
            ("12345678901234", "14155578676", false),
        ] {
            let parsed = Contains::parse(pattern).unwrap();
            assert_eq!(parsed.matches(digits), expected, "{pattern} {digits}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        use FilterError::*;
        for (pattern, expected) in [
            ("", ContainsLength),
            ("4", ContainsLength),
            ("12345678901234567", ContainsLength),
            ("5*5", ContainsWildcard),
            ("55%55", ContainsWildcard),
            ("*5", ContainsLiterals),
            ("**", ContainsLiterals),
            ("+$", ContainsLiterals),
            ("%%55", ContainsAdjacent),
            ("*%55", ContainsAdjacent),
            ("+%55", ContainsAdjacent),
            ("55%$", ContainsAdjacent),
            ("55-55", ContainsCharacter),
            ("55+5", ContainsCharacter),
            ("5$55", ContainsCharacter),
            ("ééé", ContainsCharacter),
        ] {
            assert_eq!(Contains::parse(pattern), Err(expected), "{pattern}");
        }
    }

    proptest! {
        #[test]
        fn any_pattern_parses_or_is_refused(text in "\\PC{0,20}", signs in "[+*%$a5]{0,17}") {
            let _ = Contains::parse(&text);
            let _ = Contains::parse(&signs);
        }
    }
}
