//! OAuth 2 client credentials (rest-conventions §12.4).
//!
//! An app is a document whose secret is shown once; a token is an HS256 JWT with
//! `exp`, because every SDK reads the expiry from it.

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Draft, Field, Op, Param, Reply, Resource, Table, Verb, Wire};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Accounts;
use crate::gate::failed;

/// Seconds a token lives unless its app says otherwise; 1 minute to 30 days.
const TTL_DEFAULT: i64 = 3600;
const KIND: &str = "OAuthApp";

const APP_PARAMS: &[Param] = &[
    Param::text("type", 64),
    Param::text("friendly_name", 64).code(20002),
    Param::sid("owner_sid", &["AC", "OR"]),
    Param::text("description", 500),
    Param::sid("client_sid", &["OQ"]),
    Param::new("policy", Wire::Json),
    Param::integer("access_token_ttl", 60, 2_592_000),
];
const APP_UPDATE_PARAMS: &[Param] = &[
    Param::text("type", 64),
    Param::text("friendly_name", 64).code(20002),
    Param::text("description", 500),
    Param::new("policy", Wire::Json),
    Param::integer("access_token_ttl", 60, 2_592_000),
];
const APP_FIELDS: &[Field] = &[
    Field::text("type"),
    Field::sid("sid", &["OQ"]),
    Field::text("friendly_name"),
    Field::text("description"),
    Field::new("date_created", Wire::Iso8601),
    Field::text("created_by"),
    Field::text("secret"),
    Field::text("status"),
    Field::new("policy", Wire::Json).empty("{}"),
    Field::new("access_token_ttl", Wire::Integer(60, 2_592_000)),
];

pub static APP: Resource<Accounts> = Resource {
    table: Table::product(KIND, "iam", "/v1/Account/OAuthApps", "/v1/Account/OAuthApps/{sid}")
        .key("oauth_apps")
        .sid("OQ")
        .fields(APP_FIELDS)
        .access(Access::AccountAdmin),
    ops: &[
        Op::create(APP_PARAMS)
            .json()
            .with(|_, ctx, draft| Box::pin(async move { complete(ctx, draft) })),
        Op::update(APP_UPDATE_PARAMS)
            .json()
            .with(|_, ctx, draft| Box::pin(async move { complete(ctx, draft) })),
        Op::delete(),
    ],
};

/// A policy has both of its lists. A new app gets a secret; only its hash is kept.
fn complete(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let policy = draft.fields.get("policy").cloned().unwrap_or(json!({}));
    let list = |name: &str| policy.get(name).filter(|list| list.is_array()).cloned();
    draft.set(
        "policy",
        json!({
            "allow": list("allow").unwrap_or(json!([])),
            "deny": list("deny").unwrap_or(json!([])),
        }),
    );
    if draft.verb == Verb::Update {
        return Ok(());
    }
    let secret = ctx.clock.alphanumeric_token(32);
    draft.set("secret_hash", hash(&secret));
    draft.set("status", "active");
    draft.set("created_by", ctx.account.to_string());
    if draft.text("type").is_none() {
        draft.set("type", "standard");
    }
    if !draft.fields.contains_key("access_token_ttl") {
        draft.set("access_token_ttl", TTL_DEFAULT);
    }
    let sid = draft.sid.clone();
    draft.claim("oauth-app", &sid);
    // The secret itself is part of this answer and of nothing that is stored.
    draft.reveal("secret", secret);
    Ok(())
}

const TOKEN_PARAMS: &[Param] = &[
    Param::text("grant_type", 64).required(20001),
    Param::text("client_id", 64).required(20001),
    Param::text("client_secret", 256),
    Param::text("code", 2048),
    Param::text("redirect_uri", 2048),
    Param::text("audience", 2048),
    Param::text("refresh_token", 4096),
    Param::text("scope", 4096),
    Param::sid("account_sid", &["AC"]),
];
const TOKEN_PARAMS_V1: &[Param] = &[
    Param::text("GrantType", 64).required(20001),
    Param::text("ClientId", 64).required(20001),
    Param::text("ClientSecret", 256),
    Param::text("Code", 2048),
    Param::text("RedirectUri", 2048),
    Param::text("Audience", 2048),
    Param::text("RefreshToken", 4096),
    Param::text("Scope", 4096),
];
const TOKEN_FIELDS: &[Field] = &[
    Field::text("access_token"),
    Field::text("refresh_token"),
    Field::text("id_token"),
    Field::text("token_type"),
    Field::new("expires_in", Wire::Integer(0, i64::MAX)),
];

const fn token_table(product: &'static str, path: &'static str) -> Table {
    Table::product("Token", product, "", path)
        .singleton()
        .fields(TOKEN_FIELDS)
        .access(Access::Public)
}

pub static TOKEN_V2: Resource<Accounts> = Resource {
    table: token_table("oauth", "/v2/token"),
    ops: &[Op::create(TOKEN_PARAMS).at_instance().status(200).by(|a, ctx| Box::pin(token(a, ctx)))],
};
pub static TOKEN_V1: Resource<Accounts> = Resource {
    table: token_table("oauth", "/v1/token"),
    ops: &[Op::create(TOKEN_PARAMS_V1).at_instance().by(|a, ctx| Box::pin(token(a, ctx)))],
};
pub static TOKEN_IAM: Resource<Accounts> = Resource {
    table: token_table("iam", "/v1/token"),
    ops: &[Op::create(TOKEN_PARAMS).at_instance().by(|a, ctx| Box::pin(token(a, ctx)))],
};

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    /// The app.
    client: String,
    iat: i64,
    exp: i64,
}

