//! `/2010-04-01/Accounts` (rest-conventions §11).

use kernel::{ApiError, Sid};
use rest::{Access, Ctx, Field, Op, Page, Param, Record, Reply, Resource, Table, Wire};
use serde_json::{Map, json};

use crate::Accounts;
use crate::directory::Account;
use crate::gate::failed;

const STATUSES: &[&str] = &["active", "suspended", "closed"];

const FIELDS: &[Field] = &[
    Field::text("auth_token"),
    Field::new("date_created", Wire::Rfc2822),
    Field::new("date_updated", Wire::Rfc2822),
    Field::text("friendly_name"),
    Field::sid("owner_account_sid", &["AC"]),
    Field::sid("sid", &["AC"]),
    Field::new("status", Wire::Enum(STATUSES)),
    Field::new("subresource_uris", Wire::UriMap),
    Field::new("type", Wire::Enum(&["Trial", "Full"])),
    Field::text("uri"),
];

const LINKS: &[(&str, &str)] = &[
    ("addresses", "/Addresses"),
    ("applications", "/Applications"),
    ("authorized_connect_apps", "/AuthorizedConnectApps"),
    ("available_phone_numbers", "/AvailablePhoneNumbers"),
    ("balance", "/Balance"),
    ("calls", "/Calls"),
    ("conferences", "/Conferences"),
    ("connect_apps", "/ConnectApps"),
    ("incoming_phone_numbers", "/IncomingPhoneNumbers"),
    ("keys", "/Keys"),
    ("messages", "/Messages"),
    ("notifications", "/Notifications"),
    ("outgoing_caller_ids", "/OutgoingCallerIds"),
    ("queues", "/Queues"),
    ("recordings", "/Recordings"),
    ("short_codes", "/SMS/ShortCodes"),
    ("signing_keys", "/SigningKeys"),
    ("sip", "/SIP"),
    ("transcriptions", "/Transcriptions"),
    ("usage", "/Usage"),
];

/// Subaccounts a main account may have (21480 beyond).
const SUBACCOUNTS_MAX: usize = 1000;

pub static ACCOUNT: Resource<Accounts> = Resource {
    table: Table::v2010("Account", "/2010-04-01/Accounts", "/2010-04-01/Accounts/{Sid}")
        .key("accounts")
        .sid("AC")
        .fields(FIELDS)
        .links(LINKS)
        .access(Access::AccountAdmin),
    ops: &[
        Op::create(&[Param::text("FriendlyName", 64).code(20002)])
            .by(|accounts, ctx| Box::pin(create(accounts, ctx))),
        Op::list(&[Param::text("FriendlyName", 64), Param::one_of("Status", STATUSES).code(21475)])
            .by(|accounts, ctx| Box::pin(list(accounts, ctx))),
        Op::fetch().by(|accounts, ctx| Box::pin(fetch(accounts, ctx))),
        Op::update(&[
            Param::text("FriendlyName", 64).code(20002),
            Param::one_of("Status", STATUSES).code(21475),
        ])
        .by(|accounts, ctx| Box::pin(update(accounts, ctx))),
    ],
};

async fn create(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    let parent = own(accounts, ctx).await?;
    if !parent.is_main() {
        return Err(ApiError::new(21101, "A subaccount cannot create subaccounts"));
    }
    if accounts.family(parent.sid).await.map_err(failed)?.len() > SUBACCOUNTS_MAX {
        let why = format!("Account {} has {SUBACCOUNTS_MAX} subaccounts already", parent.sid);
        return Err(ApiError::new(21480, why));
    }
    let default = format!("SubAccount Created at {}", ctx.now.format("%Y-%m-%d %I:%M %P"));
    let name = ctx.form.text("FriendlyName").unwrap_or(&default);
    let sid = ctx.clock.sid("AC");
    let mut batch = accounts.new_account(sid, parent.sid, name, &ctx.clock.hex_token(32));
    let mut event = accounts.store.account(sid).batch();
    let created = json!({"friendly_name": {"previous": null, "updated": name}});
    ctx.audit(&mut event, "account.created", &sid.to_string(), created);
    batch.extend(event.into_batch().map_err(failed)?);
    accounts.store.commit(batch).await.map_err(failed)?;
    let account = accounts.account(sid).await.map_err(failed)?.ok_or_else(|| ctx.not_found())?;
    Ok(Reply::Record(record(&account)))
}

