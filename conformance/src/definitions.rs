//! Twilio's OpenAPI definitions, as the package `@twilio/cli-core` carries them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::Value as Json;

/// All definition files of a directory.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    pub files: Vec<Definition>,
}

/// One file: one version of one product.
#[derive(Debug)]
pub(crate) struct Definition {
    /// File name without `twilio_` and extension: `api_v2010`.
    pub name: String,
    pub doc: Json,
    pub operations: Vec<Operation>,
}

/// One method of one path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Operation {
    /// First label of the host: `api`, `preview-iam`.
    pub host: String,
    /// Upper case.
    pub method: String,
    /// The path as the definition writes it.
    pub path: String,
    /// The path with unnamed parameters and without `.json`.
    pub shape: String,
    /// `CreateMessage`.
    pub id: String,
    /// Query and form parameters with schema, header and path parameters left out.
    pub params: Vec<(String, Json)>,
    /// Names of parameters that must be given.
    pub required: Vec<String>,
    /// Declared statuses and the schema of their JSON body, if they have one.
    pub responses: BTreeMap<u16, Option<Json>>,
}

impl Operation {
    /// The resource an operation is about: its id without the verb.
    pub fn resource(&self) -> &str {
        let verbs = ["Create", "List", "Fetch", "Update", "Delete"];
        verbs.iter().find_map(|verb| self.id.strip_prefix(verb)).unwrap_or(&self.id)
    }

    /// Status and body schema of success.
    pub fn success(&self) -> Option<(u16, Option<&Json>)> {
        let mut found = self.responses.range(200..400);
        found.next().map(|(status, schema)| (*status, schema.as_ref()))
    }
}

/// A path with unnamed parameters and without extension: what two declarations of
/// one operation have in common.
pub(crate) fn shape(path: &str) -> String {
    let path = path.strip_suffix(".json").unwrap_or(path);
    let segments: Vec<&str> =
        path.split('/').map(|part| if part.contains('{') { "{}" } else { part }).collect();
    segments.join("/")
}

impl Definitions {
    /// Reads every `twilio_*.json` of a directory, sorted by name.
    pub fn load(dir: &Path) -> anyhow::Result<Self> {
        let listing = std::fs::read_dir(dir)
            .with_context(|| format!("cannot read the definitions in {}", dir.display()))?;
        let mut paths = Vec::new();
        for entry in listing {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with("twilio_") && name.ends_with(".json") {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            bail!("{} holds no twilio_*.json", dir.display());
        }
        paths.sort();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            let text = std::fs::read_to_string(&path)?;
            let doc = serde_json::from_str(&text)
                .with_context(|| format!("{} is not JSON", path.display()))?;
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            files.push(Definition::new(stem.strip_prefix("twilio_").unwrap_or(stem), doc));
        }
        Ok(Self { files })
    }

    /// The file with this name, with or without `twilio_` and `.json`.
    pub fn named(&self, name: &str) -> Option<&Definition> {
        let name = name.strip_suffix(".json").unwrap_or(name);
        let name = name.strip_prefix("twilio_").unwrap_or(name);
        self.files.iter().find(|file| file.name == name)
    }
}

impl Definition {
    pub fn new(name: &str, doc: Json) -> Self {
        let mut file = Self { name: name.to_owned(), doc, operations: Vec::new() };
        let no_paths = serde_json::Map::new();
        let paths = file.doc["paths"].as_object().unwrap_or(&no_paths);
        let mut operations = Vec::new();
        for (path, item) in paths {
            let host = host(&item["servers"]).or_else(|| host(&file.doc["servers"]));
            let host = host.unwrap_or_else(|| name.split('_').next().unwrap_or(name).to_owned());
            for method in ["get", "post", "put", "patch", "delete"] {
                if let Some(operation) = item.get(method) {
                    operations.push(file.operation(&host, method, path, operation));
                }
            }
        }
        file.operations = operations;
        file
    }

