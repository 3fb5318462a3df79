//! Settings of the account that mails follow unless they say otherwise.

use serde_json::{Value, json};
use store::{AccountStore, StoreError};
use url::Url;

use crate::fault::Fault;
use crate::letter::Letter;
use crate::shelf;
use crate::wire::{Answer, Call, Route, route};

const KIND: &str = "EmailSetting";

pub const ROUTES: &[Route] = &[
    route("GET", "/v3/tracking_settings", "tracking_settings.read", |_, c| Box::pin(list(c))),
    route("GET", "/v3/tracking_settings/click", "tracking_settings.click.read", |_, c| {
        Box::pin(fetch(c, "click"))
    }),
    route("PATCH", "/v3/tracking_settings/click", "tracking_settings.click.update", |_, c| {
        Box::pin(change(c, "click"))
    }),
    route("GET", "/v3/tracking_settings/open", "tracking_settings.open.read", |_, c| {
        Box::pin(fetch(c, "open"))
    }),
    route("PATCH", "/v3/tracking_settings/open", "tracking_settings.open.update", |_, c| {
        Box::pin(change(c, "open"))
    }),
    route(
        "GET",
        "/v3/tracking_settings/subscription",
        "tracking_settings.subscription.read",
        |_, c| Box::pin(fetch(c, "subscription")),
    ),
    route(
        "PATCH",
        "/v3/tracking_settings/subscription",
        "tracking_settings.subscription.update",
        |_, c| Box::pin(change(c, "subscription")),
    ),
    route(
        "GET",
        "/v3/tracking_settings/google_analytics",
        "tracking_settings.google_analytics.read",
        |_, c| Box::pin(fetch(c, "google_analytics")),
    ),
    route(
        "PATCH",
        "/v3/tracking_settings/google_analytics",
        "tracking_settings.google_analytics.update",
        |_, c| Box::pin(change(c, "google_analytics")),
    ),
    route("GET", "/v3/mail_settings/footer", "mail_settings.footer.read", |_, c| {
        Box::pin(fetch(c, "footer"))
    }),
    route("PATCH", "/v3/mail_settings/footer", "mail_settings.footer.update", |_, c| {
        Box::pin(change(c, "footer"))
    }),
];

/// A setting as it is before anybody has changed it; its members are all there are.
fn usual(name: &str) -> Value {
    match name {
        "click" => json!({"enabled": true, "enable_text": false}),
        "open" => json!({"enabled": true}),
        "subscription" => {
            json!({"enabled": false, "html_content": "", "plain_content": "", "replace": "", "landing": "", "url": ""})
        }
        "footer" => json!({"enabled": false, "html_content": "", "plain_content": ""}),
        _ => {
            json!({"enabled": false, "utm_source": "", "utm_medium": "", "utm_term": "", "utm_content": "", "utm_campaign": ""})
        }
    }
}

async fn load(store: &AccountStore, name: &str) -> Result<Value, StoreError> {
    Ok(shelf::get(store, KIND, "", name).await?.map_or_else(|| usual(name), |doc| doc.body))
}

async fn list(call: &Call) -> Result<Answer, Fault> {
    let mut all = Vec::new();
    for (name, title) in [
        ("click", "Click Tracking"),
        ("google_analytics", "Google Analytics"),
        ("open", "Open Tracking"),
        ("subscription", "Subscription Tracking"),
    ] {
        let enabled = load(&call.store, name).await?["enabled"].clone();
        all.push(json!({"name": name, "title": title, "description": title, "enabled": enabled}));
    }
    Ok(Answer::Json(200, json!({"result": all})))
}

async fn fetch(call: &Call, name: &str) -> Result<Answer, Fault> {
    Ok(Answer::Json(200, load(&call.store, name).await?))
}

