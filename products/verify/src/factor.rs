//! `/v2/Services/{VA}/Entities/{identity}/Factors` (verify §7): what proves who somebody is.

use std::time::Duration;

use data_encoding::{BASE32_NOPAD, BASE64, HEXLOWER};
use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json, json};
use store::{AccountBatch, AccountStore, StoreError};

use crate::entity::{self, details, fresh, place};
use crate::faults::{failed, invalid_factor};
use crate::limit::{Counter, children};
use crate::service::Service;
use crate::totp::{self, Algorithm, Totp};
use crate::{Verify, device, token, webhook};

pub(crate) const KIND: &str = "VerifyFactor";
/// The claim of a factor's SID, for devices and passkeys, which do not say whose they are.
const CLAIM: &str = "verify-factor";
/// The claim of a key or secret within its entity.
const BINDING: &str = "verify-binding";
/// Wrong proofs of a factor that is to be verified.
const TRIES_MAX: i64 = 5;
const PUSH_MAX: usize = 20;
const OTHERS_MAX: usize = 100;
const PER_DAY_MAX: i64 = 100;
const DAY: Duration = Duration::from_secs(86_400);
const METADATA_MAX: usize = 1024;
pub(crate) const TYPES: &[&str] = &["push", "totp", "passkeys"];
const PLATFORMS: &[&str] = &["apn", "fcm", "none"];
const ALGORITHMS: &[&str] = &["sha1", "sha256", "sha512"];

const fn text(name: &'static str, max: u32) -> Param {
    Param::text(name, max).code(60300)
}

const STEP: Param = Param::integer("Config.TimeStep", 20, 60).code(60300);
const SKEW: Param = Param::integer("Config.Skew", 0, 2).code(60300);
const LENGTH: Param = Param::integer("Config.CodeLength", 3, 8).code(60300);
const ALGORITHM: Param = Param::one_of("Config.Alg", ALGORITHMS).code(60300);
const PLATFORM: Param = Param::one_of("Config.NotificationPlatform", PLATFORMS).code(60300);

const CREATE: &[Param] = &[
    text("FriendlyName", 64).required(60300),
    Param::one_of("FactorType", TYPES).required(60300).code(60300),
    text("Binding.Alg", 8),
    text("Binding.PublicKey", 1024),
    text("Config.AppId", 100),
    PLATFORM,
    text("Config.NotificationToken", 255),
    text("Config.SdkVersion", 64),
    text("Binding.Secret", 128),
    STEP,
    SKEW,
    LENGTH,
    ALGORITHM,
    text("Metadata", 4096),
];

const UPDATE: &[Param] = &[
    text("AuthPayload", 1024),
    text("FriendlyName", 64),
    text("Config.NotificationToken", 255),
    text("Config.SdkVersion", 64),
    STEP,
    SKEW,
    LENGTH,
    ALGORITHM,
    PLATFORM,
];

/// Of a new factor; `binding` and `options` are shown once.
pub(crate) const NEW_FIELDS: &[Field] = &[
    Field::new("binding", Wire::Json),
    Field::new("options", Wire::Json),
    Field::sid("sid", &["YF"]),
    Field::sid("account_sid", &["AC"]),
    Field::sid("service_sid", &["VA"]),
    Field::sid("entity_sid", &["YE"]),
    Field::text("identity"),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::text("friendly_name"),
    Field::new("status", Wire::Enum(&["unverified", "verified"])),
    Field::new("factor_type", Wire::Enum(TYPES)),
    Field::new("config", Wire::Json),
    Field::new("metadata", Wire::Json),
    Field::new("url", Wire::Url),
];

/// Of a factor later.
pub(crate) const FIELDS: &[Field] = NEW_FIELDS.split_at(2).1;

pub static FACTOR: Resource<Verify> = Resource {
    table: Table::product(
        KIND,
        "verify",
        "/v2/Services/{ServiceSid}/Entities/{Identity}/Factors",
        "/v2/Services/{ServiceSid}/Entities/{Identity}/Factors/{Sid}",
    )
    .key("factors")
    .sid("YF")
    .access(Access::Keys("verify/factors"))
    .fields(FIELDS),
    ops: &[
        Op::create(CREATE).fields(NEW_FIELDS).by(|verify, ctx| Box::pin(create(verify, ctx))),
        Op::list(&[]).by(|_, ctx| Box::pin(list(ctx))),
        Op::fetch()
            .by(|_, ctx| Box::pin(async { Ok(Reply::Record(existing(ctx).await?.record(ctx))) })),
        Op::update(UPDATE).by(|verify, ctx| Box::pin(update(verify, ctx))),
        Op::delete().by(|verify, ctx| Box::pin(delete(verify, ctx))),
    ],
};

