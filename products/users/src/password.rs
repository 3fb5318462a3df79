//! Passwords as Argon2id hashes (RFC 9106), each with its salt and parameters.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Argon2, Params};

const SALT_BYTES: usize = 16;
pub const CHARS_MIN: usize = 12;
pub const CHARS_MAX: usize = 256;

/// 19 MiB, two passes: what OWASP asks for at least.
fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).unwrap_or_default();
    Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params)
}

/// What is kept of a password.
pub fn hash(password: &str) -> Option<String> {
    let bytes: [u8; SALT_BYTES] = rand::random();
    let salt = SaltString::encode_b64(&bytes).ok()?;
    Some(argon2().hash_password(password.as_bytes(), &salt).ok()?.to_string())
}

/// Whether it is the password; takes as long for every one.
pub fn fits(kept: &str, password: &str) -> bool {
    let Ok(kept) = PasswordHash::new(kept) else { return false };
    argon2().verify_password(password.as_bytes(), &kept).is_ok()
}

/// Why a password is none, in a sentence.
pub fn problem(password: &str) -> Option<String> {
    let chars = password.chars().count();
    let fits = (CHARS_MIN..=CHARS_MAX).contains(&chars);
    (!fits).then(|| format!("A password has {CHARS_MIN} to {CHARS_MAX} characters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_fits_its_hash() {
        let kept = hash("correct horse battery").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(fits(&kept, "correct horse battery"));
        assert!(!fits(&kept, "correct horse batterz"));
        assert!(!fits("nonsense", "nonsense"));
        assert_ne!(kept, hash("correct horse battery").unwrap(), "salts differ");
    }

    #[test]
    fn short_ones_are_refused() {
        assert!(problem("12345678901").is_some());
        assert!(problem("123456789012").is_none());
        assert!(problem(&"x".repeat(257)).is_some());
    }
}
