//! What Trust Hub knows beforehand: the kinds of end users and documents, and the policies that
//! ask for them (compliance §7).

use kernel::ApiError;
use rest::{Ctx, Field, Op, Page, Record, Reply, Resource, Table, Wire};
use serde_json::{Value as Json, json};

use crate::Trust;

/// An attribute that a policy asks for.
#[derive(Debug)]
pub(crate) struct Attribute {
    pub name: &'static str,
    pub label: &'static str,
    pub is_required: bool,
    is_list: bool,
}

const fn needs(name: &'static str, label: &'static str) -> Attribute {
    Attribute { name, label, is_required: true, is_list: false }
}

const fn takes(name: &'static str, label: &'static str) -> Attribute {
    Attribute { name, label, is_required: false, is_list: false }
}

/// A kind of end user or document.
#[derive(Debug)]
pub(crate) struct Kind {
    sid: &'static str,
    /// The `Type` of those that are of it.
    pub name: &'static str,
    pub label: &'static str,
    pub attributes: &'static [Attribute],
}

const REPRESENTATIVE: &[Attribute] = &[
    needs("first_name", "First Name"),
    needs("last_name", "Last Name"),
    needs("email", "Email"),
    needs("phone_number", "Phone Number"),
    needs("business_title", "Business Title"),
    needs("job_position", "Job Position"),
];

// Differs: the SIDs of types are Offhook's own. A type is found by its machine name too.
pub(crate) static END_USERS: &[Kind] = &[
    Kind {
        sid: "OY00000000000000000000000000000001",
        name: "customer_profile_business_information",
        label: "Business Information",
        attributes: &[
            needs("business_name", "Business Name"),
            needs("business_identity", "Business Identity"),
            needs("business_type", "Business Type"),
            needs("business_industry", "Business Industry"),
            needs("business_registration_identifier", "Business Registration Identifier"),
            needs("business_registration_number", "Business Registration Number"),
            needs("business_regions_of_operation", "Business Regions of Operation"),
            needs("website_url", "Website URL"),
            takes("social_media_profile_urls", "Social Media Profile URLs"),
        ],
    },
    Kind {
        sid: "OY00000000000000000000000000000002",
        name: "authorized_representative_1",
        label: "Authorized Representative 1",
        attributes: REPRESENTATIVE,
    },
    Kind {
        sid: "OY00000000000000000000000000000003",
        name: "authorized_representative_2",
        label: "Authorized Representative 2",
        attributes: REPRESENTATIVE,
    },
    Kind {
        sid: "OY00000000000000000000000000000004",
        name: "starter_customer_profile_information",
        label: "Starter Customer Profile Information",
        attributes: &[
            needs("first_name", "First Name"),
            needs("last_name", "Last Name"),
            needs("email", "Email Address"),
            needs("phone_number", "Phone Number"),
        ],
    },
    Kind {
        sid: "OY00000000000000000000000000000005",
        name: "us_a2p_messaging_profile_information",
        label: "US A2P Messaging Profile Information",
        attributes: &[
            needs("company_type", "Company Type"),
            takes("stock_exchange", "Stock Exchange"),
            takes("stock_ticker", "Stock Ticker"),
            takes("brand_contact_email", "Brand Contact Email"),
        ],
    },
    Kind {
        sid: "OY00000000000000000000000000000006",
        name: "sole_proprietor_information",
        label: "Sole Proprietor Information",
        attributes: &[
            needs("brand_name", "Brand Name"),
            needs("mobile_phone_number", "Mobile Phone Number"),
            needs("vertical", "Vertical"),
        ],
    },
    Kind {
        sid: "OY00000000000000000000000000000007",
        name: "cnam_information",
        label: "CNAM Information",
        attributes: &[needs("cnam_display_name", "CNAM Display Name")],
    },
    Kind {
        sid: "OY00000000000000000000000000000008",
        name: "voice_integrity_information",
        label: "Voice Integrity Information",
        attributes: &[
            needs("use_case", "Use Case"),
            needs("business_employee_count", "Business Employee Count"),
            needs("average_business_day_call_volume", "Average Business Day Call Volume"),
            takes("notes", "Notes"),
        ],
    },
];

pub(crate) static DOCUMENTS: &[Kind] = &[
    Kind {
        sid: "OY00000000000000000000000000000101",
        name: "customer_profile_address",
        label: "Physical Business Address",
        attributes: &[Attribute { is_list: true, ..needs("address_sids", "Address Sids") }],
    },
    Kind {
        sid: "OY00000000000000000000000000000102",
        name: "government_issued_proof_of_authorized_representative",
        label: "Government-issued proof of the authorized representative",
        attributes: &[
            needs("first_name", "First Name"),
            needs("last_name", "Last Name"),
            needs("business_name", "Business Name"),
        ],
    },
];

/// A customer profile that a policy builds on: any under one of these policies.
#[derive(Debug)]
pub(crate) struct Support {
    pub name: &'static str,
    pub label: &'static str,
    pub policies: &'static [&'static str],
}

