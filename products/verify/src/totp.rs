//! Time-based one-time passwords (RFC 6238) over HMAC, and their provisioning URI.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// How a factor's codes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totp {
    pub algorithm: Algorithm,
    /// 3 to 8 digits.
    pub digits: u32,
    /// Seconds.
    pub step: i64,
    /// Steps before and after now that are taken.
    pub skew: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    pub fn parse(name: &str) -> Self {
        match name {
            "sha256" => Self::Sha256,
            "sha512" => Self::Sha512,
            _ => Self::Sha1,
        }
    }

    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }
}

impl Totp {
    /// The code of a step.
    fn code(&self, secret: &[u8], step: i64) -> String {
        let key = hmac::Key::new(self.algorithm.hmac(), secret);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let bytes = tag.as_ref();
        let at = usize::from(bytes[bytes.len() - 1] & 0x0f);
        let word = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let number = (word & 0x7fff_ffff) % 10u32.pow(self.digits);
        format!("{number:0digits$}", digits = self.digits as usize)
    }

    /// The step that `code` is of, if it is near `seconds` and later than `last`, which was used.
    /// All steps are tried, whichever fits.
    pub fn step_of(
        &self,
        secret: &[u8],
        code: &str,
        seconds: i64,
        last: Option<i64>,
    ) -> Option<i64> {
        let now = seconds.div_euclid(self.step);
        let mut found = None;
        for step in now - self.skew..=now + self.skew {
            let fits = verify_slices_are_equal(self.code(secret, step).as_bytes(), code.as_bytes())
                .is_ok();
            if fits && last.is_none_or(|last| step > last) {
                found = Some(step);
            }
        }
        found
    }

    /// What authenticator apps read from a QR code.
    pub fn uri(&self, issuer: &str, account: &str, secret: &[u8]) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        format!(
            "otpauth://totp/{issuer}:{}?secret={}&issuer={issuer}&algorithm={}&digits={}&period={}",
            encode(account),
            BASE32_NOPAD.encode(secret),
            self.algorithm.name(),
            self.digits,
            self.step,
            issuer = encode(issuer),
        )
    }
}

/// The bytes of a secret in base32, with or without padding and in either case.
pub(crate) fn secret(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').to_ascii_uppercase();
    let bytes = BASE32_NOPAD.decode(text.as_bytes()).ok()?;
    (10..=64).contains(&bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 6238, appendix B.
    #[test]
    fn codes_are_those_of_the_rfc() {
        let secret = |length: usize| b"1234567890".iter().copied().cycle().take(length).collect();
        let keys: [(Algorithm, Vec<u8>); 3] = [
            (Algorithm::Sha1, secret(20)),
            (Algorithm::Sha256, secret(32)),
            (Algorithm::Sha512, secret(64)),
        ];
        for (seconds, codes) in [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ] {
            for ((algorithm, key), code) in keys.iter().zip(codes) {
                let totp = Totp { algorithm: *algorithm, digits: 8, step: 30, skew: 0 };
                assert_eq!(totp.step_of(key, code, seconds, None), Some(seconds / 30));
            }
        }
    }

    #[test]
    fn a_step_is_taken_once_and_only_near_now() {
        let totp = Totp { algorithm: Algorithm::Sha1, digits: 6, step: 30, skew: 1 };
        let secret = b"12345678901234567890";
        let code = totp.code(secret, 100);
        for (seconds, last, step) in [
            (3000, None, Some(100)),
            (2970, None, Some(100)),
            (3059, None, Some(100)),
            (3060, None, None),
            (2969, None, None),
            (3000, Some(99), Some(100)),
            (3000, Some(100), None),
        ] {
            assert_eq!(totp.step_of(secret, &code, seconds, last), step, "{seconds} {last:?}");
        }
        assert_eq!(totp.step_of(secret, "", 3000, None), None);
    }

    #[test]
    fn secrets_and_uris_are_as_apps_read_them() {
        assert_eq!(secret("gezdgnbvgy3tqojq"), Some(b"1234567890".to_vec()));
        assert_eq!(secret("GEZDGNBVGY3TQOJQ===="), Some(b"1234567890".to_vec()));
        assert_eq!((secret("GEZDG"), secret("1!")), (None, None));
        let totp = Totp { algorithm: Algorithm::Sha1, digits: 6, step: 30, skew: 1 };
        assert_eq!(
            totp.uri("Owl Inc", "Ada's phone", b"1234567890"),
            "otpauth://totp/Owl%20Inc:Ada%27s%20phone?secret=GEZDGNBVGY3TQOJQ&issuer=Owl%20Inc\
             &algorithm=SHA1&digits=6&period=30"
        );
    }
}