async fn change(call: &Call, name: &str) -> Result<Answer, Fault> {
    let mut setting = load(&call.store, name).await?;
    for (key, value) in call.object()? {
        let known = setting
            .get(&key)
            .ok_or_else(|| Fault::field(&key, format!("{key} is not part of this setting")))?;
        let fits = match (known, &value) {
            (Value::Bool(_), Value::Bool(_)) => true,
            (Value::String(_), Value::String(text)) => text.len() <= 65_536 && !text.contains('\0'),
            _ => false,
        };
        if !fits {
            let kind = if known.is_boolean() { "a boolean" } else { "a string" };
            return Err(Fault::field(&key, format!("{key} must be {kind}")));
        }
        setting[key] = value;
    }
    let mut batch = call.store.batch();
    shelf::put(&mut batch, KIND, "", name, &setting, call.now);
    call.store.commit(batch).await?;
    Ok(Answer::Json(200, setting))
}

/// What counts for one mail: its own word, else the account's.
pub struct Effective {
    pub clicks: bool,
    pub text_clicks: bool,
    pub opens: bool,
    pub open_tag: Option<String>,
    pub subscription: bool,
    pub subscription_text: Option<String>,
    pub subscription_html: Option<String>,
    pub subscription_tag: Option<String>,
    /// `{text, html}`.
    pub footer: Option<Value>,
    campaign: Vec<(&'static str, String)>,
}

const CAMPAIGN: [&str; 5] = ["utm_source", "utm_medium", "utm_term", "utm_content", "utm_campaign"];

impl Effective {
    pub async fn load(store: &AccountStore, letter: &Letter) -> Result<Self, StoreError> {
        let [click, open, subscription, analytics, footer] = [
            load(store, "click").await?,
            load(store, "open").await?,
            load(store, "subscription").await?,
            load(store, "google_analytics").await?,
            load(store, "footer").await?,
        ];
        let is_on = |setting: &Value| setting["enabled"] == true;
        let text = |value: Option<&Value>, name: &str| {
            value
                .and_then(|value| value[name].as_str())
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        let own = |group: &str, name: &str| letter.setting(group, name);
        let clicks = letter.enables("tracking", "click_tracking").unwrap_or(is_on(&click));
        let own_text_clicks =
            own("tracking", "click_tracking").and_then(|value| value["enable_text"].as_bool());
        let ganalytics = letter.enables("tracking", "ganalytics").unwrap_or(is_on(&analytics));
        let of = |name: &str| {
            text(own("tracking", "ganalytics"), name).or_else(|| text(Some(&analytics), name))
        };
        let campaign = CAMPAIGN
            .iter()
            .filter(|_| ganalytics)
            .filter_map(|name| Some((*name, of(name)?)))
            .collect();
        let sub = own("tracking", "subscription_tracking");
        let own_footer = own("mail", "footer");
        let footer = match letter.enables("mail", "footer") {
            Some(true) => own_footer.cloned(),
            None if is_on(&footer) => {
                Some(json!({"text": footer["plain_content"], "html": footer["html_content"]}))
            }
            _ => None,
        };
        Ok(Self {
            clicks,
            text_clicks: clicks && own_text_clicks.unwrap_or(click["enable_text"] == true),
            opens: letter.enables("tracking", "open_tracking").unwrap_or(is_on(&open)),
            open_tag: text(own("tracking", "open_tracking"), "substitution_tag"),
            subscription: letter
                .enables("tracking", "subscription_tracking")
                .unwrap_or(is_on(&subscription)),
            subscription_text: text(sub, "text")
                .or_else(|| text(Some(&subscription), "plain_content")),
            subscription_html: text(sub, "html")
                .or_else(|| text(Some(&subscription), "html_content")),
            subscription_tag: text(sub, "substitution_tag")
                .or_else(|| text(Some(&subscription), "replace")),
            footer,
            campaign,
        })
    }

    /// A link with the campaign that it belongs to.
    pub fn with_campaign(&self, link: &str) -> String {
        if self.campaign.is_empty() {
            return link.to_owned();
        }
        let Ok(mut url) = Url::parse(link) else { return link.to_owned() };
        url.query_pairs_mut().extend_pairs(&self.campaign);
        url.into()
    }
}
