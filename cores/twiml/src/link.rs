//! URLs in documents, the same for every kind of TwiML.

pub(crate) const PROBLEM: &str =
    "is not a URL; write http://… or https://…, or a path on this server";

/// An absolute http(s) URL or a relative reference (RFC 3986 §4.1), as far as can be told without
/// resolving it.
pub(crate) fn is_url(value: &str) -> bool {
    if value.is_empty() || value.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return false;
    }
    let first_segment = value.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((scheme, _)) = first_segment.split_once(':') else { return true };
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let host = value[scheme.len() + 1..].strip_prefix("//").unwrap_or_default();
    is_web && !host.is_empty() && !host.starts_with(['/', '?', '#'])
}
