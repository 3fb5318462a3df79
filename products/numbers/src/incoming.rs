//! `/IncomingPhoneNumbers`: buy, configure, move, release (voice-api §6.1).

use kernel::{ApiError, Redacted, Sid};
use numbering::{Address, E164, Filter, NumberType};
use rest::{Access, Ctx, Doc, Draft, Op, Page, Record, Reply, Resource, Run, Table};
use serde_json::{Map, Value as Json, json};
use store::StoreError;

use crate::directory::CLAIM;
use crate::incoming_fields::{CREATE, CREATE_TYPED, FIELDS, LIST, UPDATE};
use crate::{Numbers, application, trunk_number};

pub(crate) const KIND: &str = "IncomingPhoneNumber";

const fn table(list: &'static str) -> Table {
    Table::v2010(KIND, list, "/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers/{Sid}")
        .key("incoming_phone_numbers")
        .sid("PN")
        .fields(FIELDS)
        .access(Access::Keys("numbers/incoming-phone-numbers"))
}

pub static INCOMING: Resource<Numbers> = Resource {
    table: table("/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers"),
    ops: &[
        Op::create(&CREATE)
            .with_test_credentials()
            .by(|numbers, ctx| Box::pin(create(numbers, ctx, None))),
        Op::list(LIST).by(|_, ctx| Box::pin(list(ctx, None))),
        Op::fetch(),
        Op::update(&UPDATE).with(|numbers, ctx, draft| {
            Box::pin(async move { before_update(numbers, ctx, draft).await })
        }),
        Op::delete().with(|numbers, _, draft| {
            Box::pin(async move {
                forget_owner_afterwards(numbers, draft);
                Ok(())
            })
        }),
    ],
};

macro_rules! typed {
    ($name:ident, $path:literal, $kind:expr) => {
        pub static $name: Resource<Numbers> = Resource {
            table: table(concat!("/2010-04-01/Accounts/{AccountSid}/IncomingPhoneNumbers/", $path))
                .collection_of_another(),
            ops: &[
                Op {
                    run: Run::Handler(|numbers, ctx| Box::pin(create(numbers, ctx, Some($kind)))),
                    ..Op::create(&CREATE_TYPED).with_test_credentials()
                },
                Op::list(LIST).by(|_, ctx| Box::pin(list(ctx, Some($kind)))),
            ],
        };
    };
}

typed!(LOCAL, "Local", NumberType::Local);
typed!(MOBILE, "Mobile", NumberType::Mobile);
typed!(TOLL_FREE, "TollFree", NumberType::TollFree);

/// Times another number of an area code is tried when somebody was faster.
const PURCHASES_MAX: usize = 20;

async fn create(numbers: &Numbers, ctx: &Ctx, kind: Option<NumberType>) -> Result<Reply, ApiError> {
    match (ctx.form.text("PhoneNumber"), ctx.form.text("AreaCode")) {
        _ if ctx.is_test() => create_with_test_credentials(ctx),
        (Some(text), _) => buy(numbers, ctx, kind, wanted(text)?).await,
        (None, Some(area)) => {
            for _ in 1..PURCHASES_MAX {
                match buy(numbers, ctx, kind, in_area(numbers, area).await?).await {
                    Err(error) if error.code == 21422 => {}
                    outcome => return outcome,
                }
            }
            buy(numbers, ctx, kind, in_area(numbers, area).await?).await
        }
        (None, None) => Err(ApiError::new(21421, "A 'PhoneNumber' or an 'AreaCode' is required")),
    }
}

