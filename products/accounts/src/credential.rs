//! `accounts/v1/Credentials`: keys of other services and of clients, kept for an account.
//!
//! Differs: they are kept and named only: nothing here uploads to AWS with them, and no request is
//! validated by a public key. Secrets are sealed and never shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kernel::ApiError;
use rest::{Access, Ctx, Draft, Field, Op, Param, Resource, Table, Wire};

use crate::Accounts;

const AWS_KIND: &str = "CredentialAws";
const PUBLIC_KEY_KIND: &str = "CredentialPublicKey";
/// Of one account and kind.
const CREDENTIALS_MAX: i64 = 100;
const NAME: Param = Param::text("FriendlyName", 64);

const FIELDS: &[Field] = &[
    Field::sid("sid", &["CR"]),
    Field::sid("account_sid", &["AC"]),
    Field::text("friendly_name"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
];

const fn table(name: &'static str, list: &'static str, instance: &'static str) -> Table {
    Table::product(name, "accounts", list, instance)
        .key("credentials")
        .sid("CR")
        .fields(FIELDS)
        .access(Access::AccountAdmin)
}

pub static AWS: Resource<Accounts> = Resource {
    table: table(AWS_KIND, "/v1/Credentials/AWS", "/v1/Credentials/AWS/{Sid}"),
    ops: &[
        Op::create(&[
            Param::text("Credentials", 1024).required(20001),
            NAME,
            Param::sid("AccountSid", &["AC"]),
        ])
        .with(|accounts, ctx, draft| Box::pin(keep_aws(accounts, ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[NAME]),
        Op::delete(),
    ],
};

pub static PUBLIC_KEY: Resource<Accounts> = Resource {
    table: table(PUBLIC_KEY_KIND, "/v1/Credentials/PublicKeys", "/v1/Credentials/PublicKeys/{Sid}"),
    ops: &[
        Op::create(&[
            Param::text("PublicKey", 8192).required(20001),
            NAME,
            Param::sid("AccountSid", &["AC"]),
        ])
        .with(|_, ctx, draft| Box::pin(keep_public_key(ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[NAME]),
        Op::delete(),
    ],
};

/// Room for one more, of the caller's own account.
async fn check(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    if let Some(owner) = ctx.form.sid("AccountSid").filter(|owner| *owner != ctx.account) {
        let why = format!("AccountSid: {owner} is another account; use its own credentials");
        return Err(ApiError::new(20001, why));
    }
    draft.fields.remove("account_sid");
    let sql = "SELECT COUNT(*) FROM resource WHERE account_sid = $1 AND kind = $2";
    let row = ctx.store.point(sql, vec![ctx.table.name.into()]).await;
    let count = row.map_err(|error| rest::store_error(ctx, error))?.map_or(0, |row| row.int(0));
    if count >= CREDENTIALS_MAX {
        let why = format!("There are {count} credentials already, and no more are allowed");
        return Err(ApiError::new(20001, why));
    }
    Ok(())
}

/// `ACCESS_KEY_ID:SECRET`, of which the secret is sealed.
async fn keep_aws(accounts: &Accounts, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let given = ctx.form.text("Credentials").unwrap_or_default();
    let halves = given.split_once(':').filter(|(id, secret)| !id.is_empty() && !secret.is_empty());
    let (id, secret) = halves
        .ok_or_else(|| ApiError::new(20001, "Credentials: send ACCESS_KEY_ID:SECRET_ACCESS_KEY"))?;
    check(ctx, draft).await?;
    draft.fields.remove("credentials");
    draft.set("access_key_id", id);
    draft.set("sealed_secret", STANDARD.encode(accounts.sealer.seal(secret)));
    Ok(())
}

/// A public key in PEM.
async fn keep_public_key(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let given = ctx.form.text("PublicKey").unwrap_or_default().trim();
    if !is_public_key(given) {
        let why = "PublicKey: send PEM that begins -----BEGIN PUBLIC KEY-----";
        return Err(ApiError::new(20001, why));
    }
    check(ctx, draft).await
}

fn is_public_key(pem: &str) -> bool {
    let inside = pem
        .strip_prefix("-----BEGIN PUBLIC KEY-----")
        .and_then(|rest| rest.strip_suffix("-----END PUBLIC KEY-----"));
    let Some(inside) = inside else { return false };
    let text: String = inside.split_whitespace().collect();
    STANDARD.decode(text).is_ok_and(|der| !der.is_empty())
}

#[cfg(test)]
mod tests {
    use super::is_public_key;

    #[test]
    fn public_keys_are_pem() {
        let pem = |inside: &str| {
            format!("-----BEGIN PUBLIC KEY-----\n{inside}\n-----END PUBLIC KEY-----")
        };
        assert!(is_public_key(&pem("MIIB\nAAAA")));
        for wrong in [pem(""), pem("***"), "MIIB".to_owned()] {
            assert!(!is_public_key(&wrong), "{wrong}");
        }
    }
}
