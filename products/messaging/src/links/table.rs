//! `/v1/LinkShortening` (messaging §14): domains of short links on the wire.

use authority::{UploadFault, Uploaded, examine};
use kernel::{ApiError, Timestamp};
use outbound::{Fetch, Method};
use rest::{Ctx, Doc, Field, Op, Param, Record, Reply, Resource, Table, Wire};
use store::StoreError;

use super::PROBE_PATH;
use super::domain::{
    Certificate, Config, Domain, SERVICE_CLAIM, domain_of_service, existing, existing_or_adopted,
    host, revise,
};
use crate::Messaging;
use crate::service::no_service;

/// Everything of this file.
pub(super) const ALL: &[&Resource<Messaging>] = &[
    &CERTIFICATE,
    &CERTIFICATE_V2,
    &MANAGED,
    &CONFIG,
    &DNS,
    &SERVICE,
    &SERVICE_DOMAIN,
    &SERVICE_CONFIG,
];

const fn at(name: &'static str, path: &'static str, fields: &'static [Field]) -> Table {
    Table::product(name, "messaging", "", path).singleton().fields(fields)
}

const CERTIFICATE_FIELDS: &[Field] = &[
    Field::sid("domain_sid", &["DN"]),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("date_expires", Wire::Iso8601),
    Field::new("date_created", Wire::Iso8601),
    Field::new("domain_name", Wire::Url),
    Field::sid("certificate_sid", &["CW"]),
    Field::new("url", Wire::Url),
    Field::new("cert_in_validation", Wire::Json),
];

const MANAGED_FIELDS: &[Field] = &[
    Field::sid("domain_sid", &["DN"]),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_expires", Wire::Iso8601),
    Field::new("domain_name", Wire::Url),
    Field::sid("certificate_sid", &["CW"]),
    Field::new("url", Wire::Url),
    Field::new("managed", Wire::Boolean),
    Field::new("requesting", Wire::Boolean),
];

const CERTIFICATE_V2_FIELDS: &[Field] = &[
    Field::sid("domain_sid", &["DN"]),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("date_expires", Wire::Iso8601),
    Field::new("date_created", Wire::Iso8601),
    Field::new("domain_name", Wire::Url),
    Field::sid("certificate_sid", &["CW"]),
    Field::new("managed", Wire::Boolean),
    Field::new("requesting", Wire::Boolean),
    Field::new("url", Wire::Url),
    Field::new("cert_in_validation", Wire::Json),
];

const CONFIG_FIELDS: &[Field] = &[
    Field::sid("domain_sid", &["DN"]),
    Field::sid("config_sid", &["ZK"]),
    Field::new("fallback_url", Wire::Url),
    Field::new("callback_url", Wire::Url),
    Field::new("continue_on_failure", Wire::Boolean),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
    Field::new("disable_https", Wire::Boolean),
];

const SERVICE_CONFIG_FIELDS: &[Field] = &[
    Field::sid("domain_sid", &["DN"]),
    Field::sid("config_sid", &["ZK"]),
    Field::sid("messaging_service_sid", &["MG"]),
    Field::new("fallback_url", Wire::Url),
    Field::new("callback_url", Wire::Url),
    Field::new("continue_on_failure", Wire::Boolean),
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::new("url", Wire::Url),
];

const SERVICE_FIELDS: &[Field] = &[
    Field::sid("domain_sid", &["DN"]),
    Field::sid("messaging_service_sid", &["MG"]),
    Field::new("url", Wire::Url),
];

/// Differs: TLS for a domain is ended in front of Offhook. An uploaded certificate is examined and
/// its end is watched; its key is not kept.
static CERTIFICATE: Resource<Messaging> = Resource {
    table: at(
        "DomainCertificate",
        "/v1/LinkShortening/Domains/{DomainSid}/Certificate",
        CERTIFICATE_FIELDS,
    ),
    ops: &[
        Op::fetch().by(|_, ctx| Box::pin(show_certificate(ctx))),
        Op::update(&[Param::text("TlsCert", 65_536).required(30116)])
            .by(|m, ctx| Box::pin(upload(m, ctx))),
        Op::delete().by(|_, ctx| Box::pin(remove_certificate(ctx))),
    ],
};

static CERTIFICATE_V2: Resource<Messaging> = Resource {
    table: at(
        "DomainCertificateV2",
        "/v2/LinkShortening/Domains/{DomainSid}/Certificate",
        CERTIFICATE_V2_FIELDS,
    ),
    ops: &[Op::fetch().by(|_, ctx| Box::pin(show_certificate(ctx)))],
};

