//! The names of places: pure checks.

/// The claims on hosts of places.
pub(crate) const CLAIM: &str = "sip-host";

/// Characters of a host name.
const HOST_MAX: usize = 253;

/// `name` in its normal form, when it is one label or more before one of these suffixes.
///
/// # Errors
/// Why it is not.
pub(crate) fn checked(name: &str, suffixes: &[&str]) -> Result<String, String> {
    let name = name.trim().to_ascii_lowercase();
    let head = suffixes
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix)?.strip_suffix('.'))
        .ok_or_else(|| format!("'{name}' does not end in .{}", suffixes.join(" or .")))?;
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > HOST_MAX || !head.split('.').all(is_label) {
        return Err(format!("'{name}' is no host name: letters, digits and - are allowed"));
    }
    Ok(name)
}

/// `sip:` or `sips:`, somebody's host, and no headers that could tell the carrier more.
///
/// # Errors
/// Why it is not.
pub(crate) fn check_uri(uri: &str) -> Result<(), String> {
    let lower = uri.to_ascii_lowercase();
    let rest = lower
        .strip_prefix("sip:")
        .or_else(|| lower.strip_prefix("sips:"))
        .ok_or_else(|| format!("'{uri}' does not begin with sip:"))?;
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let place = place.split([';', '?']).next().unwrap_or_default();
    let host = match place.strip_prefix('[') {
        Some(v6) => {
            let address = v6.split(']').next().unwrap_or_default();
            return match address.parse::<std::net::Ipv6Addr>() {
                Ok(_) => Ok(()),
                Err(_) => Err(format!("'{uri}' has no IPv6 address in its brackets")),
            };
        }
        None => place,
    };
    let (host, port) = host.split_once(':').unwrap_or((host, "5060"));
    let is_host = !host.is_empty()
        && host.len() <= HOST_MAX
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    let is_plain = uri.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"".contains(&byte));
    match is_host && is_plain && port.parse::<u16>().is_ok_and(|port| port > 0) {
        true => Ok(()),
        false => Err(format!("'{uri}' is no SIP address: sip:host or sip:user@host:port")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_named_below_their_suffix() {
        for (name, normal) in [
            ("Acme.sip.twilio.com", Some("acme.sip.twilio.com")),
            ("a.b.sip.example.com", Some("a.b.sip.example.com")),
            ("acme-1.sip.twilio.com", Some("acme-1.sip.twilio.com")),
            ("sip.twilio.com", None),
            (".sip.twilio.com", None),
            ("acmesip.twilio.com", None),
            ("-a.sip.twilio.com", None),
            ("a_b.sip.twilio.com", None),
            ("acme.pstn.twilio.com", None),
        ] {
            let suffixes = ["sip.twilio.com", "sip.example.com"];
            assert_eq!(checked(name, &suffixes).ok().as_deref(), normal, "{name}");
        }
    }

    #[test]
    fn targets_are_sip_addresses() {
        for (uri, fine) in [
            ("sip:198.51.100.7", true),
            ("sip:pbx@example.com:5062;transport=tcp", true),
            ("sips:pbx.example.com", true),
            ("sip:[2001:db8::1]:5060", true),
            ("sip:[pbx]", false),
            ("sip:", false),
            ("sip:a b", false),
            ("sip:pbx:0", false),
            ("https://example.com", false),
            ("tel:+14155550100", false),
        ] {
            assert_eq!(check_uri(uri).is_ok(), fine, "{uri}");
        }
    }
}