async fn list(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    let own = own(accounts, ctx).await?;
    let mut family = match own.is_main() {
        true => accounts.family(own.sid).await.map_err(failed)?,
        false => vec![own],
    };
    family.retain(|account| {
        ctx.form.text("FriendlyName").is_none_or(|name| account.friendly_name == name)
            && ctx.form.text("Status").is_none_or(|status| account.status == status)
    });
    let start = match &ctx.page.cursor {
        rest::Cursor::Offset => usize::try_from(ctx.page.offset()).unwrap_or(usize::MAX),
        rest::Cursor::After(key) => family.iter().filter(|a| a.sid.to_string() >= *key).count(),
        rest::Cursor::Before(key) => {
            let before = family.iter().filter(|a| a.sid.to_string() > *key).count();
            before.saturating_sub(ctx.page.size as usize)
        }
    };
    let rest = family.get(start..).unwrap_or_default();
    let size = ctx.page.size as usize;
    let records = rest.iter().take(size).map(record).collect();
    Ok(Reply::List(Page { records, has_next: rest.len() > size }))
}

async fn fetch(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    Ok(Reply::Record(record(&target(accounts, ctx).await?)))
}

async fn update(accounts: &Accounts, ctx: &Ctx) -> Result<Reply, ApiError> {
    let account = target(accounts, ctx).await?;
    let name = ctx.form.text("FriendlyName").unwrap_or(&account.friendly_name);
    let status = match ctx.form.text("Status") {
        Some(wanted) if wanted != account.status => {
            check_transition(accounts, ctx, &account).await?;
            wanted
        }
        _ => &account.status,
    };
    let store = accounts.store.account(account.sid);
    let mut batch = store.batch();
    batch.must(
        "UPDATE account SET friendly_name = $2, status = $3, date_updated = $4,
         version = version + 1 WHERE account_sid = $1 AND version = $5",
        vec![name.into(), status.into(), ctx.now.into(), account.version.into()],
    );
    if status == "closed" && account.status != "closed" {
        // A closed account releases its numbers.
        batch.run("DELETE FROM claim WHERE account_sid = $1", vec![]);
        batch.run(
            "DELETE FROM resource WHERE account_sid = $1 AND kind = 'IncomingPhoneNumber'",
            vec![],
        );
    }
    let fields = |name: &str, status: &str| {
        Map::from_iter([
            ("friendly_name".to_owned(), name.into()),
            ("status".to_owned(), status.into()),
        ])
    };
    let (before, after) = (fields(&account.friendly_name, &account.status), fields(name, status));
    let changes = rest::changes(Some(&before), Some(&after));
    ctx.audit(&mut batch, "account.updated", &account.sid.to_string(), changes);
    store.commit(batch).await.map_err(|error| rest::store_error(ctx, error))?;
    accounts.changed();
    accounts.store.bus().invalidate("numbers");
    Ok(Reply::Record(record(&target(accounts, ctx).await?)))
}

/// rest-conventions §11: who may change which status.
async fn check_transition(
    accounts: &Accounts,
    ctx: &Ctx,
    account: &Account,
) -> Result<(), ApiError> {
    if account.is_main() || ctx.account == account.sid {
        let why = "Status of a main account cannot be changed; a parent changes its subaccounts";
        return Err(ApiError::new(21477, why));
    }
    if account.status == "closed" {
        return Err(ApiError::new(21479, format!("Subaccount {} is closed for good", account.sid)));
    }
    let parent = accounts.account(account.owner).await.map_err(failed)?;
    if parent.is_none_or(|parent| parent.status != "active") {
        return Err(ApiError::new(21476, "Status cannot change while the parent is suspended"));
    }
    Ok(())
}

async fn own(accounts: &Accounts, ctx: &Ctx) -> Result<Account, ApiError> {
    let found = accounts.account(ctx.account).await.map_err(failed)?;
    found.map(|account| (*account).clone()).ok_or_else(|| ctx.not_found())
}

/// The account in the path: the caller's own, or a subaccount of it.
async fn target(accounts: &Accounts, ctx: &Ctx) -> Result<Account, ApiError> {
    let sid: Sid = ctx.param_sid("Sid", &["AC"])?;
    let found = accounts.account(sid).await.map_err(failed)?;
    found
        .filter(|account| account.sid == sid)
        .filter(|account| account.sid == ctx.account || account.owner == ctx.account)
        .map(|account| (*account).clone())
        .ok_or_else(|| ctx.not_found())
}

fn record(account: &Account) -> Record {
    let mut record = Record::new(&account.sid.to_string());
    record
        .set("auth_token", account.auth_token.as_str())
        .set("date_created", account.date_created)
        .set("date_updated", account.date_updated)
        .set("friendly_name", account.friendly_name.as_str())
        .set("owner_account_sid", account.owner)
        .set("sid", account.sid)
        .set("status", account.status.as_str())
        .set("type", account.kind.as_str());
    record
}
