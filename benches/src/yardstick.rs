//! The two yardsticks: what HTTP costs, and what one durable row costs on top.

use std::path::Path;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Form, Router};
use bus::Bus;
use serde::Deserialize;
use store::{Batch, Location, Store};
use tokio::net::TcpListener;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    to: String,
    from: String,
    body: String,
}

/// Serves until it is killed.
pub async fn serve(kind: &str, port: u16, directory: &Path) -> crate::Outcome {
    let router = match kind {
        "durable" => {
            let location = Location::Sqlite(directory.join("yardstick.db"));
            let store = Store::open(&location, Bus::default()).await?;
            Router::new().route("/messages", post(durable)).with_state(Arc::new(store))
        }
        _ => Router::new().route("/messages", post(bare)),
    };
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    Ok(axum::serve(listener, router).await?)
}

/// The JSON of an accepted message, built from the form alone.
fn answer(message: &Message) -> impl IntoResponse + use<> {
    let json = serde_json::json!({
        "body": message.body, "num_segments": "1", "direction": "outbound-api",
        "from": message.from, "to": message.to,
        "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000", "price": null, "error_message": null,
        "uri": "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages/SM0123456789abcdef0123456789abcdef.json",
        "account_sid": "AC0123456789abcdef0123456789abcdef", "num_media": "0", "status": "queued",
        "messaging_service_sid": null, "sid": "SM0123456789abcdef0123456789abcdef",
        "date_sent": null, "date_created": "Thu, 24 Aug 2023 05:01:45 +0000", "error_code": null,
        "price_unit": "USD", "api_version": "2010-04-01", "subresource_uris": {
            "media": "/2010-04-01/Accounts/AC0123456789abcdef0123456789abcdef/Messages/SM0123456789abcdef0123456789abcdef/Media.json"},
    });
    (StatusCode::CREATED, [(header::CONTENT_TYPE, "application/json")], json.to_string())
}

async fn bare(Form(message): Form<Message>) -> impl IntoResponse {
    answer(&message)
}

async fn durable(
    State(store): State<Arc<Store>>,
    Form(message): Form<Message>,
) -> impl IntoResponse {
    let mut batch = Batch::new();
    batch.run(
        "INSERT INTO event (account_sid, kind, sid, at, body) VALUES ($1, $2, $3, $4, $5)",
        vec![
            message.from.as_str().into(),
            "yardstick".into(),
            message.to.as_str().into(),
            0i64.into(),
            message.body.as_str().into(),
        ],
    );
    match store.commit(batch).await {
        Ok(_) => answer(&message).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
