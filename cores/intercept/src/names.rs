//! Which hosts are ours.

/// The domains whose hosts are intercepted, and the only ones that the local
/// certificate authority may sign for.
pub const DOMAINS: [&str; 6] =
    ["twilio.com", "sendgrid.com", "sendgrid.net", "segment.io", "segment.com", "segmentapis.com"];

/// Whether a host name, without port, is one of [`DOMAINS`] or lies below one.
/// Case and one trailing dot do not matter.
pub fn is_intercepted(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
    DOMAINS.iter().any(|domain| {
        let Some(head) = host.len().checked_sub(domain.len()) else { return false };
        host[head..].eq_ignore_ascii_case(domain.as_bytes())
            && (head == 0 || host[head - 1] == b'.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_and_everything_below_it_and_nothing_else() {
        for ours in
            ["twilio.com", "api.twilio.com", "Verify.Dublin.IE1.Twilio.Com.", "smtp.sendgrid.net"]
        {
            assert!(is_intercepted(ours), "{ours}");
        }
        for foreign in ["", ".", "com", "eviltwilio.com", "twilio.com.example.org", "127.0.0.1"] {
            assert!(!is_intercepted(foreign), "{foreign}");
        }
    }
}
