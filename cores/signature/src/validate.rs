//! Checking signatures, as a program that receives webhooks does.

use aws_lc_rs::constant_time::verify_slices_are_equal;

use crate::sign::{sign, sign_hub, sign_shared_key};
use crate::url::{Ported, body_hash};

/// Whether `signature` is that of a request signed with `auth_token`.
///
/// A proxy in front of the receiver may add or remove the port, so like Twilio's helper libraries
/// this accepts a signature over the URL as received, without its port, or with the port its
/// scheme implies. Userinfo has to agree.
///
/// Differs: the libraries also try the URL as a WHATWG parser rewrites it; here a URL is never
/// rewritten.
pub fn validate<K: AsRef<str>, V: AsRef<str>>(
    auth_token: &str,
    url: &str,
    params: &[(K, V)],
    signature: &str,
) -> bool {
    any_port(url, |url| is_equal(&sign(auth_token, url, params), signature))
}

/// Like [`validate()`], for a request signed with [`sign_shared_key`].
pub fn validate_shared_key<K: AsRef<str>, V: AsRef<str>>(
    secret: &str,
    url: &str,
    params: &[(K, V)],
    signature: &str,
) -> bool {
    any_port(url, |url| is_equal(&sign_shared_key(secret, url, params), signature))
}

/// Whether Meta signed this body: see [`sign_hub`].
pub fn validate_hub(app_secret: &str, body: &[u8], signature: &str) -> bool {
    is_equal(&sign_hub(app_secret, body), signature)
}

/// Like [`validate()`], for a request whose body is not a form: its URL has to carry `bodySHA256`
/// and that has to be the hash of `body`.
pub fn validate_body(auth_token: &str, url: &str, body: &[u8], signature: &str) -> bool {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let claimed = query.split('&').find_map(|pair| pair.strip_prefix("bodySHA256="));
    let is_body = claimed.is_some_and(|claimed| is_equal(&body_hash(body), claimed));
    is_body && validate::<&str, &str>(auth_token, url, &[], signature)
}

fn any_port(url: &str, is_signed: impl Fn(&str) -> bool) -> bool {
    if is_signed(url) {
        return true;
    }
    let Some(parts) = Ported::parse(url) else { return false };
    let other = if parts.port.is_empty() { parts.default_port() } else { "" };
    other != parts.port && is_signed(&parts.with_port(other))
}

/// Compares in time that does not depend on where they differ.
pub fn is_equal(expected: &str, given: &str) -> bool {
    verify_slices_are_equal(expected.as_bytes(), given.as_bytes()).is_ok()
}