/// A factor and where it is.
#[derive(Clone, Debug)]
pub(crate) struct Factor {
    pub service: String,
    pub identity: String,
    pub doc: Doc,
}

impl Factor {
    pub fn place(&self) -> String {
        place(&self.service, &self.identity)
    }

    pub fn kind(&self) -> &str {
        self.doc.text("factor_type").unwrap_or_default()
    }

    pub fn is_verified(&self) -> bool {
        self.doc.text("status") == Some("verified")
    }

    pub fn integer(&self, field: &str) -> Option<i64> {
        self.doc.fields.get(field).and_then(Json::as_i64)
    }

    pub fn config(&self, name: &str) -> Json {
        self.doc.fields.get("config").map_or(Json::Null, |config| config[name].clone())
    }

    pub fn totp(&self) -> Totp {
        let number = |name: &str, usual: i64| self.config(name).as_i64().unwrap_or(usual);
        Totp {
            algorithm: Algorithm::parse(self.config("alg").as_str().unwrap_or_default()),
            digits: u32::try_from(number("code_length", 6)).unwrap_or(6).clamp(3, 8),
            step: number("time_step", 30).clamp(20, 60),
            skew: number("skew", 1).clamp(0, 2),
        }
    }

    /// The step of a right and unused TOTP code.
    pub fn step_of(&self, verify: &Verify, code: &str) -> Option<i64> {
        let sealed = HEXLOWER.decode(self.doc.text("secret")?.as_bytes()).ok()?;
        let secret = verify.parts.sealer.open(&sealed).ok()?;
        let secret = totp::secret(&secret)?;
        let seconds = verify.parts.clock.now().as_micros() / 1_000_000;
        self.totp().step_of(&secret, code, seconds, self.integer("last_step"))
    }

    /// Writes changed fields; a conflict when somebody else changed the factor.
    pub fn revise(
        &self,
        batch: &mut AccountBatch,
        change: &[(&str, Json)],
        now: kernel::Timestamp,
    ) {
        let mut fields = self.doc.fields.clone();
        fields.extend(change.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        rest::revise(batch, KIND, &self.place(), &self.doc, &fields, now);
    }

    pub fn record(&self, ctx: &Ctx) -> Record {
        let mut record = rest::record(ctx.account, &FACTOR.table, &self.doc);
        record.set("service_sid", self.service.as_str()).set("identity", self.identity.as_str());
        record.with_path("Identity", &self.identity)
    }

    /// What webhooks tell of it.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let text = |field: &str| self.doc.text(field).unwrap_or_default().to_owned();
        vec![
            ("entity_identity", self.identity.clone()),
            ("factor_sid", self.doc.sid.clone()),
            ("factor_type", text("factor_type")),
            ("factor_friendly_name", text("friendly_name")),
        ]
    }
}

/// The factor of this SID, whoever's it is.
pub(crate) async fn find(store: &AccountStore, sid: Sid) -> Result<Option<Factor>, StoreError> {
    let Some(place) = device::claimed(store, CLAIM, &sid.to_string()).await? else {
        return Ok(None);
    };
    let mut parts = place.split('/');
    let (service, identity) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    load(store, service, identity, &sid.to_string()).await
}

pub(crate) async fn load(
    store: &AccountStore,
    service: &str,
    identity: &str,
    sid: &str,
) -> Result<Option<Factor>, StoreError> {
    let doc = rest::load(store, KIND, &place(service, identity), sid).await?;
    let (service, identity) = (service.to_owned(), identity.to_owned());
    Ok(doc.map(|doc| Factor { service, identity, doc }))
}

/// The device that calls: an access token (`YK`) or a factor (`YF`).
pub(crate) fn caller(ctx: &Ctx) -> Option<Sid> {
    let actor = ctx.principal.as_ref()?.actor;
    matches!(actor.prefix(), "YK" | "YF").then_some(actor)
}

