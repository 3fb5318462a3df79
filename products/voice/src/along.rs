//! What goes along with a running call (streams, transcriptions, SIPREC), as resources of it: begun
//! and stopped by the API, or by a document (voice-api §12).

use jobs::Failure;
use kernel::{ApiError, Sid, Timestamp};
use rest::{Ctx, Doc, Field, Param, Reply, Wire};
use serde_json::{Map, Value as Json};
use store::{AccountBatch, AccountStore};
use twiml::voice::Element;

use crate::Voice;
use crate::call::Call;
use crate::letter::{Letter, What};
use crate::lifecycle::Status;
use crate::resource::existing as existing_call;

/// Numbered parameters of one of them.
const PARAMETERS_MAX: usize = 99;

/// What is shown of each, whose SIDs begin so.
pub(crate) const fn fields(prefixes: &'static [&'static str]) -> [Field; 7] {
    [
        Field::sid("sid", prefixes),
        Field::sid("account_sid", &["AC"]),
        Field::sid("call_sid", &["CA"]),
        Field::text("name"),
        Field::new("status", Wire::Enum(&["in-progress", "stopped"])),
        Field::new("date_updated", Wire::Rfc2822),
        Field::text("uri"),
    ]
}

/// How each is stopped.
pub(crate) const STOP: &[Param] = &[Param::one_of("Status", &["stopped"]).required(20001)];

/// Parameters, followed by `Parameter1.Name` to `Parameter99.Value`.
macro_rules! with_numbered_parameters {
    ($($param:expr),* $(,)?) => {
        $crate::along::with_numbered_parameters!(@ [$($param),*]
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33
            34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
            64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79 80 81 82 83 84 85 86 87 88 89 90 91 92 93
            94 95 96 97 98 99)
    };
    (@ [$($param:expr),*] $($at:literal)*) => {
        &[
            $($param,)*
            $(
                rest::Param::text(concat!("Parameter", $at, ".Name"), 500),
                rest::Param::text(concat!("Parameter", $at, ".Value"), 500),
            )*
        ]
    };
}
pub(crate) use with_numbered_parameters;

/// The numbered parameters that were given, up to the first gap.
pub(crate) fn parameters(ctx: &Ctx) -> Vec<(String, String)> {
    let pair = |at: usize| {
        let name = ctx.form.text(&format!("Parameter{at}.Name"))?.to_owned();
        let value = ctx.form.text(&format!("Parameter{at}.Value")).unwrap_or_default();
        Some((name, value.to_owned()))
    };
    (1..=PARAMETERS_MAX).map_while(pair).collect()
}

/// The `Parameter`s of a noun of a document.
pub(crate) fn parameters_of(noun: &Element) -> Vec<(String, String)> {
    let parameter = |child: &Element| {
        let value = child.get("value").unwrap_or_default().to_owned();
        Some((child.get("name")?.to_owned(), value))
    };
    noun.children.iter().filter_map(parameter).take(PARAMETERS_MAX).collect()
}

/// The call of the path, in which somebody talks.
///
/// # Errors
/// 20404 / 404 without such a call, 21220 / 400 when it is not in progress.
pub(crate) async fn running_call(ctx: &Ctx) -> Result<Call, ApiError> {
    let call = existing_call(ctx, "CallSid").await?;
    match call.status {
        Status::InProgress => Ok(call),
        status => Err(ApiError::new(21220, format!("Call is not in-progress: it is {status}"))),
    }
}

/// Writes down that it runs.
pub(crate) fn write(
    batch: &mut AccountBatch,
    kind: &str,
    call: Sid,
    (sid, name): (Sid, &str),
    at: Timestamp,
) {
    let fields = [
        ("call_sid", call.to_string()),
        ("name", name.to_owned()),
        ("status", "in-progress".to_owned()),
    ];
    let fields: Map<String, Json> =
        fields.into_iter().map(|(field, value)| (field.to_owned(), value.into())).collect();
    rest::insert(batch, kind, "", &sid.to_string(), &fields, at);
}

/// Writes down that it has ended.
pub(crate) async fn mark_stopped(
    store: &AccountStore,
    batch: &mut AccountBatch,
    kind: &str,
    sid: Sid,
    now: Timestamp,
) -> Result<(), Failure> {
    if let Some(doc) = rest::load(store, kind, "", &sid.to_string()).await? {
        let mut fields = doc.fields.clone();
        fields.insert("status".into(), "stopped".into());
        rest::revise(batch, kind, "", &doc, &fields, now);
    }
    Ok(())
}

/// Lets something begin on a call; the answer shows it.
pub(crate) async fn begin(
    voice: &Voice,
    ctx: &Ctx,
    kind: &str,
    (call, sid, name): (Sid, Sid, &str),
    what: What,
) -> Result<Reply, ApiError> {
    let mut batch = ctx.store.batch();
    write(&mut batch, kind, call, (sid, name), ctx.now);
    voice.send(&mut batch, Letter { call, at: ctx.now, what });
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    let doc = rest::load(&ctx.store, kind, "", &sid.to_string()).await;
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}

/// Lets something on a call end that the path names by its SID, or by the name which `named` knows.
pub(crate) async fn stop(
    voice: &Voice,
    ctx: &Ctx,
    kind: &str,
    named: impl FnOnce(&Call, &str) -> Option<Sid>,
    what: impl FnOnce(Sid) -> What,
) -> Result<Reply, ApiError> {
    let call = existing_call(ctx, "CallSid").await?;
    let wanted = ctx.param("Sid");
    let sid = wanted.parse::<Sid>().ok().or_else(|| named(&call, wanted));
    let sid = sid.ok_or_else(|| ctx.not_found())?;
    let doc = rest::load(&ctx.store, kind, "", &sid.to_string()).await;
    let doc = doc.map_err(|error| rest::store_error(ctx, error))?;
    let is_of_call = |doc: &Doc| doc.text("call_sid") == Some(&call.sid.to_string());
    let mut doc = doc.filter(is_of_call).ok_or_else(|| ctx.not_found())?;
    let mut batch = ctx.store.batch();
    voice.send(&mut batch, Letter { call: call.sid, at: ctx.now, what: what(sid) });
    ctx.store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    doc.fields.insert("status".into(), "stopped".into());
    Ok(Reply::Record(rest::record(ctx.account, ctx.table, &doc)))
}
