//! The lists beside `/v1/Content`: with approvals, of old templates, and by filter (§2).

use kernel::{ApiError, Timestamp};
use rest::{Ctx, Cursor, Doc, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, Value as Json};

use crate::Content;
use crate::approval::wire;
use crate::resource::{ACCESS, KIND, LINKS};
use crate::shelf::{self, Scan};

const PLAIN: &[Field] = &[
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::sid("sid", &["HX"]),
    Field::sid("account_sid", &["AC"]),
    Field::text("friendly_name"),
    Field::text("language"),
    Field::new("variables", Wire::Json),
    Field::new("types", Wire::Json),
    Field::new("url", Wire::Url),
    Field::new("links", Wire::UriMap),
];

const WITH_APPROVALS: &[Field] = &[
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::sid("sid", &["HX"]),
    Field::sid("account_sid", &["AC"]),
    Field::text("friendly_name"),
    Field::text("language"),
    Field::new("variables", Wire::Json),
    Field::new("types", Wire::Json),
    Field::new("approval_requests", Wire::Json),
];

const LEGACY: &[Field] = &[
    Field::new("date_created", Wire::Iso8601),
    Field::new("date_updated", Wire::Iso8601),
    Field::sid("sid", &["HX"]),
    Field::sid("account_sid", &["AC"]),
    Field::text("friendly_name"),
    Field::text("language"),
    Field::new("variables", Wire::Json),
    Field::new("types", Wire::Json),
    Field::text("legacy_template_name"),
    Field::text("legacy_body"),
    Field::new("url", Wire::Url),
];

const FILTERS: &[Param] = &[
    Param::text("SortByDate", 4),
    Param::text("SortByContentName", 4),
    Param::date_time("DateCreatedAfter"),
    Param::date_time("DateCreatedBefore"),
    Param::text("ContentName", 64),
    Param::text("Content", 1024),
    Param::text("Language", 16).list(),
    Param::text("ContentType", 64).list(),
    Param::text("ChannelEligibility", 64).list(),
];

const fn table(name: &'static str, path: &'static str, fields: &'static [Field]) -> Table {
    Table::product(name, "content", path, "")
        .collection()
        .key("contents")
        .sid("HX")
        .fields(fields)
        .access(ACCESS)
}

pub static CONTENT_AND_APPROVALS: Resource<Content> = Resource {
    table: table("ContentAndApprovals", "/v1/ContentAndApprovals", WITH_APPROVALS),
    ops: &[Op::list(&[]).by(|_, ctx| Box::pin(newest(ctx)))],
};

/// Differs: no template here descends from the text templates of the time before Content, so the
/// list is always empty.
pub static LEGACY_CONTENT: Resource<Content> = Resource {
    table: table("LegacyContent", "/v1/LegacyContent", LEGACY),
    ops: &[Op::list(&[]).by(|_, _| Box::pin(async { Ok(Reply::List(Page::default())) }))],
};

pub static CONTENT_V2: Resource<Content> = Resource {
    table: table("ContentV2", "/v2/Content", PLAIN),
    ops: &[Op::list(FILTERS).by(|_, ctx| Box::pin(search(ctx)))],
};

pub static CONTENT_AND_APPROVALS_V2: Resource<Content> = Resource {
    table: table("ContentAndApprovalsV2", "/v2/ContentAndApprovals", WITH_APPROVALS),
    ops: &[Op::list(FILTERS).by(|_, ctx| Box::pin(search(ctx)))],
};