/// The factor of the path; a device reaches its own only.
async fn existing(ctx: &Ctx) -> Result<Factor, ApiError> {
    let (service, sid) = (ctx.param("ServiceSid"), ctx.param("Sid"));
    if caller(ctx).is_some_and(|caller| caller.to_string() != sid) {
        return Err(ctx.not_found());
    }
    let found = load(&ctx.store, service, ctx.param("Identity"), sid).await.map_err(failed(ctx))?;
    found.ok_or_else(|| ctx.not_found())
}

async fn list(ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let identity = ctx.param("Identity");
    entity::existing(ctx, service.sid(), identity).await?;
    let page = rest::documents(ctx, KIND, &place(service.sid(), identity), |_| true).await;
    let (docs, has_next) = page.map_err(failed(ctx))?;
    let records = docs.into_iter().map(|doc| {
        let (service, identity) = (service.sid().to_owned(), identity.to_owned());
        Factor { service, identity, doc }.record(ctx)
    });
    Ok(Reply::List(Page { records: records.collect(), has_next }))
}

/// # Errors
/// 60313 for a device whose token is for somebody else; 60314 for a key or secret that is none;
/// 60315 and 60326 for too many factors; 60317 for the same binding again.
async fn create(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = Service::of(ctx).await?;
    let identity = ctx.param("Identity");
    if let Some(caller) = caller(ctx) {
        let is_for = token::is_for(ctx, caller, identity).await.map_err(failed(ctx))?;
        if !is_for || ctx.form.text("FactorType") != Some("push") {
            let why = "The access token is for another identity or type of factor";
            return Err(ApiError::new(60313, why));
        }
    }
    let kind = ctx.form.text("FactorType").unwrap_or_default().to_owned();
    let sid = ctx.clock.sid("YF");
    let (config, bound, shown) = match kind.as_str() {
        "push" => push(ctx, sid)?,
        "totp" => totp(verify, ctx, &service)?,
        _ => {
            let why = "passkeys are made at Passkeys/Factors";
            return Err(invalid_factor("FactorType", why));
        }
    };
    let mut fields = Map::new();
    fields.insert("config".into(), config);
    fields.insert("metadata".into(), details("Metadata", ctx.form.text("Metadata"), METADATA_MAX)?);
    fields.extend(bound);
    let name = ctx.form.text("FriendlyName").unwrap_or_default();
    let mut batch = ctx.store.batch();
    let factor = insert(ctx, &service, identity, &kind, name, sid, fields, &mut batch).await?;
    let binding = verify.codes.of(&[shown.to_string().as_bytes()]);
    let binding = format!("{}/{}/{}", ctx.account, factor.place(), HEXLOWER.encode(&binding));
    claim(&mut batch, BINDING, &binding, &format!("{}/{sid}", factor.place()));
    tell(verify, ctx, &factor, "factor.created", &mut batch).await?;
    commit_new(ctx, batch, identity).await?;
    let mut shown = shown;
    if kind == "totp" {
        shown["uri"] = uri(&service, &factor, &shown).into();
    }
    let mut record = factor.record(ctx);
    record.set("binding", shown).set("options", Json::Null);
    Ok(Reply::Record(record))
}

/// Commits a new factor.
pub(crate) async fn commit_new(
    ctx: &Ctx,
    batch: AccountBatch,
    identity: &str,
) -> Result<(), ApiError> {
    match ctx.store.commit(batch).await {
        Ok(_) => Ok(()),
        Err(StoreError::Duplicate(_)) => {
            Err(ApiError::new(60317, format!("{identity} has a factor with this binding")))
        }
        Err(StoreError::Conflict) => {
            Err(ApiError::new(60326, "More than 100 factors of this entity in 24 hours"))
        }
        Err(error) => Err(rest::store_error(ctx, error)),
    }
}

/// Adds a factor, and its entity if it is the first.
#[allow(clippy::too_many_arguments, reason = "what a factor is made of")]
pub(crate) async fn insert(
    ctx: &Ctx,
    service: &Service,
    identity: &str,
    kind: &str,
    name: &str,
    sid: Sid,
    mut fields: Map<String, Json>,
    batch: &mut AccountBatch,
) -> Result<Factor, ApiError> {
    let entity = entity::ensure(ctx, service.sid(), identity, batch).await?;
    let place = place(service.sid(), identity);
    let others = children(&ctx.store, KIND, &place).await.map_err(failed(ctx))?;
    let same = others.iter().filter(|(_, other)| other["factor_type"] == kind).count();
    let max = if kind == "push" { PUSH_MAX } else { OTHERS_MAX };
    if same >= max {
        let why = format!("{identity} has {max} factors of the type {kind}");
        return Err(ApiError::new(60315, why));
    }
    let counter = Counter::new(format!("factors/{place}"), PER_DAY_MAX, DAY);
    counter.count(batch, ctx.now);
    for (field, value) in [
        ("entity_sid", json!(entity)),
        ("friendly_name", json!(name)),
        ("factor_type", json!(kind)),
        ("status", json!("unverified")),
    ] {
        fields.insert(field.into(), value);
    }
    let doc = fresh(sid, fields, ctx.now);
    rest::insert(batch, KIND, &place, &doc.sid, &doc.fields, ctx.now);
    claim(batch, CLAIM, &doc.sid, &format!("{place}/{sid}"));
    Ok(Factor { service: service.sid().to_owned(), identity: identity.to_owned(), doc })
}

