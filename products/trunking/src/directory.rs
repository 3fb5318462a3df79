//! What carriers and Voice ask of this product.

use std::net::IpAddr;

use contracts::{
    BoxFuture, CallRoute, DialingPermissions, DialingRisk, IpBlock, SipAccess, SipDirectory,
    SipPlace, SipPlaceKind, SipPurpose, SipTarget, SipTransfers, TransferMode, Unavailable,
};
use kernel::Sid;
use rest::Doc;
use store::AccountStore;

use crate::{
    Trunking, byoc, credential, domain, host, list, mapping, policy, shelf, source, trunk,
};

/// Any document that has no parent.
async fn doc(store: &AccountStore, kind: &str, sid: Sid) -> Result<Option<Doc>, Unavailable> {
    rest::load(store, kind, "", &sid.to_string()).await.map_err(shelf::unavailable)
}

/// What the lists that are mapped to a place ask for.
async fn access(
    store: &AccountStore,
    credentials: &str,
    addresses: Option<&str>,
    place: &str,
) -> Result<SipAccess, Unavailable> {
    let has = mapping::lists(store, credentials, place).await.map_err(shelf::unavailable)?;
    let mut access = SipAccess { addresses: None, needs_password: !has.is_empty() };
    let Some(addresses) = addresses else { return Ok(access) };
    let lists = mapping::lists(store, addresses, place).await.map_err(shelf::unavailable)?;
    if lists.is_empty() {
        return Ok(access);
    }
    let mut blocks = Vec::new();
    for list in lists {
        let known = shelf::all(store, list::ADDRESS, &list).await.map_err(shelf::unavailable)?;
        blocks.extend(known.iter().filter_map(list::block));
    }
    access.addresses = Some(blocks);
    Ok(access)
}

impl Trunking {
    /// The place that a claim names, of an account that is active.
    async fn place_of(&self, account: Sid, sid: Sid) -> Result<Option<SipPlace>, Unavailable> {
        let facts = self.parts.accounts.facts(account).await?;
        if !facts.is_some_and(|facts| facts.is_active) {
            return Ok(None);
        }
        let store = self.parts.store.account(account);
        let is_trunk = sid.prefix() == "TK";
        let kind = if is_trunk { trunk::KIND } else { domain::KIND };
        let Some(found) = doc(&store, kind, sid).await? else { return Ok(None) };
        let (credentials, addresses) = match is_trunk {
            true => (mapping::TRUNK_CREDENTIALS_KIND, mapping::TRUNK_ADDRESSES_KIND),
            false => (mapping::CALLS_CREDENTIALS_KIND, mapping::CALLS_ADDRESSES_KIND),
        };
        let calls = access(&store, credentials, Some(addresses), &found.sid).await?;
        let registrations = match !is_trunk && shelf::flag(&found, "sip_registration") {
            true => Some(access(&store, mapping::REGISTRATIONS_KIND, None, &found.sid).await?),
            false => None,
        };
        Ok(Some(SipPlace {
            kind: if is_trunk { SipPlaceKind::Trunk } else { SipPlaceKind::Domain },
            account,
            sid,
            host: found.text("domain_name").unwrap_or_default().to_owned(),
            secure: shelf::flag(&found, "secure"),
            calls,
            registrations,
        }))
    }

    async fn holder(&self, name: &str, value: &str) -> Result<Option<(Sid, Sid)>, Unavailable> {
        self.parts.numbers.holder(name, value).await
    }
}

/// A target of a trunk or policy; disabled ones are none.
fn target(doc: &Doc, uri: &str) -> Option<SipTarget> {
    let number = |field: &str| {
        let value = doc.fields.get(field).and_then(serde_json::Value::as_u64);
        u16::try_from(value.unwrap_or(10)).unwrap_or(u16::MAX)
    };
    let uri = doc.text(uri)?.to_owned();
    let target = SipTarget { uri, priority: number("priority"), weight: number("weight") };
    shelf::flag(doc, "enabled").then_some(target)
}

