//! `/v2/Services/{VA}/Passkeys` (verify §8): factors that browsers hold.
//!
//! Differs: challenges are random, not SIDs, and hold ten minutes.

use std::time::Duration;

use data_encoding::{BASE64, BASE64URL_NOPAD};
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Doc, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::StoreError;

use crate::challenge::{self, status};
use crate::entity::{self, fresh, place};
use crate::factor::{self, Factor, claim};
use crate::faults::failed;
use crate::service::Service;
use crate::webauthn::{self, Asked, Credential, Fault, decode};
use crate::{Verify, device};

/// The claim of a challenge under way; its value is the challenge.
const ASKED: &str = "verify-passkey-challenge";
/// The claim of a passkey by account, service and credential.
const KNOWN: &str = "verify-passkey";
const TIME: Duration = Duration::from_secs(600);
const TYPE: &str = "passkeys";

const fn table(name: &'static str, path: &'static str) -> Table {
    Table::product(name, "verify", path, "").collection().access(Access::Keys("verify/passkeys"))
}

/// A field that only new challenges of passkeys have.
const OPTIONS: Field = Field::new("options", Wire::Json);

const CHALLENGE_FIELDS: [Field; 19] = {
    let mut fields = [OPTIONS; 19];
    let mut at = 0;
    while at < challenge::FIELDS.len() {
        fields[at] = challenge::FIELDS[at];
        at += 1;
    }
    fields
};

const RESPONSE: [Param; 5] = [
    Param::text("id", 1024).code(60375),
    Param::text("rawId", 1024).code(60376),
    Param::one_of("authenticatorAttachment", &["platform", "cross-platform"]).code(60377),
    Param::one_of("type", &["public-key"]).code(60300),
    Param::new("response", Wire::Json).required(60378).code(60378),
];

pub static NEW_FACTOR: Resource<Verify> = Resource {
    table: table("NewPasskeyFactor", "/v2/Services/{ServiceSid}/Passkeys/Factors")
        .fields(factor::NEW_FIELDS),
    ops: &[Op::create(&[
        Param::text("friendly_name", 64).required(60388).code(60388),
        Param::text("identity", 64).required(60367).code(60367),
        Param::new("config", Wire::Json).code(60370),
    ])
    .json()
    .by(|verify, ctx| Box::pin(register(verify, ctx)))],
};

pub static VERIFY_FACTOR: Resource<Verify> = Resource {
    table: table("VerifyPasskeyFactor", "/v2/Services/{ServiceSid}/Passkeys/VerifyFactor")
        .fields(factor::FIELDS),
    ops: &[Op::create(&RESPONSE)
        .status(200)
        .json()
        .by(|verify, ctx| Box::pin(verify_factor(verify, ctx)))],
};

pub static NEW_CHALLENGE: Resource<Verify> = Resource {
    table: table("NewPasskeyChallenge", "/v2/Services/{ServiceSid}/Passkeys/Challenges")
        .fields(&CHALLENGE_FIELDS),
    ops: &[Op::create(&[
        Param::text("identity", 64).code(60367),
        Param::sid("factor_sid", &["YF"]).code(60362),
    ])
    .json()
    .by(|verify, ctx| Box::pin(ask(verify, ctx)))],
};

pub static APPROVE_CHALLENGE: Resource<Verify> = Resource {
    table: table("ApprovePasskeyChallenge", "/v2/Services/{ServiceSid}/Passkeys/ApproveChallenge")
        .fields(&CHALLENGE_FIELDS),
    ops: &[Op::create(&[
        RESPONSE[0].required(60375),
        RESPONSE[1].required(60376),
        RESPONSE[2].required(60377),
        RESPONSE[3],
        RESPONSE[4],
    ])
    .status(200)
    .json()
    .by(|verify, ctx| Box::pin(approve(verify, ctx)))],
};

/// The relying party: the service's, or what a factor was made with.
struct Party {
    id: String,
    name: String,
    origins: Vec<String>,
    attachment: Option<String>,
    discoverable: String,
    verification: String,
}