async fn newest(ctx: &Ctx) -> Result<Reply, ApiError> {
    let found = rest::documents(ctx, KIND, "", |_| true).await;
    let (docs, has_next) = found.map_err(|error| rest::store_error(ctx, error))?;
    let records = docs.iter().map(|doc| shown(ctx, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// Looks at every template, remembers name and SID of those that fit, and reads the page again:
/// what is in memory does not grow with the templates.
async fn search(ctx: &Ctx) -> Result<Reply, ApiError> {
    let filter = Filter::of(ctx)?;
    let mut hits: Vec<(String, String)> = Vec::new();
    let mut scan = Scan::new(&ctx.store);
    loop {
        let docs = scan.next().await.map_err(|error| rest::store_error(ctx, error))?;
        if docs.is_empty() {
            break;
        }
        let fit = docs.iter().filter(|doc| filter.fits(doc));
        hits.extend(fit.map(|doc| {
            (doc.text("friendly_name").unwrap_or_default().to_lowercase(), doc.sid.clone())
        }));
    }
    match filter.order {
        Order::Newest => {}
        Order::Oldest => hits.reverse(),
        Order::ByName => hits.sort(),
        Order::ByNameBackwards => hits.sort_by(|a, b| b.cmp(a)),
    }
    let (sids, has_next) = page_of(ctx, &hits)?;
    let docs = shelf::these(&ctx.store, &sids).await;
    let docs = docs.map_err(|error| rest::store_error(ctx, error))?;
    let records = docs.iter().map(|doc| shown(ctx, doc)).collect();
    Ok(Reply::List(Page { records, has_next }))
}

/// The SIDs of the page that was asked for, and whether more follow.
fn page_of<'h>(ctx: &Ctx, hits: &'h [(String, String)]) -> Result<(Vec<&'h str>, bool), ApiError> {
    let size = ctx.page.size as usize;
    let place = |key: &str| {
        hits.iter().position(|(_, sid)| sid == key).ok_or_else(|| {
            ApiError::new(21481, format!("PageToken names '{key}', which is none of this list"))
        })
    };
    let (from, to) = match &ctx.page.cursor {
        Cursor::Offset => {
            let from = usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX).min(hits.len());
            (from, from.saturating_add(size).min(hits.len()))
        }
        Cursor::After(key) => {
            let from = place(key)? + 1;
            (from, from.saturating_add(size).min(hits.len()))
        }
        Cursor::Before(key) => {
            let to = place(key)?;
            (to.saturating_sub(size), to)
        }
    };
    let sids = hits[from..to].iter().map(|(_, sid)| sid.as_str()).collect();
    Ok((sids, to < hits.len()))
}

fn shown(ctx: &Ctx, doc: &Doc) -> Record {
    let mut record = rest::record(ctx.account, ctx.table, doc);
    let url = format!("{}/v1/Content/{}", ctx.base, doc.sid);
    let links: Map<String, Json> = LINKS
        .iter()
        .map(|(name, suffix)| ((*name).to_owned(), format!("{url}{suffix}").into()))
        .collect();
    record.set("url", url).set("links", Json::Object(links)).set("approval_requests", wire(doc));
    record.with_cursor(doc.sid.clone())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Newest,
    Oldest,
    ByName,
    ByNameBackwards,
}

/// What a search asks for.
struct Filter {
    order: Order,
    after: Option<Timestamp>,
    before: Option<Timestamp>,
    name: Option<String>,
    words: Option<String>,
    languages: Vec<String>,
    types: Vec<String>,
    /// `whatsapp:approved`: one of them must hold.
    eligibility: Vec<(String, String)>,
}

impl Filter {
    /// # Errors
    /// 20001 / 400 for an order or eligibility that is none.
    ///
    /// Differs: a name's order wins over the date's when both are asked for.
    fn of(ctx: &Ctx) -> Result<Self, ApiError> {
        let form = &ctx.form;
        let direction = |name: &str| match form.text(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("asc") => Ok(Some(true)),
            Some("desc") => Ok(Some(false)),
            Some(other) => {
                let why = format!("{name} is not valid: '{other}' is neither asc nor desc");
                Err(ApiError::new(20001, why))
            }
        };
        let order = match (direction("SortByContentName")?, direction("SortByDate")?) {
            (Some(true), _) => Order::ByName,
            (Some(false), _) => Order::ByNameBackwards,
            (None, Some(true)) => Order::Oldest,
            (None, Some(false) | None) => Order::Newest,
        };
        let eligibility = form.list("ChannelEligibility").into_iter().map(|text| {
            let parts = text.split_once(':').map(|(a, b)| (a.to_lowercase(), b.to_lowercase()));
            parts.ok_or_else(|| {
                let why =
                    format!("ChannelEligibility '{text}' is not of the form whatsapp:approved");
                ApiError::new(20001, why)
            })
        });
        let owned = |name: &str| form.list(name).into_iter().map(str::to_owned).collect();
        Ok(Self {
            order,
            after: form.time("DateCreatedAfter"),
            before: form.time("DateCreatedBefore"),
            name: form.text("ContentName").map(str::to_lowercase),
            words: form.text("Content").map(str::to_lowercase),
            languages: owned("Language"),
            types: owned("ContentType"),
            eligibility: eligibility.collect::<Result<_, _>>()?,
        })
    }

    fn fits(&self, doc: &Doc) -> bool {
        let types = doc.fields.get("types").and_then(Json::as_object);
        let name = || doc.text("friendly_name").unwrap_or_default().to_lowercase();
        let has_type = |name: &String| types.is_some_and(|types| types.contains_key(name));
        let language = doc.text("language").unwrap_or_default();
        self.after.is_none_or(|after| doc.date_created >= after)
            && self.before.is_none_or(|before| doc.date_created < before)
            && self.name.as_ref().is_none_or(|wanted| name().contains(wanted))
            && (self.languages.is_empty() || self.languages.iter().any(|known| known == language))
            && (self.types.is_empty() || self.types.iter().any(has_type))
            && self.words.as_ref().is_none_or(|wanted| {
                types.is_some_and(|types| types.values().any(|json| mentions(json, wanted)))
            })
            && (self.eligibility.is_empty() || self.is_eligible(doc))
    }

    fn is_eligible(&self, doc: &Doc) -> bool {
        let approval = wire(doc);
        let status = approval["status"].as_str().unwrap_or_default();
        let mut wanted = self.eligibility.iter();
        wanted.any(|(channel, wanted)| channel == "whatsapp" && wanted == status)
    }
}

/// A text of the JSON has the words, which are lower-case.
fn mentions(json: &Json, words: &str) -> bool {
    match json {
        Json::String(text) => text.to_lowercase().contains(words),
        Json::Array(items) => items.iter().any(|item| mentions(item, words)),
        Json::Object(members) => members.values().any(|value| mentions(value, words)),
        _ => false,
    }
}
