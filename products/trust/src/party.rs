//! `/v1/EndUsers` and `/v1/SupportingDocuments`: who a bundle is about, and the proof
//! (compliance §7).

use kernel::ApiError;
use rest::{Doc, Draft, Field, Op, Param, Resource, Table, Wire};
use store::{AccountStore, StoreError};

use crate::Trust;
use crate::catalogue::{self, DOCUMENTS, END_USERS, Kind};

const END_USER_KIND: &str = "TrustEndUser";
const DOCUMENT_KIND: &str = "TrustSupportingDocument";

const ATTRIBUTES: Param = Param::new("Attributes", Wire::Json).code(22207);
const UPDATE: &[Param] = &[Param::text("FriendlyName", 255), ATTRIBUTES];

const STATUSES: &[&str] =
    &["DRAFT", "PENDING_REVIEW", "REJECTED", "APPROVED", "EXPIRED", "PROVISIONALLY_APPROVED"];

pub static END_USER: Resource<Trust> = Resource {
    table: Table::product(END_USER_KIND, "trusthub", "/v1/EndUsers", "/v1/EndUsers/{Sid}")
        .key("results")
        .sid("IT")
        .fields(&[
            Field::sid("sid", &["IT"]),
            Field::sid("account_sid", &["AC"]),
            Field::text("friendly_name"),
            Field::text("type"),
            Field::new("attributes", Wire::Json).empty("{}"),
            Field::new("date_created", Wire::Iso8601),
            Field::new("date_updated", Wire::Iso8601),
            Field::new("url", Wire::Url),
        ]),
    ops: &[
        Op::create(&[
            Param::text("FriendlyName", 255).required(20001),
            Param::text("Type", 255).required(20001),
            ATTRIBUTES,
        ])
        .with(|_, _, draft| Box::pin(async move { check(draft, END_USERS, 22212) })),
        Op::list(&[]),
        Op::fetch(),
        Op::update(UPDATE).with(|_, _, draft| Box::pin(async move { check_object(draft) })),
        Op::delete(),
    ],
};

// Differs: a document stays DRAFT and has no file; the review of its bundle judges its attributes.
pub static SUPPORTING_DOCUMENT: Resource<Trust> = Resource {
    table: Table::product(
        DOCUMENT_KIND,
        "trusthub",
        "/v1/SupportingDocuments",
        "/v1/SupportingDocuments/{Sid}",
    )
    .key("results")
    .sid("RD")
    .fields(&[
        Field::sid("sid", &["RD"]),
        Field::sid("account_sid", &["AC"]),
        Field::text("friendly_name"),
        Field::text("mime_type"),
        Field::new("status", Wire::Enum(STATUSES)).empty("\"DRAFT\""),
        Field::text("type"),
        Field::new("attributes", Wire::Json).empty("{}"),
        Field::new("date_created", Wire::Iso8601),
        Field::new("date_updated", Wire::Iso8601),
        Field::new("url", Wire::Url),
    ]),
    ops: &[
        Op::create(&[
            Param::text("FriendlyName", 255).required(22211),
            Param::text("Type", 255).required(22210),
            ATTRIBUTES,
        ])
        .with(|_, _, draft| Box::pin(async move { check(draft, DOCUMENTS, 22210) })),
        Op::list(&[]),
        Op::fetch(),
        Op::update(UPDATE).with(|_, _, draft| Box::pin(async move { check_object(draft) })),
        Op::delete(),
    ],
};

/// An end user or a document.
pub(crate) async fn find(store: &AccountStore, sid: &str) -> Result<Option<Doc>, StoreError> {
    match sid.get(..2) {
        Some("IT") => rest::load(store, END_USER_KIND, "", sid).await,
        Some("RD") => rest::load(store, DOCUMENT_KIND, "", sid).await,
        _ => Ok(None),
    }
}

/// `code` for a type that does not exist.
fn check(draft: &Draft, kinds: &'static [Kind], code: u32) -> Result<(), ApiError> {
    let name = draft.text("type").unwrap_or_default();
    if catalogue::kind(kinds, name).is_none() {
        let known: Vec<_> = kinds.iter().map(|kind| kind.name).collect();
        let why = format!("The Type '{name}' is none of {}", known.join(", "));
        return Err(ApiError::new(code, why));
    }
    check_object(draft)
}

/// 22207: attributes are a JSON object.
fn check_object(draft: &Draft) -> Result<(), ApiError> {
    match draft.fields.get("attributes") {
        Some(attributes) if !attributes.is_object() => Err(ApiError::new(
            22207,
            "Attributes must be a JSON object, such as {\"email\": \"…\"}",
        )),
        _ => Ok(()),
    }
}