/// 21422 / 400 when somebody has it.
async fn buy(
    numbers: &Numbers,
    ctx: &Ctx,
    kind: Option<NumberType>,
    number: E164,
) -> Result<Reply, ApiError> {
    let offer = numbering::contains(number).ok_or_else(|| invalid(&number.to_string()))?;
    if kind.is_some_and(|kind| kind != offer.number_type) {
        let why = format!("{number} is a {:?} number; buy it at that path", offer.number_type);
        return Err(ApiError::new(21458, why));
    }
    let mut fields = match new_number(number, offer.friendly_name.as_str()) {
        Json::Object(fields) => fields,
        _ => Map::new(),
    };
    let mut draft = fields_of_form(ctx, &mut fields);
    check_exclusive(ctx, &mut draft);
    check_applications(ctx, &draft).await?;
    trunk_number::check(numbers, ctx).await?;
    let sid = ctx.clock.sid("PN");
    match numbers.insert(ctx.account, KIND, sid, &number.to_string(), Json::Object(draft)).await {
        Ok(()) => {}
        Err(StoreError::Duplicate(_)) => {
            return Err(ApiError::new(21422, format!("{number} is not available")));
        }
        Err(error) => return Err(rest::store_error(ctx, error)),
    }
    let doc = rest::load(&ctx.store, KIND, "", &sid.to_string()).await;
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

/// What a number is before it is configured.
pub(crate) fn new_number(number: E164, name: &str) -> Json {
    let offer = numbering::contains(number);
    let capabilities = offer.as_ref().map_or(
        json!({"voice": true, "sms": true, "mms": true, "fax": false}),
        |offer| {
            let has = &offer.capabilities;
            json!({"voice": has.voice, "sms": has.sms, "mms": has.mms, "fax": has.fax})
        },
    );
    json!({
        "phone_number": number.to_string(),
        "friendly_name": name,
        "capabilities": capabilities,
        "type": offer.map(|offer| offer.number_type.key()),
    })
}

fn wanted(text: &str) -> Result<E164, ApiError> {
    match Address::parse_to(text) {
        Ok(Address::E164(number)) if number.is_valid() => Ok(number),
        _ => Err(invalid(text)),
    }
}

fn invalid(text: &str) -> ApiError {
    ApiError::new(
        21421,
        format!("PhoneNumber '{text}' is not a valid number: use E.164, +14155550100"),
    )
}

/// The first free number of a North American area code.
async fn in_area(numbers: &Numbers, area: &str) -> Result<E164, ApiError> {
    if area.len() != 3 || !area.bytes().all(|byte| byte.is_ascii_digit()) {
        let why = format!("AreaCode '{area}' is not a North American area code of three digits");
        return Err(ApiError::new(21451, why));
    }
    let filter = Filter { area_code: area.parse().ok(), ..Filter::default() };
    for country in ["US", "CA"] {
        let offers = numbering::search(country, NumberType::Local, &filter, 50, &|_| false);
        for offer in offers.unwrap_or_default() {
            if !is_owned(numbers, &offer.phone_number.to_string()).await {
                return Ok(offer.phone_number);
            }
        }
    }
    Err(ApiError::new(21452, format!("No number is available in area code {area}")))
}

pub(crate) async fn is_owned(numbers: &Numbers, number: &str) -> bool {
    let sql = "SELECT sid FROM claim WHERE name = $1 AND value = $2";
    let row = numbers.store.point(sql, vec![CLAIM.into(), number.into()]).await;
    !matches!(row, Ok(None))
}

/// The given parameters over the fields of a fresh number.
fn fields_of_form(ctx: &Ctx, fields: &mut Map<String, Json>) -> Map<String, Json> {
    let given = rest::fields_of(ctx.op.params, &ctx.form);
    let own = ["phone_number", "area_code"];
    fields.extend(given.into_iter().filter(|(name, _)| !own.contains(&name.as_str())));
    std::mem::take(fields)
}

/// A trunk or an application excludes the other; setting one clears it (voice-api §6.1).
fn check_exclusive(ctx: &Ctx, fields: &mut Map<String, Json>) {
    if ctx.form.text("TrunkSid").is_some() {
        fields.insert("voice_application_sid".into(), "".into());
    } else if ctx.form.text("VoiceApplicationSid").is_some() {
        fields.insert("trunk_sid".into(), Json::Null);
    }
}

/// 21420 / 400: an application of another account, or none.
async fn check_applications(ctx: &Ctx, fields: &Map<String, Json>) -> Result<(), ApiError> {
    for name in ["SmsApplicationSid", "VoiceApplicationSid"] {
        let Some(sid) = ctx.form.text(name) else { continue };
        let sid = fields.get(&rest::field_name(name)).and_then(Json::as_str).unwrap_or(sid);
        let found = rest::load(&ctx.store, application::KIND, "", sid).await;
        if found.map_err(|error| rest::store_error(ctx, error))?.is_none() {
            return Err(ApiError::new(
                21420,
                format!("{name} {sid} is no application of this account"),
            ));
        }
    }
    Ok(())
}

async fn before_update(numbers: &Numbers, ctx: &Ctx, draft: &mut Draft) -> Result<(), ApiError> {
    draft.fields.remove("account_sid");
    check_exclusive(ctx, &mut draft.fields);
    check_applications(ctx, &draft.fields).await?;
    trunk_number::check(numbers, ctx).await?;
    application::check_fallbacks(draft)?;
    if let Some(target) = ctx.form.sid("AccountSid").filter(|target| *target != ctx.account) {
        return transfer(numbers, ctx, draft, target).await;
    }
    Ok(())
}

/// Moving a number within a family of accounts (21470–21474).
async fn transfer(
    numbers: &Numbers,
    ctx: &Ctx,
    draft: &mut Draft,
    target: Sid,
) -> Result<(), ApiError> {
    let facts = |account: Sid| async move {
        let found = numbers.accounts.facts(account).await;
        found.map_err(|error| ApiError::new(20503, error.to_string()))
    };
    let Some(target_facts) = facts(target).await? else {
        return Err(ApiError::new(21471, format!("AccountSid {target} does not exist")));
    };
    let caller = ctx.principal.as_ref().map_or(ctx.account, |principal| principal.account);
    let own = facts(ctx.account).await?.map_or(ctx.account, |facts| facts.owner);
    if own != target_facts.owner {
        let why = format!("Account {target} is not in the family of {}", ctx.account);
        return Err(ApiError::new(21473, why));
    }
    if caller != own {
        return Err(ApiError::new(21474, "Only the parent account may move a number"));
    }
    if !target_facts.is_active {
        return Err(ApiError::new(21472, format!("Account {target} is not active")));
    }
    // The document and its claim change hands in the same commit.
    let sid = draft.sid.clone();
    draft.batch.run(
        "UPDATE claim SET account_sid = $3 WHERE account_sid = $1 AND sid = $2",
        vec![sid.as_str().into(), target.into()],
    );
    draft.move_to(target);
    forget_owner_afterwards(numbers, draft);
    Ok(())
}

/// The memory of owners must not be filled again before the change is committed.
fn forget_owner_afterwards(numbers: &Numbers, draft: &mut Draft) {
    let owners = numbers.owners.clone();
    draft.afterwards(move || owners.invalidate());
}

async fn list(ctx: &Ctx, kind: Option<NumberType>) -> Result<Reply, ApiError> {
    let pattern = ctx.form.text("PhoneNumber");
    let keep = |doc: &Doc| {
        let number = doc.text("phone_number").unwrap_or_default();
        let is = |name: &str, field: &str| {
            ctx.form.text(name).is_none_or(|v| doc.text(field) == Some(v))
        };
        pattern.is_none_or(|pattern| matches_pattern(pattern, number))
            && is("FriendlyName", "friendly_name")
            && ctx.form.text("Origin").is_none_or(|origin| origin == "twilio")
            && kind.is_none_or(|kind| doc.text("type") == Some(kind.key()))
    };
    let (docs, has_next) = rest::documents(ctx, KIND, "", keep)
        .await
        .map_err(|error| rest::store_error(ctx, error))?;
    let record = |doc: &Doc| -> Record { rest::record(ctx.account, ctx.table, doc) };
    Ok(Reply::List(Page { records: docs.iter().map(record).collect(), has_next }))
}

/// A number, a part of one, or digits with `*` for any digit; punctuation is ignored.
fn matches_pattern(pattern: &str, number: &str) -> bool {
    let clean = |text: &str| -> Vec<char> {
        text.chars().filter(|c| c.is_ascii_digit() || *c == '*').collect()
    };
    let (pattern, number) = (clean(pattern), clean(number));
    if pattern.is_empty() || pattern.len() > number.len() {
        return pattern.is_empty();
    }
    number.windows(pattern.len()).any(|part| {
        part.iter().zip(&pattern).all(|(digit, wanted)| *wanted == '*' || digit == wanted)
    })
}

/// The magic numbers of rest-conventions §13.1; nothing is kept.
fn create_with_test_credentials(ctx: &Ctx) -> Result<Reply, ApiError> {
    let number = match (ctx.form.text("PhoneNumber"), ctx.form.text("AreaCode")) {
        (Some("+15005550000"), _) => {
            return Err(ApiError::new(21422, "+15005550000 is not available"));
        }
        (Some("+15005550006"), _) | (None, Some("500")) => "+15005550006",
        (Some(other), _) => return Err(invalid(other)),
        (None, Some(area)) => {
            return Err(ApiError::new(
                21452,
                format!("No number is available in area code {area}"),
            ));
        }
        (None, None) => {
            return Err(ApiError::new(21421, "A 'PhoneNumber' or an 'AreaCode' is required"));
        }
    };
    tracing::debug!(number = %Redacted(number), "a test purchase");
    let mut fields = Map::new();
    fields.insert("phone_number".into(), number.into());
    fields.insert("friendly_name".into(), "(500) 555-0006".into());
    let capabilities = json!({"voice": true, "sms": true, "mms": true, "fax": false});
    fields.insert("capabilities".into(), capabilities);
    let fields = fields_of_form(ctx, &mut fields);
    let doc = Doc {
        sid: ctx.clock.sid("PN").to_string(),
        fields,
        date_created: ctx.now,
        date_updated: ctx.now,
        version: 1,
    };
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_parts_and_stars() {
        for (pattern, matches) in [
            ("+14155550100", true),
            ("4155550", true),
            ("415*550100", true),
            ("(415) 555-0100", true),
            ("0100", true),
            ("0101", false),
            ("1415555010099", false),
        ] {
            assert_eq!(matches_pattern(pattern, "+14155550100"), matches, "{pattern}");
        }
    }
}