/// As they are to be tried: by priority, and drawn by weight among equals (RFC 2782).
fn in_order(mut targets: Vec<SipTarget>, draw: impl Fn() -> u64) -> Vec<SipTarget> {
    targets.sort_by_key(|target| target.priority);
    let mut ordered = Vec::with_capacity(targets.len());
    while let Some(first) = targets.first() {
        let equals = targets.iter().take_while(|target| target.priority == first.priority).count();
        let sum: u64 = targets[..equals].iter().map(|target| u64::from(target.weight)).sum();
        let mut left = draw() % sum.max(1);
        let drawn = targets[..equals].iter().position(|target| {
            let share = u64::from(target.weight);
            let is_it = left < share;
            left = left.saturating_sub(share);
            is_it
        });
        ordered.push(targets.remove(drawn.unwrap_or(0)));
    }
    ordered
}

/// URLs of a document under these names.
fn route(doc: &Doc, [url, fallback, status]: [&str; 3]) -> CallRoute {
    let text = |field: &str| doc.text(field).map(str::to_owned);
    let method =
        |field: &str| text(&field.replace("_url", "_method")).unwrap_or_else(|| "POST".to_owned());
    CallRoute {
        url: text(url),
        method: method(url),
        fallback_url: text(fallback),
        fallback_method: method(fallback),
        status_callback: text(status),
        status_callback_method: method(status),
        ..CallRoute::default()
    }
}

impl SipDirectory for Trunking {
    fn place<'a>(&'a self, host: &'a str) -> BoxFuture<'a, Result<Option<SipPlace>, Unavailable>> {
        Box::pin(async move {
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            match self.holder(host::CLAIM, &host).await? {
                Some((account, sid)) => self.place_of(account, sid).await,
                None => Ok(None),
            }
        })
    }

