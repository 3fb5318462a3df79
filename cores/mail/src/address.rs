//! Mail addresses.

/// Characters of an address, as SendGrid counts them.
const ADDRESS_CHARS_MAX: usize = 320;

/// Whether text is `local@domain` as the Internet's mail takes it: a dot-atom (RFC 5322 §3.4.1),
/// letters beyond ASCII as RFC 6531 has them, and a domain with a dot or an address literal.
pub fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    if text.chars().count() > ADDRESS_CHARS_MAX || local.is_empty() {
        return false;
    }
    let atom = |c: char| {
        !c.is_ascii() && !c.is_control() && !c.is_whitespace()
            || c.is_ascii_alphanumeric()
            || "!#$%&'*+-/=?^_`{|}~.".contains(c)
    };
    let dots = |text: &str| !text.starts_with('.') && !text.ends_with('.') && !text.contains("..");
    local.chars().all(atom) && dots(local) && is_domain(domain)
}

/// Whether text is a domain with one dot at least.
pub fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        let fine = |c: char| {
            c.is_ascii_alphanumeric() || c == '-' || (!c.is_ascii() && c.is_alphanumeric())
        };
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(fine)
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

/// What stands behind the last `@`, in lower case.
pub fn domain_of(address: &str) -> String {
    address.rsplit_once('@').map_or("", |(_, domain)| domain).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_the_rest() {
        for fine in
            ["a@example.com", "first.last+tag@mail.example.co", "ü@bücher.example", "o'x@e.org"]
        {
            assert!(is_address(fine), "{fine}");
        }
        for bad in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@example",
            "a b@example.com",
            "a@exa mple.com",
            ".a@example.com",
            "a..b@example.com",
            "a@-x.com",
            "a@example.com\r\nBcc: b@x.org",
            "a\0@example.com",
            "a@example..com",
            "<a@example.com>",
            "a@b@example.com,",
        ] {
            assert!(!is_address(bad), "{bad:?}");
        }
        assert_eq!(domain_of("A@Example.COM"), "example.com");
    }
}
