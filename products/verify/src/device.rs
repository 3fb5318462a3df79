//! What devices sign (verify §7): ECDSA over P-256, and who a device is when it calls.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ParsedPublicKey, UnparsedPublicKey,
};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use kernel::{ApiError, Sid};
use rest::{Credential, Principal, unauthenticated};
use serde_json::Value as Json;
use store::{AccountStore, StoreError};

use crate::Verify;
use crate::{factor, token};

/// Seconds that a device's clock may differ by.
const LEEWAY: i64 = 300;
/// What a device may do with the token that its backend got for it.
const ENROL: &[&str] = &["/twilio/verify/factors/create"];
/// What a device may do that signs its calls with its factor's key.
const ENROLLED: &[&str] = &[
    "/twilio/verify/factors/read",
    "/twilio/verify/factors/update",
    "/twilio/verify/factors/delete",
    "/twilio/verify/challenges/list",
    "/twilio/verify/challenges/read",
    "/twilio/verify/challenges/update",
];

/// The bytes of a public key (base64 of a SubjectPublicKeyInfo) if it is one on P-256.
pub(crate) fn public_key(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64.decode(text.as_bytes()).ok()?;
    ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &bytes).ok()?;
    Some(bytes)
}

/// Whether `signature` (DER) is the key's over `message`.
pub(crate) fn signs(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(message, signature).is_ok()
}

/// Header and payload of a JWT, and what is signed of it. Nothing is verified.
pub(crate) struct Jwt<'a> {
    pub header: Json,
    pub payload: Json,
    signed: &'a [u8],
    signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let json = |part: &str| {
            let bytes = BASE64URL_NOPAD.decode(part.trim_end_matches('=').as_bytes()).ok()?;
            serde_json::from_slice::<Json>(&bytes).ok()
        };
        let signature = BASE64URL_NOPAD.decode(signature.trim_end_matches('=').as_bytes()).ok()?;
        let (header, payload) = (json(header)?, json(payload)?);
        Some(Self { header, payload, signed: signed.as_bytes(), signature })
    }

    /// Whether it is an ES256 token of this key. Some devices put the signature in DER.
    pub fn is_of(&self, key: &[u8]) -> bool {
        let fixed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key);
        self.header["alg"] == "ES256"
            && (fixed.verify(self.signed, &self.signature).is_ok()
                || signs(key, self.signed, &self.signature))
    }
}

impl Verify {
    /// Who logs in as `token`: a device with an access token, or with a JWT of its factor's key.
    ///
    /// # Errors
    /// 20003 / 401 for anything else.
    pub async fn device_login(&self, password: &str) -> Result<Principal, ApiError> {
        let wrong = || unauthenticated("Authenticate: the token is not valid, or not any more");
        let failed = |error: StoreError| {
            tracing::error!(%error, "a device's token could not be looked up");
            ApiError::new(20503, "The service is overloaded or stopping; try again")
        };
        let (account, actor, may) = match password.contains('.') {
            false => {
                let (account, token) =
                    token::login(self, password).await.map_err(failed)?.ok_or_else(wrong)?;
                (account, token, ENROL)
            }
            true => {
                let (account, factor) =
                    self.signed_login(password).await.map_err(failed)?.ok_or_else(wrong)?;
                (account, factor, ENROLLED)
            }
        };
        let policy = may.iter().map(|permission| (*permission).to_owned()).collect();
        let credential = Credential::RestrictedKey(policy);
        Ok(Principal { account, credential, actor, adopted: false })
    }

    /// The account and factor of a device's JWT. Devices go by the wall clock.
    async fn signed_login(&self, text: &str) -> Result<Option<(Sid, Sid)>, StoreError> {
        let Some(jwt) = Jwt::parse(text) else { return Ok(None) };
        let sid = |value: &Json, prefix: &str| {
            let sid = value.as_str()?.parse::<Sid>().ok()?;
            (sid.prefix() == prefix).then_some(sid)
        };
        let account = sid(&jwt.payload["sub"], "AC");
        let Some((account, kid)) = account.zip(sid(&jwt.header["kid"], "CR")) else {
            return Ok(None);
        };
        let now = self.parts.clock.wall().as_micros() / 1_000_000;
        let time = |name: &str| jwt.payload[name].as_f64().map(|seconds| seconds as i64);
        let is_now = time("exp").is_some_and(|exp| now < exp + LEEWAY)
            && time("nbf").is_none_or(|nbf| nbf - LEEWAY <= now);
        let store = self.parts.store.account(account);
        let sid = kid.with_prefix("YF");
        let Some(found) = factor::find(&store, sid).await? else { return Ok(None) };
        let key = found.doc.text("public_key").and_then(public_key).unwrap_or_default();
        Ok((is_now && jwt.is_of(&key)).then_some((account, sid)))
    }
}

/// The document's place, from the claim that names it.
pub(crate) async fn claimed(
    store: &AccountStore,
    name: &str,
    value: &str,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
    let row = store.point(sql, vec![name.into(), value.into()]).await?;
    Ok(row.map(|row| row.text(0).to_owned()))
}