    fn password<'a>(
        &'a self,
        place: &'a SipPlace,
        purpose: SipPurpose,
        username: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Unavailable>> {
        Box::pin(async move {
            let kind = match (place.kind, purpose) {
                (SipPlaceKind::Trunk, _) => mapping::TRUNK_CREDENTIALS_KIND,
                (SipPlaceKind::Domain, SipPurpose::Call) => mapping::CALLS_CREDENTIALS_KIND,
                (SipPlaceKind::Domain, SipPurpose::Registration) => mapping::REGISTRATIONS_KIND,
            };
            let store = self.parts.store.account(place.account);
            let lists = mapping::lists(&store, kind, &place.sid.to_string()).await;
            for list in lists.map_err(shelf::unavailable)? {
                let found = credential::password(self, &store, &list, username).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
    }

    fn targets(
        &self,
        account: Sid,
        trunk: Sid,
    ) -> BoxFuture<'_, Result<Vec<SipTarget>, Unavailable>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            let (kind, parent, uri) = if trunk.prefix() == "BY" {
                let found = doc(&store, byoc::KIND, trunk).await?;
                let policy =
                    found.and_then(|doc| doc.text("connection_policy_sid").map(str::to_owned));
                let Some(policy) = policy else { return Ok(Vec::new()) };
                (policy::TARGET_KIND, policy, "target")
            } else {
                (trunk::ORIGINATION, trunk.to_string(), "sip_url")
            };
            let docs = shelf::all(&store, kind, &parent).await.map_err(shelf::unavailable)?;
            let targets = docs.iter().filter_map(|doc| target(doc, uri)).collect();
            Ok(in_order(targets, || self.parts.clock.random()))
        })
    }

    fn trunk_of<'a>(
        &'a self,
        account: Sid,
        number: &'a str,
    ) -> BoxFuture<'a, Result<Option<Sid>, Unavailable>> {
        Box::pin(async move {
            let owner = self.parts.numbers.owner(number).await?;
            let Some(owner) = owner.filter(|owner| owner.account == account) else {
                return Ok(None);
            };
            Ok(self.parts.numbers.call_route(account, owner.sid).await?.trunk)
        })
    }

    fn place_of_address(
        &self,
        address: IpAddr,
    ) -> BoxFuture<'_, Result<Option<SipPlace>, Unavailable>> {
        Box::pin(async move {
            for block in source::blocks(address) {
                let Some((account, mapping)) = self.holder(source::CLAIM, &block).await? else {
                    continue;
                };
                let store = self.parts.store.account(account);
                let mapped = doc(&store, source::MAPPING, mapping).await?;
                let domain = mapped.and_then(|doc| doc.text("sip_domain_sid")?.parse::<Sid>().ok());
                let Some(domain) = domain else { continue };
                let Some(mut place) = self.place_of(account, domain).await? else { continue };
                let prefix = if address.to_canonical().is_ipv4() { 32 } else { 128 };
                let only = IpBlock { address: address.to_canonical(), prefix };
                place.calls = SipAccess { addresses: Some(vec![only]), needs_password: false };
                return Ok(Some(place));
            }
            Ok(None)
        })
    }

    fn instructions(
        &self,
        account: Sid,
        domain: Sid,
    ) -> BoxFuture<'_, Result<Option<CallRoute>, Unavailable>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            let Some(found) = doc(&store, domain::KIND, domain).await? else { return Ok(None) };
            if let Some(trunk) = found.text("byoc_trunk_sid").and_then(|sid| sid.parse().ok())
                && let Some(trunk) = doc(&store, byoc::KIND, trunk).await?
                && trunk.text("voice_url").is_some()
            {
                let urls = ["voice_url", "voice_fallback_url", "status_callback_url"];
                return Ok(Some(route(&trunk, urls)));
            }
            let urls = ["voice_url", "voice_fallback_url", "voice_status_callback_url"];
            Ok(Some(route(&found, urls)))
        })
    }

    fn recovery_route(
        &self,
        account: Sid,
        trunk: Sid,
    ) -> BoxFuture<'_, Result<Option<CallRoute>, Unavailable>> {
        Box::pin(async move {
            let store = self.parts.store.account(account);
            let found = doc(&store, trunk::KIND, trunk).await?;
            let found = found.filter(|doc| doc.text("disaster_recovery_url").is_some());
            Ok(found.map(|doc| route(&doc, ["disaster_recovery_url", "", ""])))
        })
    }

    fn transfers(
        &self,
        account: Sid,
        trunk: Sid,
    ) -> BoxFuture<'_, Result<SipTransfers, Unavailable>> {
        Box::pin(async move {
            let found = doc(&self.parts.store.account(account), trunk::KIND, trunk).await?;
            let Some(found) = found else { return Ok(SipTransfers::default()) };
            Ok(SipTransfers {
                mode: match found.text("transfer_mode") {
                    Some("enable-all") => TransferMode::Anybody,
                    Some("sip-only") => TransferMode::SipOnly,
                    _ => TransferMode::Nobody,
                },
                from_transferor: found.text("transfer_caller_id") == Some("from-transferor"),
            })
        })
    }

    fn has_trunk(&self, account: Sid, trunk: Sid) -> BoxFuture<'_, Result<bool, Unavailable>> {
        Box::pin(async move {
            let kind = if trunk.prefix() == "BY" { byoc::KIND } else { trunk::KIND };
            Ok(doc(&self.parts.store.account(account), kind, trunk).await?.is_some())
        })
    }
}

impl DialingPermissions for Trunking {
    fn refusal<'a>(
        &'a self,
        account: Sid,
        number: &'a str,
    ) -> BoxFuture<'a, Result<Option<DialingRisk>, Unavailable>> {
        Box::pin(self.refused(account, number))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn targets_are_drawn_by_their_weight() {
        let target = |uri: &str, priority, weight| SipTarget { uri: uri.into(), priority, weight };
        let all = || vec![target("c", 20, 10), target("a", 10, 30), target("b", 10, 10)];
        let mut first = [0; 2];
        for number in 0..400 {
            let seed = Cell::new(number);
            let draw = || seed.replace(seed.get() / 40);
            let ordered = in_order(all(), draw);
            let names: Vec<&str> = ordered.iter().map(|target| target.uri.as_str()).collect();
            assert_eq!(names[2], "c", "priority comes first");
            first[usize::from(names[0] == "b")] += 1;
        }
        assert_eq!(first, [300, 100]);
        assert_eq!(in_order(vec![target("a", 1, 0), target("b", 1, 0)], || 9).len(), 2);
    }
}