/// What a bundle must hold.
#[derive(Debug)]
pub(crate) struct Policy {
    pub sid: &'static str,
    label: &'static str,
    /// Names of kinds; the second is true where a bundle may do without.
    pub end_users: &'static [(&'static str, bool)],
    pub documents: &'static [&'static str],
    pub profiles: &'static [Support],
}

const PRIMARY: &str = "RN6433641899984f951173ef1738c3bdd0";
const SECONDARY: &str = "RNdfbf3fae0e1107f8aded0e7cead80bf5";
const STARTER: &str = "RN806dd6cd175f314e1f96a9727ee271f4";
const SOLE_PROPRIETOR: &str = "RN670d5d2e282a6130ae063b234b6019c8";

const BUSINESS: &[(&str, bool)] = &[
    ("customer_profile_business_information", false),
    ("authorized_representative_1", false),
    ("authorized_representative_2", true),
];

const OF_PRIMARY: &[Support] = &[Support {
    name: "primary_customer_profile",
    label: "Primary Customer Profile",
    policies: &[PRIMARY],
}];

const OF_ANY_BUSINESS: &[Support] = &[Support {
    name: "customer_profile",
    label: "Customer Profile",
    policies: &[PRIMARY, SECONDARY],
}];

/// The policies, by the SIDs that Twilio's guides name and programs hold as constants.
pub(crate) static POLICIES: &[Policy] = &[
    Policy {
        sid: PRIMARY,
        label: "Primary Customer Profile of type Business",
        end_users: BUSINESS,
        documents: &["customer_profile_address"],
        profiles: &[],
    },
    Policy {
        sid: SECONDARY,
        label: "Secondary Customer Profile of type Business",
        end_users: BUSINESS,
        documents: &["customer_profile_address"],
        profiles: OF_PRIMARY,
    },
    Policy {
        sid: STARTER,
        label: "Starter Customer Profile",
        end_users: &[("starter_customer_profile_information", false)],
        documents: &["customer_profile_address"],
        profiles: OF_PRIMARY,
    },
    Policy {
        sid: "RNb0d4771c2c98518d916a3d4cd70a8f8b",
        label: "A2P Messaging Profile: Business",
        end_users: &[("us_a2p_messaging_profile_information", false)],
        documents: &[],
        profiles: OF_ANY_BUSINESS,
    },
    Policy {
        sid: SOLE_PROPRIETOR,
        label: "A2P Messaging Profile: Sole Proprietor",
        end_users: &[("sole_proprietor_information", false)],
        documents: &[],
        profiles: &[Support {
            name: "customer_profile",
            label: "Starter Customer Profile",
            policies: &[STARTER],
        }],
    },
    Policy {
        sid: "RN7a97559effdf62d00f4298208492a5ea",
        label: "SHAKEN/STIR: Business",
        end_users: &[],
        documents: &[],
        profiles: OF_ANY_BUSINESS,
    },
    Policy {
        sid: "RNf3db3cd1fe25fcfd3c3ded065c8fea53",
        label: "CNAM: Business",
        end_users: &[("cnam_information", false)],
        documents: &[],
        profiles: OF_ANY_BUSINESS,
    },
    Policy {
        sid: "RN5b3660f9598883b1df4e77f77acefba0",
        label: "Voice Integrity: Business",
        end_users: &[("voice_integrity_information", false)],
        documents: &[],
        profiles: OF_ANY_BUSINESS,
    },
];

/// The policy of this SID.
pub(crate) fn policy(sid: &str) -> Option<&'static Policy> {
    POLICIES.iter().find(|policy| policy.sid == sid)
}

/// Is the policy for one person's business?
pub(crate) fn is_sole_proprietor(policy: &str) -> bool {
    [STARTER, SOLE_PROPRIETOR].contains(&policy)
}