/// Differs: no certificate is requested of anybody. A managed one is that of whatever ends TLS in
/// front of Offhook: it counts at once and without an end.
static MANAGED: Resource<Messaging> = Resource {
    table: at(
        "DomainManagedCertificate",
        "/v1/LinkShortening/Domains/{DomainSid}/RequestManagedCert",
        MANAGED_FIELDS,
    ),
    ops: &[Op::update(&[]).by(|m, ctx| Box::pin(manage(m, ctx)))],
};

static CONFIG: Resource<Messaging> = Resource {
    table: at("DomainConfig", "/v1/LinkShortening/Domains/{DomainSid}/Config", CONFIG_FIELDS),
    ops: &[
        Op::fetch().by(|_, ctx| Box::pin(show_config(ctx))),
        Op::update(&[
            Param::url("FallbackUrl").code(30122),
            Param::url("CallbackUrl").code(30109),
            Param::boolean("ContinueOnFailure"),
            Param::boolean("DisableHttps"),
        ])
        .by(|m, ctx| Box::pin(configure(m, ctx))),
    ],
};

static DNS: Resource<Messaging> = Resource {
    table: at(
        "DomainDnsValidation",
        "/v1/LinkShortening/Domains/{DomainSid}/ValidateDns",
        &[
            Field::sid("domain_sid", &["DN"]),
            Field::new("is_valid", Wire::Boolean),
            Field::text("reason"),
            Field::new("url", Wire::Url),
        ],
    ),
    ops: &[Op::fetch().by(|m, ctx| Box::pin(validate(m, ctx)))],
};

static SERVICE: Resource<Messaging> = Resource {
    table: at(
        "DomainMessagingService",
        "/v1/LinkShortening/Domains/{DomainSid}/MessagingServices/{MessagingServiceSid}",
        SERVICE_FIELDS,
    ),
    ops: &[
        Op::create(&[]).at_instance().by(|m, ctx| Box::pin(attach(m, ctx))),
        Op::delete().by(|_, ctx| Box::pin(detach(ctx))),
    ],
};

static SERVICE_DOMAIN: Resource<Messaging> = Resource {
    table: at(
        "MessagingServiceDomain",
        "/v1/LinkShortening/MessagingServices/{MessagingServiceSid}/Domain",
        SERVICE_FIELDS,
    ),
    ops: &[Op::fetch().by(|_, ctx| Box::pin(show_domain(ctx)))],
};

static SERVICE_CONFIG: Resource<Messaging> = Resource {
    table: at(
        "MessagingServiceDomainConfig",
        "/v1/LinkShortening/MessagingService/{MessagingServiceSid}/DomainConfig",
        SERVICE_CONFIG_FIELDS,
    ),
    ops: &[Op::fetch().by(|_, ctx| Box::pin(show_config_of_service(ctx)))],
};

fn record(sid: &str) -> Record {
    let mut record = Record::at("DomainSid", sid);
    record.set("domain_sid", sid);
    record
}

/// The full address of a domain; one without a host is the platform's own.
fn domain_name(domain: &Domain) -> Option<String> {
    domain.host.as_ref().map(|host| format!("https://{host}"))
}

fn certificate_record(sid: &str, domain: &Domain, certificate: &Certificate) -> Record {
    let mut record = record(sid);
    record
        .set("date_updated", certificate.updated)
        .set("date_expires", certificate.expires)
        .set("date_created", certificate.created)
        .set("domain_name", domain_name(domain))
        .set("certificate_sid", certificate.sid.as_str())
        .set("managed", certificate.expires.is_none())
        .set("requesting", false);
    record
}

async fn show_certificate(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    let domain = Domain::of(&doc);
    match &domain.certificate {
        Some(certificate) => Ok(Reply::Record(certificate_record(&doc.sid, &domain, certificate))),
        None => Err(ctx.not_found()),
    }
}

/// Keeps a certificate: 201 for the first of its domain.
async fn keep(
    ctx: &Ctx,
    doc: &Doc,
    mut domain: Domain,
    expires: Option<Timestamp>,
) -> Result<Reply, ApiError> {
    let previous = domain.certificate.take();
    let status = if previous.is_some() { 200 } else { 201 };
    let certificate = Certificate {
        sid: ctx.clock.sid("CW").to_string(),
        expires,
        created: previous.map_or(ctx.now, |previous| previous.created),
        updated: ctx.now,
    };
    domain.certificate = Some(certificate.clone());
    revise(ctx, doc, &domain).await?;
    Ok(Reply::RecordWith(status, certificate_record(&doc.sid, &domain, &certificate)))
}

