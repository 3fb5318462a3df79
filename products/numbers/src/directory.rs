//! Which account owns a number, in memory and in the claim table.

use contracts::{
    BoxFuture, CallRoute, InboundRoute, NumberDirectory, NumberOwner, OwnedNumber, Unavailable,
};
use kernel::Sid;
use numbering::{Address, E164};
use rest::Doc;
use serde_json::{Value as Json, json};
use store::StoreError;

use crate::{Numbers, address, application, caller_id, incoming, short_code, trunk_number};

/// Name of the claims on numbers and short codes.
pub(crate) const CLAIM: &str = "number";

impl Numbers {
    /// Tells every cache, this one at once, that owners changed.
    pub(crate) fn changed(&self) {
        self.owners.invalidate();
    }

    async fn find_owner(&self, address: &str) -> Result<Option<NumberOwner>, StoreError> {
        if let Some(owner) = self.owners.get(address) {
            return Ok(Some(owner));
        }
        let ticket = self.owners.ticket();
        let sql = "SELECT account_sid, sid FROM claim WHERE name = $1 AND value = $2";
        let row = self.store.point(sql, vec![CLAIM.into(), address.into()]).await?;
        let Some(row) = row else { return Ok(None) };
        let (account, sid) = (row.sid(0), row.sid(1));
        let doc = self.doc(account, sid).await?;
        let can = |name: &str| doc.as_ref().is_none_or(|doc| is_capable(doc, name));
        let owner = NumberOwner { account, sid, sms: can("sms"), mms: can("mms") };
        self.owners.keep(ticket, address.to_owned(), owner.clone());
        Ok(Some(owner))
    }

    async fn doc(&self, account: Sid, sid: Sid) -> Result<Option<Doc>, StoreError> {
        let kind = match sid.prefix() {
            "SC" => short_code::KIND,
            _ => incoming::KIND,
        };
        rest::load(&self.store.account(account), kind, "", &sid.to_string()).await
    }

    /// Writes a number's document and claims its address.
    pub(crate) async fn insert(
        &self,
        account: Sid,
        kind: &str,
        sid: Sid,
        address: &str,
        body: Json,
    ) -> Result<(), StoreError> {
        let store = self.store.account(account);
        let now = self.clock.now();
        let mut batch = store.batch();
        batch.run(
            "INSERT INTO claim (account_sid, sid, name, value) VALUES ($1, $2, $3, $4)",
            vec![sid.into(), CLAIM.into(), address.into()],
        );
        batch.run(
            "INSERT INTO resource (account_sid, kind, parent, sid, body, date_created,
             date_updated, version) VALUES ($1, $2, '', $3, $4, $5, $5, 1)",
            vec![kind.into(), sid.into(), body.to_string().into(), now.into()],
        );
        let event = if kind == short_code::KIND {
            "short-code.created"
        } else {
            "incoming-phone-number.created"
        };
        batch.event(event, &sid.to_string(), now, json!({"number": address}).to_string());
        store.commit(batch).await?;
        self.changed();
        Ok(())
    }

    async fn route(&self, account: Sid, number: Sid) -> Result<InboundRoute, StoreError> {
        let Some(doc) = self.doc(account, number).await? else {
            return Ok(InboundRoute::default());
        };
        let Some(application) = doc.text("sms_application_sid") else {
            return Ok(route_of(&doc, None));
        };
        let store = self.store.account(account);
        let found = rest::load(&store, application::KIND, "", application).await?;
        Ok(found.map_or_else(InboundRoute::default, |app| route_of(&app, application.parse().ok())))
    }
}

/// The call URLs of a number or application.
fn call_route_of(doc: &Doc, application: Option<Sid>) -> CallRoute {
    let text = |field: &str| doc.text(field).map(str::to_owned);
    let method = |field: &str| text(field).unwrap_or_else(|| "POST".into());
    CallRoute {
        url: text("voice_url"),
        method: method("voice_method"),
        fallback_url: text("voice_fallback_url"),
        fallback_method: method("voice_fallback_method"),
        status_callback: text("status_callback"),
        status_callback_method: method("status_callback_method"),
        application,
        trunk: None,
    }
}

