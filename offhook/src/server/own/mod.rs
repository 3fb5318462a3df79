//! `/_offhook/v1` as a table: every operation with what it takes and what it gives. From it come the
//! routes and their description (OpenAPI), of which the console's types are made.

mod shape;
mod shapes;
mod table;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter};
use serde_json::{Map, Value, json};

use super::api::App;
use shape::{Member, Shape};
pub use table::{door, operations};

/// Where our own API is.
pub const BASE: &str = "/_offhook/v1";

/// An operation.
pub struct Operation {
    /// Those it is known by; a change is taken by both PUT and POST.
    verbs: &'static [&'static str],
    path: &'static str,
    what: &'static str,
    query: &'static [Member],
    takes: Option<&'static Shape>,
    gives: Gives,
    handler: MethodRouter<App>,
}

enum Gives {
    Nothing,
    Json(u16, &'static Shape),
    /// Of this content type.
    Other(&'static str),
    /// A WebSocket.
    Socket,
}

impl Operation {
    fn new<T: 'static>(
        verbs: &'static [&'static str],
        path: &'static str,
        what: &'static str,
        handler: impl Handler<T, App>,
    ) -> Self {
        let filter = verbs.iter().map(|verb| match *verb {
            "get" => MethodFilter::GET,
            "put" => MethodFilter::PUT,
            "delete" => MethodFilter::DELETE,
            _ => MethodFilter::POST,
        });
        let filter = filter.reduce(MethodFilter::or).unwrap_or(MethodFilter::GET);
        let handler = MethodRouter::new().on(filter, handler);
        Self { verbs, path, what, query: &[], takes: None, gives: Gives::Nothing, handler }
    }

    fn query(mut self, query: &'static [Member]) -> Self {
        self.query = query;
        self
    }

    fn takes(mut self, shape: &'static Shape) -> Self {
        self.takes = Some(shape);
        self
    }

    fn gives(self, shape: &'static Shape) -> Self {
        self.answers(200, shape)
    }

    fn creates(self, shape: &'static Shape) -> Self {
        self.answers(201, shape)
    }

    fn answers(mut self, status: u16, shape: &'static Shape) -> Self {
        self.gives = Gives::Json(status, shape);
        self
    }

    fn sends(mut self, content_type: &'static str) -> Self {
        self.gives = Gives::Other(content_type);
        self
    }

    fn upgrades(mut self) -> Self {
        self.gives = Gives::Socket;
        self
    }

    fn described(&self, verb: &str, all: &mut Map<String, Value>) -> Value {
        let named = self.path.split('{').skip(1).filter_map(|part| part.split_once('}'));
        let named = named.map(|(name, _)| {
            json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}})
        });
        let asked = self.query.iter().map(|member| member.parameter("query"));
        let (status, mut answer) = match self.gives {
            Gives::Nothing => (204, json!({})),
            Gives::Json(status, shape) => {
                (status, json!({"content": {"application/json": {"schema": shape.refer(all)}}}))
            }
            Gives::Socket => (101, json!({})),
            Gives::Other(kind) => (200, json!({"content": {kind: {"schema": {"type": "string"}}}})),
        };
        answer["description"] = self.what.into();
        let words = self.path.split(['/', '{', '}', '-']).filter(|word| !word.is_empty());
        let id = [verb].into_iter().chain(words).collect::<Vec<_>>().join("-");
        let mut described = json!({
            "operationId": id,
            "summary": self.what,
            "tags": ["offhook"],
            "parameters": named.chain(asked).collect::<Vec<_>>(),
            "responses": {
                status.to_string(): answer,
                "default": {"description": "An error: code, message, more_info, status"},
            },
        });
        if let Some(shape) = self.takes {
            let content = json!({"application/json": {"schema": shape.refer(all)}});
            described["requestBody"] = json!({ "content": content });
        }
        described
    }
}

/// Routes of operations, without [`BASE`].
pub fn routes(operations: Vec<Operation>) -> Router<App> {
    operations.into_iter().fold(Router::new(), |router, one| router.route(one.path, one.handler))
}

/// Paths and schemas of our own API.
pub fn description() -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for one in operations().iter().chain(&door()) {
        let item = paths.entry(format!("{BASE}{}", one.path)).or_insert_with(|| json!({}));
        for verb in one.verbs {
            item[verb] = one.described(verb, &mut schemas);
        }
    }
    for shape in shapes::BESIDE {
        shape.refer(&mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Offhook's own API", "version": "1"},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// Adds it to a description of the resources.
pub fn describe(mut all: Value) -> Value {
    let mut own = description();
    for (to, from) in [("/paths", "/paths"), ("/components/schemas", "/components/schemas")] {
        if let (Some(Value::Object(to)), Some(Value::Object(from))) =
            (all.pointer_mut(to), own.pointer_mut(from))
        {
            to.append(from);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The console's types are made of this file. `OFFHOOK_WRITE=1` writes it.
    #[test]
    fn the_console_knows_our_api() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../console/openapi.json");
        let mut text = serde_json::to_string_pretty(&description()).unwrap();
        text.push('\n');
        if std::env::var_os("OFFHOOK_WRITE").is_some() {
            std::fs::write(place, &text).unwrap();
        }
        let known = std::fs::read_to_string(place).unwrap_or_default();
        assert!(known == text, "console/openapi.json is stale: run `cargo xtask console types`");
    }

    #[test]
    fn every_operation_is_said_once() {
        let mut names = std::collections::HashSet::new();
        for one in operations().iter().chain(&door()) {
            for verb in one.verbs {
                assert!(names.insert((*verb, one.path)), "{verb} {}", one.path);
            }
            assert!(one.what.ends_with('.') && one.what.len() > 8, "{}", one.path);
        }
    }
}