/// # Errors
/// 30116 without certificate or key; 30117, 30118, 30119, 30129 for what is wrong with them; 30102
/// when it has ended; 30132 when it is not this domain's or has not begun.
async fn upload(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing_or_adopted(messaging, ctx).await?;
    let mut domain = Domain::of(&doc);
    let found = examine(ctx.form.raw("TlsCert").unwrap_or_default()).map_err(refusal)?;
    let seconds = ctx.now.as_seconds();
    let refuse = |code, why: String| Err(ApiError::new(code, why));
    if found.not_after <= seconds {
        let end = Timestamp::from_seconds(found.not_after);
        return refuse(30102, format!("The certificate in TlsCert ended at {end}"));
    }
    if found.not_before > seconds {
        let begin = Timestamp::from_seconds(found.not_before);
        return refuse(30132, format!("The certificate in TlsCert is valid only from {begin}"));
    }
    let named = domain.host.clone().or_else(|| first_host(&found));
    match named {
        Some(host) if found.covers(&host) => domain.host = Some(host),
        Some(host) => {
            let why = format!("The certificate in TlsCert is for {:?}, not {host}", found.names);
            return refuse(30132, why);
        }
        None => return refuse(30132, "The certificate in TlsCert names no host".to_owned()),
    }
    keep(ctx, &doc, domain, Some(Timestamp::from_seconds(found.not_after))).await
}

/// The host that a domain without one gets from its certificate.
fn first_host(found: &Uploaded) -> Option<String> {
    found.names.iter().find_map(|name| host(name))
}

fn refusal(fault: UploadFault) -> ApiError {
    let (code, why) = match fault {
        UploadFault::Missing => {
            (30116, "TlsCert must hold a private key and the certificates of the chain, as PEM")
        }
        UploadFault::Unreadable => (30117, "A certificate in TlsCert cannot be read"),
        UploadFault::BadKey => (30118, "The private key in TlsCert cannot be used"),
        UploadFault::Mismatch => (30119, "The private key in TlsCert is not the certificate's"),
        UploadFault::SelfSigned => (30129, "The certificate in TlsCert is self-signed"),
    };
    ApiError::new(code, why)
}

async fn manage(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing_or_adopted(messaging, ctx).await?;
    let domain = Domain::of(&doc);
    keep(ctx, &doc, domain, None).await
}

async fn remove_certificate(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    let mut domain = Domain::of(&doc);
    if domain.certificate.take().is_none() {
        return Err(ctx.not_found());
    }
    revise(ctx, &doc, &domain).await?;
    Ok(Reply::Empty)
}

fn config_record(record: &mut Record, config: &Config) {
    record
        .set("config_sid", config.sid.as_str())
        .set("fallback_url", config.fallback_url.as_deref())
        .set("callback_url", config.callback_url.as_deref())
        .set("continue_on_failure", config.continue_on_failure)
        .set("disable_https", config.disable_https)
        .set("date_created", config.created)
        .set("date_updated", config.updated);
}

async fn show_config(ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    let config = Domain::of(&doc).config.ok_or_else(|| ctx.not_found())?;
    let mut record = record(&doc.sid);
    config_record(&mut record, &config);
    Ok(Reply::Record(record))
}

/// What is not given stays; an empty URL goes. 201 for the first of its domain.
async fn configure(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing_or_adopted(messaging, ctx).await?;
    let mut domain = Domain::of(&doc);
    let previous = domain.config.take();
    let status = if previous.is_some() { 200 } else { 201 };
    let mut config = previous.unwrap_or_else(|| Config {
        sid: ctx.clock.sid("ZK").to_string(),
        fallback_url: None,
        callback_url: None,
        continue_on_failure: false,
        disable_https: false,
        created: ctx.now,
        updated: ctx.now,
    });
    let url = |name: &str, before: Option<String>| match ctx.form.has(name) {
        true => ctx.form.text(name).map(str::to_owned),
        false => before,
    };
    config.fallback_url = url("FallbackUrl", config.fallback_url);
    config.callback_url = url("CallbackUrl", config.callback_url);
    let flag = |name: &str, before| ctx.form.boolean(name).unwrap_or(before);
    config.continue_on_failure = flag("ContinueOnFailure", config.continue_on_failure);
    config.disable_https = flag("DisableHttps", config.disable_https);
    config.updated = ctx.now;
    domain.config = Some(config.clone());
    revise(ctx, &doc, &domain).await?;
    let mut record = record(&doc.sid);
    config_record(&mut record, &config);
    Ok(Reply::RecordWith(status, record))
}