/// Whether a number or short code can do `name`: what is not said is possible.
fn is_capable(doc: &Doc, name: &str) -> bool {
    let flags = doc.fields.get("capabilities");
    flags.and_then(|flags| flags.get(name)).and_then(Json::as_bool).unwrap_or(true)
}

/// The message URLs of a number or application.
fn route_of(doc: &Doc, application: Option<Sid>) -> InboundRoute {
    let text = |field: &str| doc.text(field).map(str::to_owned);
    InboundRoute {
        url: text("sms_url"),
        method: text("sms_method").unwrap_or_else(|| "POST".into()),
        fallback_url: text("sms_fallback_url"),
        fallback_method: text("sms_fallback_method").unwrap_or_else(|| "POST".into()),
        application,
    }
}

fn unavailable(error: StoreError) -> Unavailable {
    Unavailable(error.to_string())
}

impl NumberDirectory for Numbers {
    fn owner<'a>(
        &'a self,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Option<NumberOwner>, Unavailable>> {
        Box::pin(async move { self.find_owner(address).await.map_err(unavailable) })
    }

    fn owned(
        &self,
        account: Sid,
        number: Sid,
    ) -> BoxFuture<'_, Result<Option<OwnedNumber>, Unavailable>> {
        Box::pin(async move {
            let doc = self.doc(account, number).await.map_err(unavailable)?;
            Ok(doc.and_then(|doc| {
                let address = doc.text("phone_number").or(doc.text("short_code"))?.to_owned();
                let can = |name| is_capable(&doc, name);
                let voice = number.prefix() != "SC" && can("voice");
                Some(OwnedNumber { address, sms: can("sms"), mms: can("mms"), voice })
            }))
        })
    }

    fn message_route<'a>(
        &'a self,
        account: Sid,
        number: Sid,
    ) -> BoxFuture<'a, Result<InboundRoute, Unavailable>> {
        Box::pin(async move { self.route(account, number).await.map_err(unavailable) })
    }

    fn call_route(
        &self,
        account: Sid,
        number: Sid,
    ) -> BoxFuture<'_, Result<CallRoute, Unavailable>> {
        Box::pin(async move {
            let Some(doc) = self.doc(account, number).await.map_err(unavailable)? else {
                return Ok(CallRoute::default());
            };
            if let Some(trunk) = doc.text("trunk_sid").and_then(|sid| sid.parse().ok()) {
                return Ok(CallRoute { trunk: Some(trunk), ..CallRoute::default() });
            }
            match doc.text("voice_application_sid").and_then(|sid| sid.parse().ok()) {
                Some(application) => {
                    let route = self.application_call_route(account, application).await?;
                    Ok(route.unwrap_or_default())
                }
                None => Ok(call_route_of(&doc, None)),
            }
        })
    }

    fn application_call_route(
        &self,
        account: Sid,
        application: Sid,
    ) -> BoxFuture<'_, Result<Option<CallRoute>, Unavailable>> {
        Box::pin(async move {
            let store = self.store.account(account);
            let found = rest::load(&store, application::KIND, "", &application.to_string()).await;
            let found = found.map_err(unavailable)?;
            Ok(found.map(|doc| call_route_of(&doc, Some(application))))
        })
    }

    fn has_address(&self, account: Sid, address: Sid) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            let store = self.store.account(account);
            let found = rest::load(&store, address::KIND, "", &address.to_string()).await;
            Ok(found.map_err(unavailable)?.is_some())
        })
    }

    fn numbers_of_trunk(
        &self,
        account: Sid,
        trunk: Sid,
    ) -> BoxFuture<'_, Result<Vec<Sid>, Unavailable>> {
        Box::pin(async move {
            let store = self.store.account(account);
            trunk_number::of(&store, trunk).await.map_err(unavailable)
        })
    }

    fn is_caller_id<'a>(
        &'a self,
        account: Sid,
        number: &'a str,
    ) -> BoxFuture<'a, Result<bool, Unavailable>> {
        Box::pin(async move {
            let found = caller_id::validated(&self.store.account(account), number).await;
            Ok(found.map_err(unavailable)?.is_some())
        })
    }

    fn application_status_url(
        &self,
        account: Sid,
        application: Sid,
    ) -> BoxFuture<'_, Result<Option<String>, Unavailable>> {
        Box::pin(async move {
            let store = self.store.account(account);
            let doc = rest::load(&store, application::KIND, "", &application.to_string())
                .await
                .map_err(unavailable)?;
            Ok(doc.and_then(|doc| {
                let url = doc.text("message_status_callback").or(doc.text("sms_status_callback"));
                url.map(str::to_owned)
            }))
        })
    }

    fn forget(&self) {
        self.changed();
    }

    fn holder<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> BoxFuture<'a, Result<Option<(Sid, Sid)>, Unavailable>> {
        Box::pin(async move {
            let sql = "SELECT account_sid, sid FROM claim WHERE name = $1 AND value = $2";
            let row = self.store.point(sql, vec![name.into(), value.into()]).await;
            Ok(row.map_err(unavailable)?.map(|row| (row.sid(0), row.sid(1))))
        })
    }

    fn adopt<'a>(
        &'a self,
        account: Sid,
        address: &'a str,
    ) -> BoxFuture<'a, Result<Option<NumberOwner>, Unavailable>> {
        Box::pin(async move {
            if !self.development {
                return Ok(None);
            }
            let adopted = match Address::parse_from(address) {
                Ok(Address::E164(number)) => self.adopt_number(account, number).await,
                Ok(Address::ShortCode(code)) => {
                    self.add_short_code(account, &code.to_string()).await.map(|_| ())
                }
                _ => return Ok(None),
            };
            match adopted {
                // A number that somebody took in between is found, whoever has it.
                Ok(()) | Err(StoreError::Duplicate(_)) => {}
                Err(error) => return Err(unavailable(error)),
            }
            tracing::info!(account_sid = %account, number = %kernel::Redacted(address),
                "adopted a number (development profile)");
            self.find_owner(address).await.map_err(unavailable)
        })
    }
}

