//! Who asks. The accounts product answers through the [`Gate`].

use base64::Engine;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use kernel::{ApiError, Sid};

use crate::table::{Access, BoxFuture, Table, Verb};

/// What a request shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    Basic { user: String, password: String },
    Bearer(String),
}

impl Login {
    /// Reads the `Authorization` header.
    ///
    /// # Errors
    /// 20003 / 401 when it is absent or malformed.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, ApiError> {
        let none = "Authentication Error - No credentials provided: send HTTP Basic with the \
                    account SID and auth token";
        let header = headers.get(AUTHORIZATION).ok_or_else(|| unauthenticated(none))?;
        let header = header.to_str().map_err(|_| unauthenticated("Authenticate"))?;
        let (scheme, value) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Self::Bearer(value.trim().to_owned()));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(unauthenticated("Authentication Error - use HTTP Basic or a Bearer token"));
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok();
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = text
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or_else(|| unauthenticated("Authentication Error - malformed Basic credentials"))?;
        Ok(Self::Basic { user: user.to_owned(), password: password.to_owned() })
    }
}

/// 20003 / 401.
pub fn unauthenticated(message: &str) -> ApiError {
    ApiError::new(20003, message)
}

/// What the credential may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The account's auth token.
    Token,
    MainKey,
    StandardKey,
    /// Permission strings such as `/twilio/messaging/messages/read`.
    RestrictedKey(Vec<String>),
    /// Magic numbers only; nothing is kept.
    Test,
}

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Principal {
    pub account: Sid,
    pub credential: Credential,
    /// SID of the account or key, for the audit.
    pub actor: Sid,
    /// This request brought the account into being (development profile).
    pub adopted: bool,
}

impl Principal {
    /// Checks key type and policy.
    ///
    /// # Errors
    /// 20003 / 401 for keys on account administration; 70051 / 401 for a
    /// permission that a restricted key lacks.
    pub fn permits(&self, table: &Table, verb: Verb) -> Result<(), ApiError> {
        match (&self.credential, table.access) {
            (Credential::Token | Credential::MainKey | Credential::Test, _)
            | (_, Access::Public)
            | (Credential::StandardKey, Access::Keys(_) | Access::PublicBytes(_)) => Ok(()),
            (_, Access::AccountAdmin) => Err(unauthenticated(
                "Authentication Error - this resource needs the account's auth token or a main key",
            )),
            (Credential::RestrictedKey(policy), Access::Keys(path) | Access::PublicBytes(path)) => {
                let wanted = format!("/twilio/{path}/{}", verb.permission());
                if policy.contains(&wanted) {
                    return Ok(());
                }
                let why = format!("Authorization failed: the API key lacks {wanted}");
                Err(ApiError::new(70051, why).with_status(401))
            }
        }
    }
}

/// Decides who is in. Implemented by the accounts product.
pub trait Gate: Send + Sync {
    /// # Errors
    /// 20003 / 401 when the login opens nothing; 20005 / 403 when the account is
    /// suspended or closed. `path_account` is the account that the path names: an
    /// unknown API key is adopted into it (development profile).
    fn authenticate(
        &self,
        login: Login,
        path_account: Option<Sid>,
    ) -> BoxFuture<'_, Result<Principal, ApiError>>;

    /// May `principal` do `verb` on `account`, which its path names?
    ///
    /// # Errors
    /// 20003 / 401 when it may not; 20005 / 403 for a change to an inactive account.
    fn reach<'a>(
        &'a self,
        principal: &'a Principal,
        account: Sid,
        verb: Verb,
    ) -> BoxFuture<'a, Result<(), ApiError>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(header: &str) -> Result<Login, u32> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().unwrap());
        Login::from_headers(&headers).map_err(|error| error.code)
    }

    #[test]
    fn reads_basic_and_bearer_and_refuses_the_rest() {
        let basic = Login::Basic { user: "AC1".into(), password: "a:b".into() };
        assert_eq!(login("Basic QUMxOmE6Yg=="), Ok(basic));
        assert_eq!(login("bearer x.y.z"), Ok(Login::Bearer("x.y.z".into())));
        for bad in ["Basic", "Basic !!!", "Basic QUMx", "Digest x"] {
            assert_eq!(login(bad), Err(20003), "{bad}");
        }
        assert_eq!(Login::from_headers(&HeaderMap::new()).map_err(|e| e.status), Err(401));
    }
}