pub(crate) fn claim(batch: &mut AccountBatch, name: &str, value: &str, place: &str) {
    batch.run(
        "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
        vec![place.into(), name.into(), value.into()],
    );
}

type Made = (Json, Map<String, Json>, Json);

/// Config, kept fields and binding of a push factor.
// Differs: credential_sid, by which a device names its key, is the factor's own, whatever the
// service's push credentials are.
fn push(ctx: &Ctx, sid: Sid) -> Result<Made, ApiError> {
    let form = &ctx.form;
    let needed = |name| form.text(name).ok_or_else(|| invalid_factor(name, "push needs it"));
    if form.text("Binding.Alg").is_some_and(|alg| alg != "ES256") {
        return Err(ApiError::new(60314, "Binding.Alg is ES256"));
    }
    let key = needed("Binding.PublicKey")?;
    let bytes = device::public_key(key).ok_or_else(|| {
        ApiError::new(60314, "Binding.PublicKey is no public key on P-256, as DER in base64")
    })?;
    let platform = form.text("Config.NotificationPlatform").unwrap_or("none");
    let address = match platform {
        "none" => form.text("Config.NotificationToken"),
        _ => Some(needed("Config.NotificationToken")?),
    };
    if platform != "none" && address.is_some_and(|address| address.len() < 32) {
        return Err(invalid_factor("Config.NotificationToken", "it has 32 to 255 characters"));
    }
    let config = json!({
        "sdk_version": needed("Config.SdkVersion")?,
        "app_id": needed("Config.AppId")?,
        "notification_platform": platform,
        "notification_token": address,
        "credential_sid": sid.with_prefix("CR"),
    });
    let key = BASE64.encode(&bytes);
    let kept = Map::from_iter([("public_key".to_owned(), json!(key))]);
    Ok((config, kept, json!({"alg": "ES256", "public_key": key})))
}

/// Config, kept fields and binding of a TOTP factor.
fn totp(verify: &Verify, ctx: &Ctx, service: &Service) -> Result<Made, ApiError> {
    let form = &ctx.form;
    let secret = match form.text("Binding.Secret") {
        Some(given) => totp::secret(given)
            .ok_or_else(|| ApiError::new(60314, "Binding.Secret is no base32 of 10 to 64 bytes"))?,
        None => {
            let random = [ctx.clock.random(), ctx.clock.random(), ctx.clock.random()];
            random.iter().flat_map(|word| word.to_be_bytes()).take(20).collect()
        }
    };
    let secret = BASE32_NOPAD.encode(&secret);
    let number = |param: &str, field: &str, usual: i64| {
        form.integer(param).or_else(|| service.integer(field)).unwrap_or(usual)
    };
    let config = json!({
        "alg": form.text("Config.Alg").unwrap_or("sha1"),
        "skew": number("Config.Skew", "totp_skew", 1),
        "code_length": number("Config.CodeLength", "totp_code_length", 6),
        "time_step": number("Config.TimeStep", "totp_time_step", 30),
    });
    let sealed = HEXLOWER.encode(&verify.parts.sealer.seal(&secret));
    let kept = Map::from_iter([("secret".to_owned(), json!(sealed))]);
    Ok((config, kept, json!({"secret": secret})))
}

fn uri(service: &Service, factor: &Factor, binding: &Json) -> String {
    let issuer = service.0.text("totp_issuer").unwrap_or(service.name());
    let secret = totp::secret(binding["secret"].as_str().unwrap_or_default()).unwrap_or_default();
    factor.totp().uri(issuer, factor.doc.text("friendly_name").unwrap_or_default(), &secret)
}

