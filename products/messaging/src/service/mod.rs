//! Messaging Services: settings and a pool of senders (messaging §12).

mod pool;
mod select;
mod table;

use std::sync::Arc;

use bus::{Bus, Cache};
use contracts::InboundRoute;
use kernel::{ApiError, Sid};
use numbering::Address;
use rest::Doc;
use serde_json::Value as Json;
use store::{AccountBatch, AccountStore, StoreError};

use crate::permission::Permissions;
use crate::{Messaging, opt_out};
pub(crate) use select::{Need, Sender, select};
pub(crate) use table::{
    ALPHA_SENDER, CHANNEL_SENDER, DESTINATION_ALPHA_SENDER, PHONE_NUMBER, SERVICE, SHORT_CODE,
    USECASE,
};

/// A service as sending and receiving need it.
#[derive(Debug)]
pub(crate) struct Service {
    pub sid: String,
    pub status_callback: Option<String>,
    pub inbound_url: Option<String>,
    pub inbound_method: String,
    pub fallback_url: Option<String>,
    pub fallback_method: String,
    pub use_number_webhook: bool,
    pub sticky_sender: bool,
    pub mms_converter: bool,
    pub smart_encoding: bool,
    pub geomatch: bool,
    pub validity_seconds: Option<i64>,
    /// What it sends is marketing unless a message says otherwise.
    pub is_marketing: bool,
    pub pool: Vec<Sender>,
}

impl Service {
    fn of(doc: &Doc, pool: Vec<Sender>) -> Self {
        let text = |field: &str| doc.text(field).map(str::to_owned);
        let flag = |field: &str| doc.fields.get(field).and_then(Json::as_bool).unwrap_or(false);
        let method = |field: &str| text(field).unwrap_or_else(|| "POST".to_owned());
        Self {
            sid: doc.sid.clone(),
            status_callback: text("status_callback"),
            inbound_url: text("inbound_request_url"),
            inbound_method: method("inbound_method"),
            fallback_url: text("fallback_url"),
            fallback_method: method("fallback_method"),
            use_number_webhook: flag("use_inbound_webhook_on_number"),
            sticky_sender: flag("sticky_sender"),
            mms_converter: flag("mms_converter"),
            smart_encoding: flag("smart_encoding"),
            geomatch: flag("area_code_geomatch"),
            validity_seconds: doc.fields.get("validity_period").and_then(Json::as_i64),
            is_marketing: doc.text("usecase") == Some("marketing"),
            pool,
        }
    }

    /// Where what its numbers receive goes.
    pub fn route(&self) -> InboundRoute {
        InboundRoute {
            url: self.inbound_url.clone(),
            method: self.inbound_method.clone(),
            fallback_url: self.fallback_url.clone(),
            fallback_method: self.fallback_method.clone(),
            application: None,
        }
    }

    /// The pool's sender with this address.
    pub fn has(&self, from: &Address) -> bool {
        self.pool.iter().any(|sender| &sender.address == from)
    }
}

/// 21701 / 404.
pub(crate) fn no_service(service: &str) -> ApiError {
    ApiError::new(21701, format!("The Messaging Service {service} does not exist"))
}

/// Services by SID, the services of numbers, and where accounts send, as last read.
pub(crate) struct Memory {
    pub permissions: Arc<Cache<Sid, Arc<Permissions>>>,
    /// By account and service; what counts for numbers outside of services is under the empty name.
    pub opt_out_sets: Arc<Cache<(Sid, String), opt_out::Chosen>>,
    services: Arc<Cache<(Sid, String), Arc<Service>>>,
    memberships: Arc<Cache<(Sid, Sid), Option<String>>>,
}

impl Memory {
    pub fn new(bus: &Bus) -> Arc<Self> {
        Arc::new(Self {
            permissions: Cache::new(bus, "messaging-permissions"),
            opt_out_sets: Cache::new(bus, "messaging-opt-out-sets"),
            services: Cache::new(bus, "messaging-services"),
            memberships: Cache::new(bus, "messaging-service-members"),
        })
    }