/// The kind of this `Type`.
pub(crate) fn kind(all: &'static [Kind], name: &str) -> Option<&'static Kind> {
    all.iter().find(|kind| kind.name == name)
}

impl Kind {
    fn record(&self) -> Record {
        let constraint = |list: bool| if list { "List" } else { "String" };
        let fields: Json = self
            .attributes
            .iter()
            .map(|one| {
                json!({"machine_name": one.name, "friendly_name": one.label,
                       "constraint": constraint(one.is_list)})
            })
            .collect();
        let mut record = Record::new(self.sid);
        record
            .set("sid", self.sid)
            .set("friendly_name", self.label)
            .set("machine_name", self.name)
            .set("fields", fields);
        record
    }

    /// How a policy asks for it.
    fn requirement(&self, path: &str) -> Json {
        let fields: Vec<_> = self.attributes.iter().map(|one| one.name).collect();
        json!({"name": self.label, "type": self.name, "requirement_name": self.name,
               "fields": fields, "url": format!("/{path}/{}", self.name)})
    }
}

impl Policy {
    /// What it asks for, each with whether a bundle may do without.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static Kind, bool)> {
        let of = |all: &'static [Kind], name: &str| kind(all, name).expect("the tables agree");
        let users =
            self.end_users.iter().map(move |(name, optional)| (of(END_USERS, name), *optional));
        let documents = self.documents.iter().map(move |name| (of(DOCUMENTS, name), false));
        users.chain(documents)
    }

    fn record(&self) -> Record {
        let users: Json = self
            .end_users
            .iter()
            .filter_map(|(name, _)| kind(END_USERS, name))
            .map(|kind| kind.requirement("EndUserTypes"))
            .collect();
        let documents: Json = self
            .documents
            .iter()
            .filter_map(|name| kind(DOCUMENTS, name))
            .map(|kind| {
                json!([{"type": "document", "name": kind.label, "description": kind.label,
                        "requirement_name": kind.name,
                        "accepted_documents": [kind.requirement("SupportingDocumentTypes")]}])
            })
            .collect();
        let profiles: Json = self
            .profiles
            .iter()
            .map(|one| {
                json!({"name": one.label, "type": one.name, "requirement_name": one.name,
                       "accepted_policies": one.policies})
            })
            .collect();
        let mut record = Record::new(self.sid);
        record.set("sid", self.sid).set("friendly_name", self.label).set(
            "requirements",
            json!({"end_user": users, "supporting_document": documents,
                   "supporting_customer_profiles": profiles, "supporting_trust_products": []}),
        );
        record
    }
}

const KIND_FIELDS: &[Field] = &[
    Field::sid("sid", &["OY"]),
    Field::text("friendly_name"),
    Field::text("machine_name"),
    Field::new("fields", Wire::Json),
    Field::new("url", Wire::Url),
];

pub static END_USER_TYPE: Resource<Trust> = Resource {
    table: Table::product("EndUserType", "trusthub", "/v1/EndUserTypes", "/v1/EndUserTypes/{Sid}")
        .key("end_user_types")
        .sid("OY")
        .fields(KIND_FIELDS),
    ops: &[
        Op::list(&[]).by(|_, ctx| Box::pin(async move { list(ctx, END_USERS, Kind::record) })),
        Op::fetch().by(|_, ctx| Box::pin(async move { fetch_kind(ctx, END_USERS) })),
    ],
};

pub static SUPPORTING_DOCUMENT_TYPE: Resource<Trust> = Resource {
    table: Table::product(
        "SupportingDocumentType",
        "trusthub",
        "/v1/SupportingDocumentTypes",
        "/v1/SupportingDocumentTypes/{Sid}",
    )
    .key("supporting_document_types")
    .sid("OY")
    .fields(KIND_FIELDS),
    ops: &[
        Op::list(&[]).by(|_, ctx| Box::pin(async move { list(ctx, DOCUMENTS, Kind::record) })),
        Op::fetch().by(|_, ctx| Box::pin(async move { fetch_kind(ctx, DOCUMENTS) })),
    ],
};

const POLICY_FIELDS: &[Field] = &[
    Field::sid("sid", &["RN"]),
    Field::text("friendly_name"),
    Field::new("requirements", Wire::Json),
    Field::new("url", Wire::Url),
];

pub static POLICY: Resource<Trust> = Resource {
    table: Table::product("Policies", "trusthub", "/v1/Policies", "/v1/Policies/{Sid}")
        .key("results")
        .sid("RN")
        .fields(POLICY_FIELDS),
    ops: &[
        Op::list(&[]).by(|_, ctx| Box::pin(async move { list(ctx, POLICIES, Policy::record) })),
        Op::fetch().by(|_, ctx| {
            Box::pin(async move {
                let policy = policy(ctx.param("Sid")).ok_or_else(|| ctx.not_found())?;
                Ok(Reply::Record(policy.record()))
            })
        }),
    ],
};

/// A page of a table; it fits one page, and a token is behind its end.
fn list<T>(ctx: &Ctx, all: &'static [T], record: fn(&T) -> Record) -> Result<Reply, ApiError> {
    let start = match ctx.page.cursor {
        rest::Cursor::Offset => ctx.page.offset(),
        _ => i64::from(ctx.page.number) * i64::from(ctx.page.size),
    };
    let rest = all.get(usize::try_from(start).unwrap_or(usize::MAX)..).unwrap_or_default();
    let size = ctx.page.size as usize;
    let records = rest.iter().take(size).map(record).collect();
    Ok(Reply::List(Page { records, has_next: rest.len() > size }))
}

fn fetch_kind(ctx: &Ctx, all: &'static [Kind]) -> Result<Reply, ApiError> {
    let wanted = ctx.param("Sid");
    let found = all.iter().find(|kind| kind.sid == wanted || kind.name == wanted);
    Ok(Reply::Record(found.ok_or_else(|| ctx.not_found())?.record()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_names_kinds_that_exist() {
        for policy in POLICIES {
            let asked = policy.end_users.len() + policy.documents.len();
            assert_eq!(policy.kinds().count(), asked, "{}", policy.label);
            for support in policy.profiles {
                assert!(support.policies.iter().all(|sid| super::policy(sid).is_some()));
            }
        }
    }
}
