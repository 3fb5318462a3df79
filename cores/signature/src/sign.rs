//! Making signatures.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::url::without_fragment;

/// The value of `X-Twilio-Signature`: base64 of HMAC-SHA1, 28 characters.
///
/// * `auth_token`: the primary token of the account that owns the resource.
/// * `url`: as configured and requested, byte for byte; a fragment is left out.
/// * `params`: the decoded form of a POST, in any order; empty for GET, JSON and WebSocket. They
///   are signed sorted by name, then value, in byte order; equal pairs once.
///
/// Differs: userinfo and port are signed as configured. Which form Twilio signs is declared
/// inconsistent, and its own validators try several.
pub fn sign<K: AsRef<str>, V: AsRef<str>>(
    auth_token: &str,
    url: &str,
    params: &[(K, V)],
) -> String {
    hmac_base64(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth_token, url, params)
}

/// Like [`sign()`], but base64 of HMAC-SHA256 under a shared webhook key: 44 characters. Send
/// [`shared_key_settings`] beside it.
pub fn sign_shared_key<K: AsRef<str>, V: AsRef<str>>(
    secret: &str,
    url: &str,
    params: &[(K, V)],
) -> String {
    hmac_base64(hmac::HMAC_SHA256, secret, url, params)
}

/// The value of `X-Hub-Signature-256`, with which Meta signs the bytes of a body: `sha256=` and
/// 64 hex digits.
pub fn sign_hub(app_secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, app_secret.as_bytes());
    let tag = hmac::sign(&key, body);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// The value of `X-Twilio-Webhooks-Signature-Settings` that tells the receiver which shared key
/// signed the request. `key_id` is the part after `webhooks_sharedkey_`.
pub fn shared_key_settings(key_id: &str) -> String {
    format!("key=webhooks_sharedkey_{key_id},algorithm=HMAC_SHA256")
}

fn hmac_base64<K: AsRef<str>, V: AsRef<str>>(
    algorithm: hmac::Algorithm,
    key: &str,
    url: &str,
    params: &[(K, V)],
) -> String {
    let mut pairs: Vec<(&str, &str)> =
        params.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
    pairs.sort_unstable();
    pairs.dedup();

    let key = hmac::Key::new(algorithm, key.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(without_fragment(url).as_bytes());
    for (name, value) in pairs {
        context.update(name.as_bytes());
        context.update(value.as_bytes());
    }
    STANDARD.encode(context.sign())
}

#[cfg(test)]
mod tests {
    //! Goal: what is signed beyond the vectors of tests/vectors.rs. Method: pairs that must agree.
    use super::*;

    const NONE: [(&str, &str); 0] = [];

    #[test]
    fn the_fragment_is_not_signed() {
        assert_eq!(
            sign("t", "https://a.example/x#rc=3&rp=5xx", &NONE),
            sign("t", "https://a.example/x", &NONE)
        );
    }

    #[test]
    fn order_of_parameters_does_not_matter() {
        let params = [("b", "2"), ("a", "1"), ("b", "1")];
        let other = [("b", "1"), ("b", "2"), ("a", "1"), ("a", "1")];
        assert_eq!(sign("t", "https://a.example", &params), sign("t", "https://a.example", &other));
    }

    #[test]
    fn settings_name_key_and_algorithm() {
        assert_eq!(
            shared_key_settings("01abc"),
            "key=webhooks_sharedkey_01abc,algorithm=HMAC_SHA256"
        );
    }
}
