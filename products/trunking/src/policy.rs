//! `voice/v1/ConnectionPolicies` and their targets (voice-api §15): where a BYOC trunk's calls go.

use kernel::ApiError;
use rest::{Access, Ctx, Draft, Field, Op, Param, Resource, Table, Verb, Wire};

use crate::{Trunking, byoc, host, shelf};

pub(crate) const KIND: &str = "ConnectionPolicy";
pub(crate) const TARGET_KIND: &str = "ConnectionPolicyTarget";
const POLICIES_MAX: i64 = 10_000;
const TARGETS_MAX: i64 = 10;
const ACCESS: Access = Access::Keys("voice/connection-policies");

const NAME: &[Param] = &[Param::text("FriendlyName", 255)];

pub static CONNECTION_POLICY: Resource<Trunking> = Resource {
    table: Table::product(KIND, "voice", "/v1/ConnectionPolicies", "/v1/ConnectionPolicies/{Sid}")
        .key("connection_policies")
        .sid("NY")
        .fields(&[
            Field::sid("account_sid", &["AC"]),
            Field::sid("sid", &["NY"]),
            Field::text("friendly_name"),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::new("url", Wire::Url),
            Field::new("links", Wire::UriMap),
        ])
        .links(&[("targets", "/Targets")])
        .access(ACCESS),
    ops: &[
        Op::create(NAME)
            .with(|_, ctx, _| Box::pin(shelf::check_room(ctx, KIND, "", POLICIES_MAX, 21253))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(NAME),
        Op::delete().with(|_, ctx, draft| Box::pin(remove(ctx, draft))),
    ],
};

/// A policy that a trunk has stays; its targets go with it.
async fn remove(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let trunks = shelf::all(&ctx.store, byoc::KIND, "").await.map_err(shelf::failed(ctx))?;
    let sid = draft.sid.clone();
    if let Some(doc) = trunks.iter().find(|doc| doc.text("connection_policy_sid") == Some(&sid)) {
        let why = format!("Trunk {} has this policy: change the trunk first", doc.sid);
        return Err(ApiError::new(21247, why));
    }
    draft.batch.run(
        "DELETE FROM resource WHERE account_sid = $1 AND kind = $2 AND parent = $3",
        vec![TARGET_KIND.into(), sid.into()],
    );
    Ok(())
}

const URI: Param = Param::text("Target", 2048);
const PRIORITY: Param = Param::integer("Priority", 0, 65_535).default("10");
const WEIGHT: Param = Param::integer("Weight", 1, 65_535).default("10");
const ENABLED: Param = Param::boolean("Enabled").default("true");

pub static TARGET: Resource<Trunking> = Resource {
    table: Table::product(
        TARGET_KIND,
        "voice",
        "/v1/ConnectionPolicies/{ConnectionPolicySid}/Targets",
        "/v1/ConnectionPolicies/{ConnectionPolicySid}/Targets/{Sid}",
    )
    .key("targets")
    .sid("NE")
    .under(KIND)
    .fields(&[
        Field::sid("account_sid", &["AC"]),
        Field::sid("connection_policy_sid", &["NY"]),
        Field::sid("sid", &["NE"]),
        Field::text("friendly_name"),
        Field::new("target", Wire::Url),
        Field::new("priority", Wire::Integer(0, 65_535)),
        Field::new("weight", Wire::Integer(1, 65_535)),
        Field::new("enabled", Wire::Boolean),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ])
    .access(ACCESS),
    ops: &[
        Op::create(&[
            URI.required(20001),
            Param::text("FriendlyName", 255),
            PRIORITY,
            WEIGHT,
            ENABLED,
        ])
        .with(|_, ctx, draft| Box::pin(check_target(ctx, draft))),
        Op::list(&[]),
        Op::fetch(),
        Op::update(&[Param::text("FriendlyName", 255), URI, PRIORITY, WEIGHT, ENABLED])
            .with(|_, ctx, draft| Box::pin(check_target(ctx, draft))),
        Op::delete(),
    ],
};

async fn check_target(ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    let policy = ctx.param("ConnectionPolicySid").to_owned();
    if draft.verb == Verb::Create {
        shelf::check_room(ctx, TARGET_KIND, &policy, TARGETS_MAX, 21254).await?;
    }
    host::check_uri(draft.text("target").unwrap_or_default())
        .map_err(|why| ApiError::new(20001, format!("Target: {why}")))?;
    draft.set("connection_policy_sid", policy);
    Ok(())
}