    fn operation(&self, host: &str, method: &str, path: &str, json: &Json) -> Operation {
        let mut params = Vec::new();
        let mut required = Vec::new();
        for param in json["parameters"].as_array().into_iter().flatten() {
            let param = self.resolve(param);
            if param["in"] != "query" {
                continue;
            }
            let name = param["name"].as_str().unwrap_or_default().to_owned();
            if param["required"] == true {
                required.push(name.clone());
            }
            params.push((name, param["schema"].clone()));
        }
        for body in json["requestBody"]["content"].as_object().into_iter().flat_map(|c| c.values())
        {
            let schema = self.resolve(&body["schema"]);
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                params.push((name.clone(), property.clone()));
            }
            let names = schema["required"].as_array().into_iter().flatten();
            required.extend(names.filter_map(Json::as_str).map(str::to_owned));
        }
        let mut responses = BTreeMap::new();
        for (status, response) in json["responses"].as_object().into_iter().flatten() {
            let Ok(status) = status.parse() else { continue };
            let content = self.resolve(response)["content"].as_object();
            let schema = content.and_then(|c| c.values().next()).map(|body| body["schema"].clone());
            responses.insert(status, schema);
        }
        Operation {
            host: host.to_owned(),
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            shape: shape(path),
            id: json["operationId"].as_str().unwrap_or_default().to_owned(),
            params,
            required,
            responses,
        }
    }

    /// Follows references within this file.
    pub fn resolve<'a>(&'a self, mut schema: &'a Json) -> &'a Json {
        // Chains of references are short; a cycle of nothing but references is none.
        for _ in 0..8 {
            let Some(reference) = schema["$ref"].as_str() else { break };
            schema = self.doc.pointer(reference.trim_start_matches('#')).unwrap_or(&Json::Null);
        }
        schema
    }

    /// Properties of an object schema, those of `allOf` parts included.
    pub fn properties<'a>(&'a self, schema: &'a Json) -> Vec<(&'a str, &'a Json)> {
        let schema = self.resolve(schema);
        let mut all: Vec<_> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, property)| (name.as_str(), property))
            .collect();
        for part in schema["allOf"].as_array().into_iter().flatten() {
            all.extend(self.properties(part));
        }
        all
    }

    /// Name of the array and schema of the items of a list answer.
    pub fn list_items<'a>(&'a self, schema: &'a Json) -> Option<(&'a str, &'a Json)> {
        let mut properties = self.properties(schema).into_iter();
        properties.find_map(|(name, property)| {
            let property = self.resolve(property);
            (property["type"] == "array").then(|| (name, self.resolve(&property["items"])))
        })
    }
}

/// First label of the first server's host.
fn host(servers: &Json) -> Option<String> {
    let url = servers[0]["url"].as_str()?;
    let (_, host) = url.split_once("://")?;
    host.split('.').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shapes_forget_names_and_extension() {
        assert_eq!(shape("/2010-04-01/Accounts/{Sid}.json"), "/2010-04-01/Accounts/{}");
        assert_eq!(shape("/v2/Services/{A}/X/{B}"), "/v2/Services/{}/X/{}");
    }

    #[test]
    fn an_operation_is_read_with_its_references() {
        let doc = json!({
            "servers": [{"url": "https://flex-api.twilio.com"}],
            "components": {"schemas": {"x": {"properties": {"sid": {"type": "string"}}}}},
            "paths": {"/v1/Xs/{Sid}": {"post": {
                "operationId": "UpdateX",
                "parameters": [
                    {"name": "Sid", "in": "path"}, {"name": "Q", "in": "query", "required": true},
                ],
                "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {
                    "properties": {"Name": {"type": "string"}}, "required": ["Name"]}}}},
                "responses": {"202": {"content": {"application/json": {"schema":
                    {"$ref": "#/components/schemas/x"}}}}},
            }}},
        });
        let file = Definition::new("flex_v1", doc);
        let operation = &file.operations[0];
        assert_eq!((operation.host.as_str(), operation.method.as_str()), ("flex-api", "POST"));
        assert_eq!(operation.resource(), "X");
        assert_eq!(operation.required, ["Q", "Name"]);
        assert_eq!(operation.params.len(), 2);
        let (status, schema) = operation.success().unwrap();
        assert_eq!((status, file.properties(schema.unwrap())[0].0), (202, "sid"));
    }
}
