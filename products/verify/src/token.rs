//! `/v2/Services/{VA}/AccessTokens` (verify §7): lets a device enrol a factor for one identity.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Draft, Field, Op, Param, Resource, Table, Wire};
use store::StoreError;

use crate::Verify;
use crate::entity::check_identity;

const KIND: &str = "VerifyAccessToken";
const TTL: i64 = 60;

pub static TOKEN: Resource<Verify> = Resource {
    table: Table::product(
        KIND,
        "verify",
        "/v2/Services/{ServiceSid}/AccessTokens",
        "/v2/Services/{ServiceSid}/AccessTokens/{Sid}",
    )
    .sid("YK")
    .under(crate::service::KIND)
    .access(Access::Keys("verify/access-tokens"))
    .fields(&[
        Field::sid("sid", &["YK"]),
        Field::sid("account_sid", &["AC"]),
        Field::sid("service_sid", &["VA"]),
        Field::text("entity_identity"),
        Field::new("factor_type", Wire::Enum(&["push"])),
        Field::text("factor_friendly_name"),
        Field::text("token"),
        Field::new("ttl", Wire::Integer(60, 300)),
        Field::new("date_created", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(&[
            Param::text("Identity", 64).required(60305).code(60305),
            Param::one_of("FactorType", &["push"]).required(60305).code(60305),
            Param::text("FactorFriendlyName", 64).code(60305),
            Param::integer("Ttl", 60, 300).code(60305).default("60"),
        ])
        .with(|verify, ctx, draft| Box::pin(async { issue(verify, ctx, draft) })),
        // Differs: the token is shown once, when it is made.
        Op::fetch(),
    ],
};

/// The token is shown, and kept as a hash.
fn issue(verify: &Verify, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let identity = draft.text("identity").unwrap_or_default().to_owned();
    check_identity(&identity).map_err(|error| ApiError::new(60305, error.message))?;
    let service = ctx.param("ServiceSid");
    let secret = ctx.clock.alphanumeric_token(48);
    let place = format!("{} {service} {} {secret}", ctx.account, draft.sid);
    let hash = verify.codes.of(&[draft.sid.as_bytes(), secret.as_bytes()]);
    draft.set("hash", HEXLOWER.encode(&hash));
    draft.set("service_sid", service);
    draft.set("entity_identity", identity);
    if draft.fields.get("ttl").is_none_or(serde_json::Value::is_null) {
        draft.set("ttl", TTL);
    }
    draft.reveal("token", BASE64URL_NOPAD.encode(place.as_bytes()));
    Ok(())
}

/// Account and SID of a token that is good now.
pub(crate) async fn login(verify: &Verify, token: &str) -> Result<Option<(Sid, Sid)>, StoreError> {
    let text = BASE64URL_NOPAD.decode(token.as_bytes()).ok();
    let text = text.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let parts: Vec<&str> = text.split(' ').collect();
    let [account, service, sid, secret] = parts[..] else { return Ok(None) };
    let (Ok(account), Ok(parsed)) = (account.parse::<Sid>(), sid.parse::<Sid>()) else {
        return Ok(None);
    };
    let store = verify.parts.store.account(account);
    let Some(doc) = rest::load(&store, KIND, service, sid).await? else { return Ok(None) };
    let known = doc.text("hash").and_then(|hash| HEXLOWER.decode(hash.as_bytes()).ok());
    let ttl = doc.fields.get("ttl").and_then(serde_json::Value::as_u64).unwrap_or(0);
    let is_good =
        verify.codes.fits(&[sid.as_bytes(), secret.as_bytes()], &known.unwrap_or_default())
            && verify.parts.clock.now().since(doc.date_created).as_secs() < ttl;
    Ok(is_good.then_some((account, parsed)))
}

/// Whether the token `sid` was made for this service and identity.
pub(crate) async fn is_for(ctx: &Ctx, sid: Sid, identity: &str) -> Result<bool, StoreError> {
    let doc = rest::load(&ctx.store, KIND, ctx.param("ServiceSid"), &sid.to_string()).await?;
    Ok(doc.is_some_and(|doc| doc.text("entity_identity") == Some(identity)))
}
