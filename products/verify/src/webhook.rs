//! `/v2/Services/{VA}/Webhooks` (verify §9): factor and challenge events, posted.

use kernel::ApiError;
use rest::{Access, Ctx, Draft, Field, Op, Param, Resource, Table, Wire};
use serde_json::Value as Json;
use store::{AccountBatch, AccountStore, StoreError};
use webhooks::Callback;

use crate::Verify;
use crate::faults::{failed, invalid};
use crate::limit::children;

const KIND: &str = "VerifyWebhook";
/// Of a service.
const WEBHOOKS_MAX: usize = 20;
const STATUSES: &[&str] = &["enabled", "disabled"];
const VERSIONS: &[&str] = &["v1", "v2"];

/// What can be asked for. Those of verifications are beyond Twilio's.
const EVENTS: &[&str] = &[
    "*",
    "factor.created",
    "factor.verified",
    "factor.deleted",
    "challenge.approved",
    "challenge.denied",
    "verification.approved",
    "verification.canceled",
    "verification.expired",
    "verification.max_attempts_reached",
];

const fn params(name: Param, events: Param, url: Param) -> [Param; 5] {
    [
        name,
        events,
        url,
        Param::one_of("Status", STATUSES).code(60200).default("enabled"),
        Param::one_of("Version", VERSIONS).code(60200).default("v2"),
    ]
}

const NAME: Param = Param::text("FriendlyName", 64).code(60200);
const EVENT_TYPES: Param = Param::text("EventTypes", 64).code(60200).list();
const URL: Param = Param::url("WebhookUrl").code(60200);
const CREATE: &[Param] =
    &params(NAME.required(60200), EVENT_TYPES.required(60200), URL.required(60200));
const UPDATE: &[Param] = &params(NAME, EVENT_TYPES, URL);

pub static WEBHOOK: Resource<Verify> = Resource {
    table: Table::product(
        KIND,
        "verify",
        "/v2/Services/{ServiceSid}/Webhooks",
        "/v2/Services/{ServiceSid}/Webhooks/{Sid}",
    )
    .key("webhooks")
    .sid("YW")
    .under(crate::service::KIND)
    .access(Access::Keys("verify/webhooks"))
    .fields(&[
        Field::sid("sid", &["YW"]),
        Field::sid("service_sid", &["VA"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("friendly_name"),
        Field::new("event_types", Wire::Json).empty("[]"),
        Field::new("status", Wire::Enum(STATUSES)),
        Field::new("version", Wire::Enum(VERSIONS)),
        Field::new("webhook_url", Wire::Url),
        Field::new("webhook_method", Wire::Enum(&["GET", "POST"])).empty("\"POST\""),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(CREATE).with(|_, ctx, draft| {
            Box::pin(async {
                let service = ctx.param("ServiceSid");
                let all = children(&ctx.store, KIND, service).await.map_err(failed(ctx))?;
                if all.len() >= WEBHOOKS_MAX {
                    let why = format!("the service has {WEBHOOKS_MAX} webhooks already");
                    return Err(invalid("WebhookUrl", &why));
                }
                complete(ctx, draft)
            })
        }),
        Op::list(&[]),
        Op::fetch(),
        Op::update(UPDATE).with(|_, ctx, draft| Box::pin(async { complete(ctx, draft) })),
        Op::delete(),
    ],
};

fn complete(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let asked = draft.fields.get("event_types").and_then(Json::as_array);
    let unknown = asked.into_iter().flatten().filter_map(Json::as_str);
    if let Some(unknown) = unknown.into_iter().find(|event| !EVENTS.contains(event)) {
        let why = format!("{unknown} is none of {}", EVENTS.join(", "));
        return Err(invalid("EventTypes", &why));
    }
    draft.set("service_sid", ctx.param("ServiceSid"));
    Ok(())
}

/// Promises a callback to every webhook of the service that asks for `kind`.
pub(crate) async fn call(
    verify: &Verify,
    store: &AccountStore,
    service: &str,
    kind: &str,
    params: &[(&str, String)],
    batch: &mut AccountBatch,
) -> Result<(), StoreError> {
    for (sid, hook) in children(store, KIND, service).await? {
        let asked = hook["event_types"].as_array().cloned().unwrap_or_default();
        // Everything is everything of Twilio's; verifications must be asked for.
        let is_asked = asked
            .iter()
            .any(|event| event == kind || (event == "*" && !kind.starts_with("verification.")));
        if !is_asked || hook["status"] == "disabled" {
            continue;
        }
        let mut all = vec![
            ("uuid".to_owned(), verify.parts.clock.hex_token(32)),
            ("type".to_owned(), kind.to_owned()),
            ("account_sid".to_owned(), store.account().to_string()),
            ("service_sid".to_owned(), service.to_owned()),
        ];
        all.extend(params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let callback = Callback {
            url: hook["webhook_url"].as_str().unwrap_or_default().to_owned(),
            method: "POST".to_owned(),
            params: all,
            resource: sid,
        };
        webhooks::promise(batch, &verify.parts.clock, callback);
    }
    Ok(())
}
