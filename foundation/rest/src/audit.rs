//! Who did what, from where, and what it changed (compliance §13).
//!
//! Every change through the API is an event with an actor; its body names the address it came from
//! and the fields it changed, secrets hidden. The Monitor product shows these events.

use kernel::{HIDDEN, is_secret, without_password};
use serde_json::{Map, Value as Json, json};
use store::AccountBatch;

use crate::Ctx;

/// A longer value is told by its size alone, in bytes of JSON: an audit is no second copy.
const VALUE_MAX: usize = 2048;
/// Changed fields that are told.
const FIELDS_MAX: usize = 100;

impl Ctx {
    /// Adds the event of a change by this request's caller. `kind` is `resource.action`.
    pub fn audit(&self, batch: &mut AccountBatch, kind: &str, sid: &str, changes: Json) {
        let body = json!({
            "source_ip_address": self.peer.map(|peer| peer.to_string()),
            "resource_properties": changes,
        });
        let Some(principal) = &self.principal else {
            batch.event(kind, sid, self.now, body.to_string());
            return;
        };
        batch.deed(kind, sid, self.now, principal.actor, body.to_string());
    }
}

/// The fields that differ, as `{"name": {"previous": …, "updated": …}}`; what is absent is null.
pub fn changes(previous: Option<&Map<String, Json>>, updated: Option<&Map<String, Json>>) -> Json {
    let none = Map::new();
    let (previous, updated) = (previous.unwrap_or(&none), updated.unwrap_or(&none));
    let added = updated.keys().filter(|name| !previous.contains_key(*name));
    let value = |fields: &Map<String, Json>, name: &str| fields.get(name).cloned();
    let mut changed = Map::new();
    for name in previous.keys().chain(added) {
        let before = value(previous, name).unwrap_or(Json::Null);
        let after = value(updated, name).unwrap_or(Json::Null);
        if before != after && changed.len() < FIELDS_MAX {
            let change = json!({"previous": shown(name, before), "updated": shown(name, after)});
            changed.insert(name.clone(), change);
        }
    }
    Json::Object(changed)
}

/// A value as the audit may keep it.
fn shown(name: &str, value: Json) -> Json {
    match value {
        Json::Null => Json::Null,
        _ if is_secret(name) => HIDDEN.into(),
        value => {
            let size = value.to_string().len();
            if size > VALUE_MAX { format!("({size} bytes)").into() } else { hidden_within(value) }
        }
    }
}

/// Members that are secrets, and passwords in URLs, hidden at every depth.
fn hidden_within(value: Json) -> Json {
    match value {
        Json::String(text) => without_password(&text).into(),
        Json::Array(items) => items.into_iter().map(hidden_within).collect(),
        Json::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                let value = if is_secret(&name) { HIDDEN.into() } else { hidden_within(value) };
                (name, value)
            });
            Json::Object(members.collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(json: Json) -> Map<String, Json> {
        json.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn only_what_changed_is_told_and_no_secret() {
        let before = object(json!({"name": "a", "url": "https://u:p@x/", "auth_token": "1"}));
        let after = object(json!({"name": "a", "url": null, "auth_token": "2", "new": 1}));
        let expected = json!({
            "url": {"previous": "https://u:***@x/", "updated": null},
            "auth_token": {"previous": "***", "updated": "***"},
            "new": {"previous": null, "updated": 1},
        });
        assert_eq!(changes(Some(&before), Some(&after)), expected);
        let gone = json!({
            "configuration": {"previous": {"api_key": "***", "at": "x"}, "updated": null},
        });
        let before = object(json!({"configuration": {"api_key": "k", "at": "x"}}));
        assert_eq!(changes(Some(&before), None), gone);
        let long = object(json!({"definition": "x".repeat(3000)}));
        assert_eq!(changes(None, Some(&long))["definition"]["updated"], "(3002 bytes)");
    }
}