/// Whether what asks for the domain reaches this platform.
///
// Differs: Twilio looks at the DNS records; this asks the domain, by HTTPS and then by HTTP, and
// sees who answers.
async fn validate(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let doc = existing(ctx).await?;
    let reason = match &Domain::of(&doc).host {
        Some(host) => unreached(messaging, host, &doc.sid).await,
        None => None,
    };
    let mut record = record(&doc.sid);
    record.set("is_valid", reason.is_none()).set("reason", reason.unwrap_or_default());
    Ok(Reply::Record(record))
}

/// Why the domain does not lead here; `None` when it does.
async fn unreached(messaging: &Messaging, host: &str, sid: &str) -> Option<String> {
    let mut reason = String::new();
    for scheme in ["https", "http"] {
        let url = format!("{scheme}://{host}{PROBE_PATH}");
        let fetch = Fetch { method: Method::Get, ..Fetch::new(url) };
        match messaging.parts.client.fetch(fetch).await {
            Ok(answer) if answer.body == sid.as_bytes() => return None,
            Ok(_) => reason = format!("{scheme}://{host} is answered by something else"),
            Err(failure) => reason = format!("{scheme}://{host}: {}", failure.message),
        }
    }
    Some(reason)
}

/// The service in the path.
///
/// # Errors
/// 30127 / 400 for what is no SID of a service.
fn service_sid(ctx: &Ctx) -> Result<String, ApiError> {
    let sid = ctx.param_sid("MessagingServiceSid", &["MG"]).map_err(|_| {
        let text = ctx.param("MessagingServiceSid");
        let why = format!("MessagingServiceSid '{text}' is not a SID that begins with MG");
        ApiError::new(30127, why)
    })?;
    Ok(sid.to_string())
}

fn service_record(domain: &str, service: &str) -> Record {
    let mut record = record(domain).with_path("MessagingServiceSid", service);
    record.set("messaging_service_sid", service);
    record
}

async fn found(ctx: &Ctx, service: &str) -> Result<Option<(String, Domain)>, ApiError> {
    let found = domain_of_service(&ctx.store, service).await;
    found.map_err(|error| rest::store_error(ctx, error))
}

/// # Errors
/// 30127, 21701 for a service that is none; 30130 / 409 for one of another domain.
async fn attach(messaging: &Messaging, ctx: &Ctx) -> Result<Reply, ApiError> {
    let domain = existing_or_adopted(messaging, ctx).await?.sid;
    let service = service_sid(ctx)?;
    let known = messaging.service(&ctx.store, &service).await;
    if known.map_err(|error| rest::store_error(ctx, error))?.is_none() {
        return Err(no_service(&service));
    }
    let taken = |other: &str| {
        let why = format!("The Messaging Service {service} shortens with the domain {other}");
        Err(ApiError::new(30130, why))
    };
    match found(ctx, &service).await? {
        Some((other, _)) if other != domain => return taken(&other),
        Some(_) => {}
        None => {
            let mut batch = ctx.store.batch();
            batch.run(
                "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
                vec![domain.as_str().into(), SERVICE_CLAIM.into(), service.as_str().into()],
            );
            match ctx.store.commit(batch).await {
                Ok(_) => {}
                Err(StoreError::Duplicate(_)) => return taken("that was just set"),
                Err(error) => return Err(rest::store_error(ctx, error)),
            }
        }
    }
    Ok(Reply::Record(service_record(&domain, &service)))
}

async fn detach(ctx: &Ctx) -> Result<Reply, ApiError> {
    let domain = existing(ctx).await?.sid;
    let service = service_sid(ctx)?;
    if found(ctx, &service).await?.is_none_or(|(held, _)| held != domain) {
        return Err(ctx.not_found());
    }
    let mut batch = ctx.store.batch();
    batch.run(
        "DELETE FROM claim WHERE account_sid = $1 AND sid = $2 AND name = $3 AND value = $4",
        vec![domain.into(), SERVICE_CLAIM.into(), service.into()],
    );
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    Ok(Reply::Empty)
}

async fn show_domain(ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = service_sid(ctx)?;
    let (domain, _) = found(ctx, &service).await?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(service_record(&domain, &service)))
}

async fn show_config_of_service(ctx: &Ctx) -> Result<Reply, ApiError> {
    let service = service_sid(ctx)?;
    let (sid, domain) = found(ctx, &service).await?.ok_or_else(|| ctx.not_found())?;
    let config = domain.config.ok_or_else(|| ctx.not_found())?;
    let mut record = service_record(&sid, &service);
    config_record(&mut record, &config);
    Ok(Reply::Record(record))
}