/// An app as a token names it.
pub(crate) struct App {
    pub sid: Sid,
    pub account: Sid,
    /// Empty: everything a standard key may do.
    pub policy: Vec<String>,
    secret_hash: String,
    ttl: i64,
}

async fn token(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    let value = |snake: &str, pascal: &str| {
        ctx.form.text(snake).or_else(|| ctx.form.text(pascal)).map(str::to_owned)
    };
    let grant = value("grant_type", "GrantType").unwrap_or_default();
    if grant != "client_credentials" {
        let why = format!("grant_type '{grant}' is not supported: use client_credentials");
        return Err(ApiError::new(20001, why));
    }
    let refused = || rest::unauthenticated("Authenticate: client_id or client_secret is wrong");
    let sid = value("client_id", "ClientId").and_then(|id| id.parse::<Sid>().ok());
    let secret = value("client_secret", "ClientSecret").unwrap_or_default();
    let app = match sid {
        Some(sid) => find(accounts, sid).await?.ok_or_else(refused)?,
        None => return Err(refused()),
    };
    let given = hash(&secret);
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(
        given.as_bytes(),
        app.secret_hash.as_bytes(),
    );
    same.map_err(|_| refused())?;
    let now = ctx.clock.wall().as_seconds();
    let claims = Claims {
        iss: "offhook".into(),
        sub: app.account.to_string(),
        client: app.sid.to_string(),
        iat: now,
        exp: now + app.ttl,
    };
    let key = EncodingKey::from_secret(signing_key(accounts).await?.as_bytes());
    let jwt = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
        .map_err(|error| ApiError::internal(&error.to_string()))?;
    let answer = json!({
        "access_token": jwt,
        "token_type": "Bearer",
        "expires_in": app.ttl,
        "id_token": null,
        "refresh_token": null,
    });
    Ok(Reply::Json(ctx.op.status, answer))
}

/// The app behind a token.
///
/// # Errors
/// 20101 / 401 malformed, 20104 expired, 20107 wrong signature, 20103 app gone.
pub(crate) async fn verify(accounts: &Accounts, token: &str) -> Result<App, ApiError> {
    use jsonwebtoken::errors::ErrorKind;
    let key = DecodingKey::from_secret(signing_key(accounts).await?.as_bytes());
    let mut validation = Validation::new(Algorithm::HS256);
    validation.leeway = 0;
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|error| {
        let (code, why) = match error.kind() {
            ErrorKind::ExpiredSignature => (20104, "Access Token expired: request a new one"),
            ErrorKind::InvalidSignature => (20107, "Access Token signature is wrong"),
            _ => (20101, "Access Token is not valid"),
        };
        ApiError::new(code, why).with_status(401)
    })?;
    let gone = || ApiError::new(20103, "The OAuth app of this Access Token is gone");
    let sid = claims.claims.client.parse::<Sid>().map_err(|_| gone())?;
    find(accounts, sid).await?.ok_or_else(gone)
}

async fn find(accounts: &Accounts, sid: Sid) -> Result<Option<App>, ApiError> {
    let sql = "SELECT account_sid FROM claim WHERE name = 'oauth-app' AND value = $1";
    let row = accounts.store.point(sql, vec![sid.into()]).await.map_err(failed)?;
    let Some(account) = row.map(|row| row.sid(0)) else { return Ok(None) };
    let store = accounts.store.account(account);
    let doc = rest::load(&store, KIND, "", &sid.to_string()).await.map_err(failed)?;
    Ok(doc.map(|doc| App {
        sid,
        account,
        policy: doc
            .fields
            .get("policy")
            .map(|p| crate::key::allowed(&p.to_string()))
            .unwrap_or_default(),
        secret_hash: doc.text("secret_hash").unwrap_or_default().to_owned(),
        ttl: doc
            .fields
            .get("access_token_ttl")
            .and_then(serde_json::Value::as_i64)
            .unwrap_or(TTL_DEFAULT),
    }))
}

/// The instance's own signing key; made on first use, sealed like every secret.
async fn signing_key(accounts: &Accounts) -> Result<String, ApiError> {
    let sql = "SELECT value FROM meta WHERE name = 'oauth_key'";
    for _ in 0..2 {
        if let Some(row) = accounts.store.point(sql, vec![]).await.map_err(failed)? {
            let bytes: Vec<u8> = serde_json::from_str(row.text(0)).unwrap_or_default();
            return accounts.open_secret(&bytes).map_err(failed);
        }
        let sealed = accounts.sealer.seal(&accounts.clock.alphanumeric_token(64));
        let mut batch = store::Batch::new();
        batch.run(
            "INSERT INTO meta (name, value) VALUES ('oauth_key', $1) ON CONFLICT DO NOTHING",
            vec![json!(sealed).to_string().into()],
        );
        accounts.store.commit(batch).await.map_err(failed)?;
    }
    Err(ApiError::new(20503, "The signing key is being made; try again"))
}

fn hash(secret: &str) -> String {
    digest(&SHA256, secret.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