pub(crate) async fn tell(
    verify: &Verify,
    ctx: &Ctx,
    factor: &Factor,
    kind: &str,
    batch: &mut AccountBatch,
) -> Result<(), ApiError> {
    let facts = factor.facts();
    let told = webhook::call(verify, &ctx.store, &factor.service, kind, &facts, batch).await;
    told.map_err(failed(ctx))
}

/// # Errors
/// 60311 / 403 for a wrong proof, 60310 / 429 after five.
async fn update(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    for _ in 0..crate::DECISIONS_MAX {
        let mut factor = existing(ctx).await?;
        let mut config = factor.doc.fields.get("config").cloned().unwrap_or(json!({}));
        for (param, name) in [
            ("Config.NotificationToken", "notification_token"),
            ("Config.SdkVersion", "sdk_version"),
            ("Config.NotificationPlatform", "notification_platform"),
            ("Config.Alg", "alg"),
        ] {
            if let Some(value) = ctx.form.text(param) {
                config[name] = value.into();
            }
        }
        for (param, name) in [
            ("Config.TimeStep", "time_step"),
            ("Config.Skew", "skew"),
            ("Config.CodeLength", "code_length"),
        ] {
            if let Some(value) = ctx.form.integer(param) {
                config[name] = value.into();
            }
        }
        let mut changes = vec![("config", config)];
        if let Some(name) = ctx.form.text("FriendlyName") {
            changes.push(("friendly_name", name.into()));
        }
        let mut refusal = None;
        let was_verified = factor.is_verified();
        if let Some(payload) = ctx.form.text("AuthPayload") {
            match proof(verify, &factor, payload)? {
                Some(more) => changes.extend(more),
                None => {
                    let failures = factor.integer("failures").unwrap_or(0) + 1;
                    changes = vec![("failures", failures.into())];
                    refusal = Some(ApiError::new(60311, "The proof of the factor is wrong"));
                }
            }
        }
        let mut batch = ctx.store.batch();
        factor.revise(&mut batch, &changes, ctx.now);
        for (name, value) in changes {
            factor.doc.fields.insert(name.to_owned(), value);
        }
        factor.doc.date_updated = ctx.now;
        if factor.is_verified() && !was_verified {
            tell(verify, ctx, &factor, "factor.verified", &mut batch).await?;
        }
        match (ctx.store.commit(batch).await, refusal) {
            (Ok(_), Some(refusal)) => return Err(refusal),
            (Ok(_), None) => return Ok(Reply::Record(factor.record(ctx))),
            (Err(StoreError::Conflict), _) => {}
            (Err(error), _) => return Err(rest::store_error(ctx, error)),
        }
    }
    Err(crate::busy())
}

/// What a right proof changes; `None` for a wrong one.
fn proof(
    verify: &Verify,
    factor: &Factor,
    payload: &str,
) -> Result<Option<Vec<(&'static str, Json)>>, ApiError> {
    if factor.integer("failures").unwrap_or(0) >= TRIES_MAX {
        return Err(ApiError::new(60310, "The factor was tried five times: make a new one"));
    }
    let verified = ("status", json!("verified"));
    Ok(match factor.kind() {
        "totp" => {
            let step = factor.step_of(verify, payload);
            step.map(|step| vec![verified, ("last_step", step.into()), ("failures", 0.into())])
        }
        "push" => {
            let key = factor.doc.text("public_key").and_then(device::public_key);
            let signature = BASE64.decode(payload.as_bytes()).ok();
            let (key, signature) = (key.unwrap_or_default(), signature.unwrap_or_default());
            let is_right = device::signs(&key, factor.doc.sid.as_bytes(), &signature);
            is_right.then(|| vec![verified, ("failures", 0.into())])
        }
        _ => return Err(invalid_factor("AuthPayload", "passkeys are verified at Passkeys")),
    })
}

async fn delete(verify: &Verify, ctx: &Ctx) -> Result<Reply, ApiError> {
    let factor = existing(ctx).await?;
    let place = factor.place();
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3 AND sid = $4",
        vec![KIND.into(), place.as_str().into(), factor.doc.sid.as_str().into()],
    );
    batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND sid = $2",
        vec![format!("{place}/{}", factor.doc.sid).into()],
    );
    tell(verify, ctx, &factor, "factor.deleted", &mut batch).await?;
    ctx.store.commit(batch).await.map_err(failed(ctx))?;
    Ok(Reply::Empty)
}
