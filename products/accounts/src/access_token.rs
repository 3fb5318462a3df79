//! Access tokens: JWTs that a customer's server signs with an API key's secret, for its programs in
//! browsers and telephones (realtime-protocols §1.1).

use contracts::{BoxFuture, ClientGrant, ClientRefusal, ClientTokens, Unavailable};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use kernel::{Sid, Timestamp};
use serde::Deserialize;
use serde_json::Value as Json;

use crate::Accounts;

/// A token, in characters.
const TOKEN_CHARS_MAX: usize = 16_384;
/// How far the clocks of servers differ.
const LEEWAY_SECONDS: i64 = 10;

#[derive(Deserialize)]
struct Claims {
    /// The key that signed it.
    iss: String,
    /// The account.
    sub: String,
    exp: Option<i64>,
    nbf: Option<i64>,
    #[serde(default)]
    grants: Json,
}

fn refusal<T>(code: u32, message: &str) -> Result<T, ClientRefusal> {
    Err(ClientRefusal { code, message: message.to_owned() })
}

impl ClientTokens for Accounts {
    fn voice_grant<'a>(
        &'a self,
        token: &'a str,
    ) -> BoxFuture<'a, Result<Result<ClientGrant, ClientRefusal>, Unavailable>> {
        Box::pin(self.read_voice_grant(token))
    }
}

impl Accounts {
    async fn read_voice_grant(
        &self,
        token: &str,
    ) -> Result<Result<ClientGrant, ClientRefusal>, Unavailable> {
        let failed = |error: store::StoreError| Unavailable(error.to_string());
        if token.len() > TOKEN_CHARS_MAX {
            return Ok(refusal(20101, "Invalid Access Token"));
        }
        // The issuer says whose secret it is checked with.
        let Ok(read) = jsonwebtoken::dangerous::insecure_decode::<Claims>(token) else {
            return Ok(refusal(20101, "Invalid Access Token"));
        };
        let algorithm = read.header.alg;
        if !ALGORITHMS.contains(&algorithm) {
            return Ok(refusal(20102, "Invalid Access Token header"));
        }
        let claims = read.claims;
        let (Ok(key), Ok(account)) = (claims.iss.parse::<Sid>(), claims.sub.parse::<Sid>()) else {
            return Ok(refusal(20103, "Invalid Access Token issuer/subject"));
        };
        let known = self.key(key).await.map_err(failed)?;
        match known {
            Some(known) if known.account != account => {
                return Ok(refusal(20103, "Invalid Access Token issuer/subject"));
            }
            Some(known) => {
                let secret = DecodingKey::from_secret(known.secret.as_bytes());
                let mut validation = Validation::new(algorithm);
                validation.validate_exp = false;
                validation.required_spec_claims.clear();
                match jsonwebtoken::decode::<Claims>(token, &secret, &validation) {
                    Ok(_) => {}
                    Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => {
                        return Ok(refusal(20107, "Invalid Access Token signature"));
                    }
                    Err(_) => return Ok(refusal(20101, "Invalid Access Token")),
                }
            }
            // Differs: on a developer's machine a key that nobody made here is believed, so that
            // programs run with the credentials they have.
            None if self.development => {
                tracing::info!(%key, "a token of an unknown key is believed in development");
            }
            None => return Ok(refusal(20103, "Invalid Access Token issuer/subject")),
        }
        let is_active = self.account(account).await.map_err(failed)?;
        if !self.development && is_active.is_none_or(|account| account.status != "active") {
            return Ok(refusal(20103, "Invalid Access Token issuer/subject"));
        }
        let now = self.clock.now().as_micros() / 1_000_000;
        let Some(expires) = claims.exp else {
            return Ok(refusal(20104, "Access Token expired or expiration date invalid"));
        };
        if expires < now {
            return Ok(refusal(20104, "Access Token expired or expiration date invalid"));
        }
        if claims.nbf.is_some_and(|begin| begin > now + LEEWAY_SECONDS) {
            return Ok(refusal(20105, "Access Token not yet valid"));
        }
        Ok(voice(&claims.grants, account, Timestamp::from_millis(expires.saturating_mul(1000))))
    }
}

const ALGORITHMS: [Algorithm; 3] = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

fn voice(grants: &Json, account: Sid, expires: Timestamp) -> Result<ClientGrant, ClientRefusal> {
    let grant = &grants["voice"];
    let identity = grants["identity"].as_str().unwrap_or_default();
    if !grant.is_object() {
        return refusal(20106, "Invalid Access Token grants");
    }
    let is_named =
        |c: char| c.is_ascii_alphanumeric() || "_.@+-~%$!*'(),;:=&".contains(c) || !c.is_ascii();
    if identity.chars().count() > 256 || !identity.chars().all(is_named) {
        return refusal(31105, "Invalid client name");
    }
    let outgoing = &grant["outgoing"];
    let params = outgoing["params"].as_object().into_iter().flatten();
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(ClientGrant {
        account,
        identity: identity.to_owned(),
        may_be_called: grant["incoming"]["allow"].as_bool().unwrap_or(false),
        application: outgoing["application_sid"].as_str().and_then(|sid| sid.parse().ok()),
        params: params.map(|(name, value)| (name.clone(), text(value))).collect(),
        expires,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_grant_says_who_may_call_and_be_called() {
        let account: Sid = "AC00000000000000000000000000000001".parse().unwrap();
        let read = |grants: Json| voice(&grants, account, Timestamp::EPOCH);
        let grant = read(json!({
            "identity": "ann",
            "voice": {
                "incoming": { "allow": true },
                "outgoing": {
                    "application_sid": "AP00000000000000000000000000000001",
                    "params": { "a": "b", "n": 1 },
                },
            },
        }))
        .unwrap();
        assert_eq!((grant.identity.as_str(), grant.may_be_called), ("ann", true));
        assert!(grant.application.is_some());
        assert_eq!(grant.params.len(), 2);
        assert!(!read(json!({ "identity": "a", "voice": {} })).unwrap().may_be_called);
        assert_eq!(read(json!({ "identity": "a" })).unwrap_err().code, 20106);
        assert_eq!(read(json!({ "identity": "a b", "voice": {} })).unwrap_err().code, 31105);
    }
}
