//! DKIM signatures (RFC 6376): rsa-sha256, relaxed/relaxed, as RFC 8301 wants them.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The headers that are signed where they are present; `From` once more than it is there, so
/// that nobody adds another (RFC 6376 §8.15).
const SIGNED: [&str; 13] = [
    "from",
    "from",
    "to",
    "cc",
    "subject",
    "date",
    "message-id",
    "reply-to",
    "mime-version",
    "content-type",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "feedback-id",
];

/// The key cannot be read or used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyError;

/// A 2048-bit RSA key of one domain.
pub struct Key(RsaKeyPair);

impl Key {
    /// A fresh key.
    pub fn generate() -> Result<Self, KeyError> {
        RsaKeyPair::generate(KeySize::Rsa2048).map(Self).map_err(|_| KeyError)
    }

    /// Reads what [`Key::secret`] gave.
    pub fn from_secret(text: &str) -> Result<Self, KeyError> {
        let der = STANDARD.decode(text).map_err(|_| KeyError)?;
        RsaKeyPair::from_pkcs8(&der).map(Self).map_err(|_| KeyError)
    }

    /// PKCS #8, base64: to be sealed.
    pub fn secret(&self) -> Result<String, KeyError> {
        let der = self.0.as_der().map_err(|_| KeyError)?;
        Ok(STANDARD.encode(der.as_ref()))
    }

    /// The text of the DNS record.
    pub fn record(&self) -> Result<String, KeyError> {
        let der = self.0.public_key().as_der().map_err(|_| KeyError)?;
        Ok(format!("k=rsa; t=s; p={}", STANDARD.encode(der.as_ref())))
    }
}

/// The message with a signature before it. `seconds` is the time of signing.
pub fn sign(
    message: &[u8],
    key: &Key,
    domain: &str,
    selector: &str,
    seconds: i64,
) -> Result<Vec<u8>, KeyError> {
    let split =
        message.windows(4).position(|four| four == b"\r\n\r\n").map_or(message.len(), |at| at + 2);
    let headers = headers(&message[..split]);
    let body = message.get(split + 2..).unwrap_or_default();
    let hash = STANDARD.encode(digest::digest(&digest::SHA256, &relaxed_body(body)));
    let mut names = Vec::new();
    let mut signed = Vec::new();
    let mut is_first_from = true;
    for name in SIGNED {
        let found = headers.iter().find(|(known, _)| known == name);
        let is_oversigned = name == "from" && !is_first_from;
        match found {
            Some((name, value)) if !is_oversigned => {
                names.push(name.as_str());
                signed.extend_from_slice(format!("{name}:{value}\r\n").as_bytes());
            }
            Some((name, _)) => names.push(name.as_str()),
            None => {}
        }
        is_first_from &= name != "from";
    }
    // Within a header only spaces and line ends differ between what is hashed and what is sent.
    let head = format!(
        "v=1; a=rsa-sha256; c=relaxed/relaxed; d={domain}; s={selector}; t={seconds}; h={}; bh={hash}; b=",
        names.join(":")
    );
    signed.extend_from_slice(format!("dkim-signature:{head}").as_bytes());
    let mut signature = vec![0; key.0.public_modulus_len()];
    key.0
        .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &signed, &mut signature)
        .map_err(|_| KeyError)?;
    let signature = STANDARD.encode(signature);
    let folded: Vec<_> =
        signature.as_bytes().chunks(70).map(|line| String::from_utf8_lossy(line)).collect();
    let header = format!(
        "DKIM-Signature: {}\r\n {}\r\n",
        head.replace("; ", ";\r\n "),
        folded.join("\r\n ")
    );
    Ok([header.as_bytes(), message].concat())
}

/// Names and values, both relaxed (§3.4.2); the last of a name first, as they are signed.
fn headers(bytes: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(bytes).replace("\r\n\t", " ").replace("\r\n ", " ");
    let lines = text.split("\r\n").filter_map(|line| line.split_once(':'));
    let relaxed = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut all: Vec<_> =
        lines.map(|(name, value)| (name.trim().to_ascii_lowercase(), relaxed(value))).collect();
    all.reverse();
    all
}

/// §3.4.4: spaces at line ends go, runs of spaces are one, empty lines at the end go.
fn relaxed_body(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut is_spaced = false;
        for &byte in line {
            match byte {
                b' ' | b'\t' => is_spaced = true,
                byte => {
                    if is_spaced {
                        out.push(b' ');
                    }
                    is_spaced = false;
                    out.push(byte);
                }
            }
        }
        out.extend_from_slice(b"\r\n");
    }
    while out.ends_with(b"\r\n\r\n") {
        out.truncate(out.len() - 2);
    }
    if out == b"\r\n" {
        out.clear();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_relaxed_as_the_example_of_the_rfc() {
        // RFC 6376 §3.4.5.
        assert_eq!(relaxed_body(b" C \r\nD \t E\r\n\r\n\r\n"), b" C\r\nD E\r\n");
        assert_eq!(relaxed_body(b""), b"");
        assert_eq!(relaxed_body(b"\r\n\r\n"), b"");
        assert_eq!(relaxed_body(b"x"), b"x\r\n");
    }

    #[test]
    fn keys_survive_their_text() {
        let key = Key::generate().unwrap();
        let again = Key::from_secret(&key.secret().unwrap()).unwrap();
        assert_eq!(key.record(), again.record());
        assert!(key.record().unwrap().starts_with("k=rsa; t=s; p=MIIB"));
        assert!(matches!(Key::from_secret("x"), Err(KeyError)));
    }
}