impl Party {
    /// `config` wins over the service's settings.
    ///
    /// # Errors
    /// 60371 without an id, 60372 without origins.
    fn new(service: &Service, config: &Json) -> Result<Self, ApiError> {
        let set = &service.0.fields.get("passkeys").cloned().unwrap_or(Json::Null);
        let text = |path: &str| {
            let value = config.pointer(path).or_else(|| set.pointer(path));
            let value = value.filter(|value| !value.is_null()).or_else(|| set.pointer(path));
            value.and_then(Json::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let origins = |from: &Json| {
            let all = from.pointer("/relying_party/origins").and_then(Json::as_array)?;
            Some(all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect::<Vec<_>>())
        };
        let origins = origins(config).or_else(|| origins(set)).unwrap_or_default();
        let id = text("/relying_party/id")
            .ok_or_else(|| ApiError::new(60371, "There is no Passkeys.RelyingParty.Id"))?;
        if origins.is_empty() {
            return Err(ApiError::new(60372, "There are no Passkeys.RelyingParty.Origins"));
        }
        Ok(Self {
            name: text("/relying_party/name").unwrap_or_else(|| service.name().to_owned()),
            attachment: text("/authenticator_attachment").filter(|text| text != "any"),
            discoverable: text("/discoverable_credentials").unwrap_or("preferred".into()),
            verification: text("/user_verification").unwrap_or("preferred".into()),
            id,
            origins,
        })
    }

    fn wire(&self) -> Json {
        json!({
            "relying_party": {"id": self.id, "name": self.name, "origins": self.origins},
            "authenticator_attachment": self.attachment,
            "discoverable_credentials": self.discoverable,
            "user_verification": self.verification,
        })
    }

    fn asked<'a>(&'a self, challenge: &'a str) -> Asked<'a> {
        Asked {
            challenge,
            rp_id: &self.id,
            origins: &self.origins,
            verifies_user: self.verification == "required",
        }
    }
}

fn refused(fault: Fault) -> ApiError {
    ApiError::new(fault.0, fault.1)
}

/// 32 random bytes as browsers return them.
fn new_challenge(ctx: &Ctx) -> String {
    let words = [(); 4].map(|()| ctx.clock.random().to_be_bytes());
    BASE64URL_NOPAD.encode(words.as_flattened())
}

async fn register(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let text = |name: &str| ctx.form.text(name).unwrap_or_default();
    let config = ctx.form.text("config").map(|text| serde_json::from_str(text).unwrap_or_default());
    let party = Party::new(&service, &config.unwrap_or(Json::Null))?;
    let (identity, name) = (text("identity"), text("friendly_name"));
    let sid = ctx.clock.sid("YF");
    let asked = new_challenge(ctx);
    let fields = Map::from_iter([
        ("config".to_owned(), party.wire()),
        ("challenge".to_owned(), json!(asked)),
        ("metadata".to_owned(), Json::Null),
    ]);
    let mut batch = ctx.store.batch();
    let made = factor::insert(ctx, &service, identity, TYPE, name, sid, fields, &mut batch);
    let factor = made.await?;
    claim(&mut batch, ASKED, &asked, &format!("{}/{sid}", factor.place()));
    factor::tell(verify, ctx, &factor, "factor.created", &mut batch).await?;
    factor::commit_new(ctx, batch, identity).await?;
    let user = factor.doc.text("entity_sid").unwrap_or_default();
    let options = json!({"publicKey": {
        "rp": {"id": party.id, "name": party.name},
        "user": {
            "id": BASE64URL_NOPAD.encode(user.as_bytes()),
            "name": identity,
            "displayName": name,
        },
        "challenge": asked,
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "timeout": TIME.as_millis() as u64,
        "excludeCredentials": [],
        "authenticatorSelection": {
            "authenticatorAttachment": party.attachment,
            "requireResidentKey": party.discoverable == "required",
            "residentKey": party.discoverable,
            "userVerification": party.verification,
        },
        "attestation": "none",
    }});
    let mut record = factor.record(ctx);
    record.set("binding", Json::Null).set("options", options);
    Ok(Reply::Record(record))
}

/// A member of `response`, decoded.
fn part(response: &Json, name: &'static str, code: u32) -> Result<Vec<u8>, ApiError> {
    let found = response[name].as_str().and_then(decode);
    found.ok_or_else(|| ApiError::new(code, format!("response.{name} is not base64url")))
}

/// The response, and the place of what its challenge belongs to: service, identity, SID.
async fn answered(ctx: &Ctx, missing: u32) -> Result<(Json, String, [String; 3]), ApiError> {
    let text = ctx.form.text("response").unwrap_or_default();
    let response: Json = serde_json::from_str(text).unwrap_or_default();
    let client = response["clientDataJSON"].as_str().unwrap_or_default();
    let asked = webauthn::challenge_of(client)
        .ok_or_else(|| ApiError::new(60380, "response.clientDataJSON cannot be read"))?;
    let place = device::claimed(&ctx.store, ASKED, &asked).await.map_err(failed(ctx))?;
    let place = place.unwrap_or_default();
    let parts: Vec<String> = place.split('/').map(str::to_owned).collect();
    match <[String; 3]>::try_from(parts) {
        Ok(parts) if parts[0] == ctx.param("ServiceSid") => Ok((response, asked, parts)),
        _ => Err(ApiError::new(missing, "The challenge is unknown, or was answered")),
    }
}

async fn verify_factor(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let (response, asked, [_, identity, sid]) = answered(ctx, 60390).await?;
    let found = factor::load(&ctx.store, service.sid(), &identity, &sid).await;
    let unknown = || ApiError::new(60390, "The factor does not exist any more");
    let mut factor = found.map_err(failed(ctx))?.ok_or_else(unknown)?;
    if ctx.now.since(factor.doc.date_created) > TIME {
        return Err(ApiError::new(60384, "The challenge was not answered in time"));
    }
    let party = Party::new(&service, factor.doc.fields.get("config").unwrap_or(&Json::Null))?;
    let client = part(&response, "clientDataJSON", 60380)?;
    let attestation = part(&response, "attestationObject", 60386)?;
    let credential =
        webauthn::register(&client, &attestation, &party.asked(&asked)).map_err(refused)?;
    let changes = [
        ("status", json!("verified")),
        ("credential", json!(BASE64URL_NOPAD.encode(&credential.id))),
        ("public_key", json!(BASE64.encode(&credential.key))),
        ("count", json!(credential.count)),
        ("challenge", Json::Null),
    ];
    let mut batch = ctx.store.batch();
    factor.revise(&mut batch, &changes, ctx.now);
    let place = format!("{}/{sid}", factor.place());
    forget(&mut batch, &asked);
    claim(&mut batch, KNOWN, &known(ctx, service.sid(), &credential.id), &place);
    factor.doc.fields.extend(changes.map(|(name, value)| (name.to_owned(), value)));
    factor.doc.date_updated = ctx.now;
    factor::tell(verify, ctx, &factor, "factor.verified", &mut batch).await?;
    factor::commit_new(ctx, batch, &identity).await?;
    Ok(Reply::Record(factor.record(ctx)))
}

fn known(ctx: &Ctx, service: &str, credential: &[u8]) -> String {
    format!("{}/{service}/{}", ctx.account, BASE64URL_NOPAD.encode(credential))
}

fn forget(batch: &mut store::AccountBatch, asked: &str) {
    batch.must(
        "DELETE FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3",
        vec![ASKED.into(), asked.into()],
    );
}

/// The verified passkeys of an entity; one if it is named.
async fn passkeys(
    ctx: &Ctx,
    service: &Service,
    identity: &str,
) -> Result<Vec<(String, Json)>, ApiError> {
    let wanted = ctx.form.text("factor_sid");
    let place = place(service.sid(), identity);
    let all =
        crate::limit::children(&ctx.store, factor::KIND, &place).await.map_err(failed(ctx))?;
    let mut all = all;
    all.retain(|(sid, fields)| {
        fields["factor_type"] == TYPE
            && fields["status"] == "verified"
            && wanted.is_none_or(|wanted| wanted == sid)
    });
    Ok(all)
}

async fn ask(_: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let party = Party::new(&service, &Json::Null)?;
    let mut identity = ctx.form.text("identity").unwrap_or_default().to_owned();
    if let Some(sid) = ctx.form.sid("factor_sid") {
        let found = factor::find(&ctx.store, sid).await.map_err(failed(ctx))?;
        let found = found.filter(|found| {
            found.service == service.sid() && (identity.is_empty() || found.identity == identity)
        });
        let unknown = || ApiError::new(60390, format!("There is no factor {sid}"));
        identity = found.ok_or_else(unknown)?.identity;
    }
    let mut entity = String::new();
    let mut allowed = Vec::new();
    if !identity.is_empty() {
        let found = entity::existing(ctx, service.sid(), &identity).await;
        let doc = found.map_err(|_| ApiError::new(60392, format!("There is no {identity}")))?;
        entity = doc.text("entity_sid").unwrap_or_default().to_owned();
        allowed = passkeys(ctx, &service, &identity).await?;
        if allowed.is_empty() {
            let why = format!("{identity} has no verified passkey");
            return Err(ApiError::new(60383, why));
        }
    }
    let asked = new_challenge(ctx);
    let sid = ctx.clock.sid("YC");
    let named = ctx.form.text("factor_sid").unwrap_or_default();
    let fields = Map::from_iter([
        ("factor_sid".to_owned(), json!(named)),
        ("entity_sid".to_owned(), json!(entity)),
        ("factor_type".to_owned(), json!(TYPE)),
        ("status".to_owned(), json!("pending")),
        ("responded_reason".to_owned(), json!("none")),
        ("expires_at".to_owned(), json!((ctx.now + TIME).as_micros())),
    ]);
    let doc = fresh(sid, fields, ctx.now);
    let place = place(service.sid(), &identity);
    let mut batch = ctx.store.batch();
    rest::insert(&mut batch, challenge::KIND, &place, &doc.sid, &doc.fields, ctx.now);
    claim(&mut batch, ASKED, &asked, &format!("{place}/{sid}"));
    ctx.store.commit(batch).await.map_err(failed(ctx))?;
    let allowed =
        allowed.iter().map(|(_, fields)| json!({"type": "public-key", "id": fields["credential"]}));
    let options = json!({"publicKey": {
        "challenge": asked,
        "rpId": party.id,
        "allowCredentials": Json::Array(allowed.collect()),
        "userVerification": party.verification,
        "timeout": TIME.as_millis() as u64,
    }});
    let mut record = shown(ctx, &identity, &doc);
    record.set("options", options);
    Ok(Reply::Record(record))
}

/// A passkey's challenge has no details, and no resource of its own behind links.
fn shown(ctx: &Ctx, identity: &str, doc: &Doc) -> Record {
    let mut record = challenge::record(ctx, identity, doc);
    record.set("links", rest::Val::Null);
    record
}

async fn approve(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    for _ in 0..crate::DECISIONS_MAX {
        let (response, asked, [_, identity, sid]) = answered(ctx, 60391).await?;
        let place = place(service.sid(), &identity);
        let found = rest::load(&ctx.store, challenge::KIND, &place, &sid).await;
        let unknown = || ApiError::new(60391, "The challenge does not exist any more");
        let mut doc = found.map_err(failed(ctx))?.ok_or_else(unknown)?;
        if status(&doc, ctx.now) != "pending" {
            return Err(ApiError::new(60384, "The challenge was not answered in time"));
        }
        let mut factor = holder(ctx, &service).await?;
        let is_meant = (identity.is_empty() || factor.identity == identity)
            && doc.text("factor_sid").is_none_or(|sid| sid == factor.doc.sid);
        if !is_meant || !factor.is_verified() {
            return Err(ApiError::new(60383, "The passkey is not one that was asked for"));
        }
        let party = Party::new(&service, factor.doc.fields.get("config").unwrap_or(&Json::Null))?;
        let text = |field: &str| factor.doc.text(field).unwrap_or_default();
        let credential = Credential {
            id: decode(text("credential")).unwrap_or_default(),
            key: BASE64.decode(text("public_key").as_bytes()).unwrap_or_default(),
            count: factor.integer("count").and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        };
        let client = part(&response, "clientDataJSON", 60380)?;
        let authenticator = part(&response, "authenticatorData", 60379)?;
        let signature = part(&response, "signature", 60381)?;
        let count = webauthn::assert(
            &client,
            &authenticator,
            &signature,
            &credential,
            &party.asked(&asked),
        );
        let count = count.map_err(refused)?;
        let mut fields = doc.fields.clone();
        fields.insert("status".into(), "approved".into());
        fields.insert("responded_at".into(), ctx.now.as_micros().into());
        fields.insert("factor_sid".into(), factor.doc.sid.clone().into());
        fields.insert("entity_sid".into(), text("entity_sid").into());
        let mut batch = ctx.store.batch();
        rest::revise(&mut batch, challenge::KIND, &place, &doc, &fields, ctx.now);
        factor.revise(&mut batch, &[("count", json!(count))], ctx.now);
        forget(&mut batch, &asked);
        doc.fields = fields;
        doc.date_updated = ctx.now;
        factor.doc.date_updated = ctx.now;
        challenge::tell(verify, ctx, &factor, &doc, &mut batch).await?;
        match ctx.store.commit(batch).await {
            Ok(_) => {
                let mut record = shown(ctx, &factor.identity, &doc);
                record.set("options", Json::Null);
                return Ok(Reply::Record(record));
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

/// The factor whose passkey answers.
async fn holder(ctx: &Ctx, service: &Service) -> Result<Factor, ApiError> {
    let unknown = || ApiError::new(60390, "There is no such passkey");
    let raw = ctx.form.text("rawId").and_then(decode);
    let raw = raw.ok_or_else(|| ApiError::new(60376, "rawId is not base64url"))?;
    let place = device::claimed(&ctx.store, KNOWN, &known(ctx, service.sid(), &raw)).await;
    let place = place.map_err(failed(ctx))?.ok_or_else(unknown)?;
    let sid: Sid = place.rsplit('/').next().and_then(|sid| sid.parse().ok()).ok_or_else(unknown)?;
    factor::find(&ctx.store, sid).await.map_err(failed(ctx))?.ok_or_else(unknown)
}
