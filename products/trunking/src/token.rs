//! `/Tokens`: the STUN and TURN servers that WebRTC reaches the world by, with credentials for a
//! while.
//!
//! Differs: there are the servers that the operator has configured, and none without; then programs
//! reach only whom they see directly.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kernel::{ApiError, Secret};
use rest::{Access, Ctx, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::Trunking;

/// Seconds: a day.
const TTL_MAX: i64 = 86_400;

/// A server as the operator configures it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IceServer {
    /// `stun:stun.example.com:3478` or `turn:turn.example.com:3478?transport=udp`.
    pub url: String,
    /// What a TURN server shares with whoever lets people in; credentials are made with it.
    #[serde(default)]
    pub secret: Option<Secret>,
}

pub static TOKEN: Resource<Trunking> = Resource {
    table: Table::v2010("Token", "/2010-04-01/Accounts/{AccountSid}/Tokens", "")
        .collection()
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::new("date_created", Wire::Rfc2822),
            Field::new("date_updated", Wire::Rfc2822),
            Field::new("ice_servers", Wire::Json).empty("[]"),
            Field::text("password"),
            Field::text("ttl"),
            Field::text("username"),
        ])
        .access(Access::Keys("voice/tokens")),
    ops: &[Op::create(&[Param::integer("Ttl", 1, TTL_MAX)])
        .by(|sip, ctx| Box::pin(async move { create(sip, ctx) }))],
};

/// Credentials as TURN servers with a shared secret check them: the name is the time at which they
/// end, the password its keyed hash.
fn password(secret: &str, username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    STANDARD.encode(hmac::sign(&key, username.as_bytes()))
}

fn create(sip: &Trunking, ctx: &Ctx) -> Result<Reply, ApiError> {
    let ttl = ctx.form.integer("Ttl").unwrap_or(TTL_MAX);
    let ends = ctx.now.as_micros() / 1_000_000 + ttl;
    let username = format!("{ends}:{}", ctx.account);
    let mut first = None;
    let servers = sip.parts.config.ice_servers.iter().map(|server| {
        let mut shown = json!({"url": server.url, "urls": server.url});
        if let Some(secret) = &server.secret {
            let password = password(&secret.0, &username);
            shown["username"] = username.as_str().into();
            shown["credential"] = password.as_str().into();
            first.get_or_insert(password);
        }
        shown
    });
    let servers: Vec<Json> = servers.collect();
    let mut record = Record::new("");
    record
        .set("account_sid", ctx.account)
        .set("date_created", ctx.now)
        .set("date_updated", ctx.now)
        .set("ice_servers", Json::Array(servers))
        .set("password", first)
        .set("ttl", ttl.to_string())
        .set("username", username);
    Ok(Reply::Record(record))
}

#[cfg(test)]
mod tests {
    use super::password;

    /// RFC 2202, test case 2.
    #[test]
    fn passwords_are_keyed_hashes() {
        assert_eq!(
            password("Jefe", "what do ya want for nothing?"),
            "7/zfauXrL6LSdBbV8YTfnCWafHk="
        );
    }
}