impl Numbers {
    /// A number of `account`: its newest, or a fresh one from the inventory.
    pub async fn first_number(&self, account: Sid) -> Result<String, StoreError> {
        let sql = "SELECT value FROM claim WHERE account_sid = $1 AND name = $2
                   AND sid LIKE 'PN%' ORDER BY sid DESC LIMIT 1";
        let store = self.store.account(account);
        if let Some(row) = store.point(sql, vec![CLAIM.into()]).await? {
            return Ok(row.text(0).to_owned());
        }
        let filter = numbering::Filter::default();
        let local = numbering::NumberType::Local;
        let offers = numbering::search("US", local, &filter, 100, &|_| false).unwrap_or_default();
        for offer in offers {
            let number = offer.phone_number;
            let body = incoming::new_number(number, &offer.friendly_name);
            let sid = self.clock.sid("PN");
            match self.insert(account, incoming::KIND, sid, &number.to_string(), body).await {
                Ok(()) => return Ok(number.to_string()),
                Err(StoreError::Duplicate(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Failed("the inventory has no free number".into()))
    }

    async fn adopt_number(&self, account: Sid, number: E164) -> Result<(), StoreError> {
        let sid = self.clock.sid("PN");
        let body = incoming::new_number(number, "Adopted");
        self.insert(account, incoming::KIND, sid, &number.to_string(), body).await
    }
}