    /// Forgets here, and tells every other node.
    pub fn invalidate(&self) {
        self.permissions.invalidate();
        self.opt_out_sets.invalidate();
        self.services.invalidate();
        self.memberships.invalidate();
    }
}

impl Messaging {
    /// The service of this SID, from memory if it is there.
    pub(crate) async fn service(
        &self,
        store: &AccountStore,
        sid: &str,
    ) -> Result<Option<Arc<Service>>, StoreError> {
        let key = (store.account(), sid.to_owned());
        if let Some(known) = self.memory.services.get(&key) {
            return Ok(Some(known));
        }
        let ticket = self.memory.services.ticket();
        let Some(doc) = rest::load(store, table::SERVICE_KIND, "", sid).await? else {
            return Ok(None);
        };
        let rows = store.query(pool::MEMBERS, vec![sid.into()]).await?;
        let pool = rows.iter().filter_map(pool::sender).collect();
        let service = Arc::new(Service::of(&doc, pool));
        self.memory.services.keep(ticket, key, service.clone());
        Ok(Some(service))
    }

    /// The service whose pool has this number or short code.
    pub(crate) async fn service_of(
        &self,
        store: &AccountStore,
        number: Sid,
    ) -> Result<Option<Arc<Service>>, StoreError> {
        let key = (store.account(), number);
        let service = match self.memory.memberships.get(&key) {
            Some(known) => known,
            None => {
                let ticket = self.memory.memberships.ticket();
                let sql =
                    "SELECT sid FROM claim WHERE account_sid = $1 AND name = $2 AND value = $3";
                let params = vec![pool::CLAIM.into(), number.to_string().into()];
                let row = store.point(sql, params).await?;
                let service = row.map(|row| row.text(0).to_owned());
                self.memory.memberships.keep(ticket, key, service.clone());
                service
            }
        };
        match service {
            Some(service) => self.service(store, &service).await,
            None => Ok(None),
        }
    }

    /// The sender for a recipient, remembered if the service is sticky; `None`: 21703.
    pub(crate) async fn choose_sender(
        &self,
        store: &AccountStore,
        service: &Service,
        need: Need<'_>,
        batch: &mut AccountBatch,
    ) -> Result<Option<String>, StoreError> {
        let to = need.to.to_string();
        let known = match service.sticky_sender {
            true => sticky(store, &service.sid, &to).await?,
            false => None,
        };
        let need = Need { sticky: known.as_deref(), ..need };
        let mut pool = service.pool.clone();
        let chosen = loop {
            let Some(sender) = select(&pool, &need) else { break None };
            if self.is_held(store.account(), &sender.address).await? {
                break Some(sender.address.to_string());
            }
            // It was released, but is still in the pool.
            let gone = sender.address.clone();
            pool.retain(|sender| sender.address != gone);
        };
        if let Some(sender) = &chosen
            && service.sticky_sender
            && known.as_ref() != Some(sender)
        {
            batch.run(
                "INSERT INTO sticky_sender (account_sid, service_sid, address, sender)
                 VALUES ($1, $2, $3, $4) ON CONFLICT (account_sid, service_sid, address)
                 DO UPDATE SET sender = excluded.sender",
                vec![service.sid.as_str().into(), to.into(), sender.as_str().into()],
            );
        }
        Ok(chosen)
    }
}

impl Messaging {
    /// Whether the account has this sender still; a name is nobody's.
    async fn is_held(&self, account: Sid, sender: &Address) -> Result<bool, StoreError> {
        if matches!(sender, Address::Alphanumeric(_)) {
            return Ok(true);
        }
        let owner = self.parts.numbers.owner(&sender.to_string()).await;
        let owner = owner.map_err(|error| StoreError::Unavailable(error.0))?;
        Ok(owner.is_some_and(|owner| owner.account == account))
    }
}

async fn sticky(
    store: &AccountStore,
    service: &str,
    address: &str,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT sender FROM sticky_sender
               WHERE account_sid = $1 AND service_sid = $2 AND address = $3";
    let row = store.point(sql, vec![service.into(), address.into()]).await?;
    Ok(row.map(|row| row.text(0).to_owned()))
}
