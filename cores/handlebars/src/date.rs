//! `formatDate`: a moment in the words of moment.js.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

const TOKENS: [(&str, &str); 21] = [
    ("YYYY", "%Y"),
    ("YY", "%y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("M", "%-m"),
    ("DD", "%d"),
    ("D", "%-d"),
    ("dddd", "%A"),
    ("ddd", "%a"),
    ("hh", "%I"),
    ("h", "%-I"),
    ("HH", "%H"),
    ("H", "%-H"),
    ("mm", "%M"),
    ("m", "%-M"),
    ("ss", "%S"),
    ("s", "%-S"),
    ("A", "%p"),
    ("ZZ", "%z"),
    ("Z", "%:z"),
];

/// `None` when the moment cannot be read. It is ISO 8601, or seconds or milliseconds since 1970.
pub(crate) fn format(moment: &str, pattern: &str, offset: &str) -> Option<String> {
    let at = match moment.trim().parse::<i64>() {
        Ok(number) if number.abs() > 100_000_000_000 => Timestamp::from_millisecond(number).ok()?,
        Ok(number) => Timestamp::from_second(number).ok()?,
        Err(_) => moment.trim().parse::<Timestamp>().ok().or_else(|| {
            let date: jiff::civil::DateTime = moment.trim().parse().ok()?;
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        })?,
    };
    let zoned = at.to_zoned(TimeZone::fixed(read_offset(offset)?));
    let mut out = String::new();
    let mut rest = pattern;
    'next: while let Some(c) = rest.chars().next() {
        for (token, directive) in TOKENS {
            if let Some(tail) = rest.strip_prefix(token) {
                out.push_str(&zoned.strftime(directive).to_string());
                rest = tail;
                continue 'next;
            }
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    Some(out)
}

/// `-0800`, `+05:30`; nothing is UTC.
fn read_offset(text: &str) -> Option<Offset> {
    let text = text.replace(':', "");
    if text.is_empty() {
        return Some(Offset::UTC);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text.trim_start_matches(['+', '-']);
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..4).unwrap_or("00").parse().ok()?;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}
