//! Tables against definitions: what is here, what is missing, what is more.

use std::collections::{BTreeMap, BTreeSet};

use rest::{OpDecl, Param, Table, Verb, Wire};
use serde_json::Value as Json;

use crate::definitions::{Definition, Definitions, Operation, shape};
use crate::formats::{Demand, demand, field_answers, param_answers};

/// How many of the declared things are here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub present: usize,
    pub total: usize,
}

impl Count {
    fn of(all: &BTreeMap<String, bool>) -> Self {
        Self { present: all.values().filter(|here| **here).count(), total: all.len() }
    }

    fn add(&mut self, other: Self) {
        self.present += other.present;
        self.total += other.total;
    }
}

/// The columns of the report.
pub(crate) const COLUMNS: [&str; 5] =
    ["operations", "parameters", "fields", "enum values", "wire formats"];

/// The counts of one definition file, in the order of [`COLUMNS`].
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub name: String,
    pub counts: [Count; 5],
}

/// Everything the comparison found.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub rows: Vec<Row>,
    /// What the definitions declare and the tables lack or do otherwise.
    pub gaps: BTreeSet<String>,
    /// What the tables declare and the definitions lack.
    pub extras: BTreeSet<String>,
}

impl Comparison {
    /// The sum of all rows.
    pub fn totals(&self) -> Row {
        let mut totals = Row { name: "total".into(), ..Row::default() };
        for row in &self.rows {
            for (total, count) in totals.counts.iter_mut().zip(row.counts) {
                total.add(count);
            }
        }
        totals
    }
}

/// One operation of one of our tables.
struct Own {
    table: &'static Table,
    decl: OpDecl,
    shape: String,
}

impl Own {
    fn all<'a>(tables: impl Iterator<Item = (&'static Table, &'a [OpDecl])>) -> Vec<Self> {
        let mut all = Vec::new();
        for (table, decls) in tables {
            for decl in decls {
                let at_list = matches!(decl.verb, Verb::List | Verb::Create) && !decl.at_instance;
                if !at_list && table.instance_elsewhere {
                    continue;
                }
                if let Some(path) = if at_list { table.list } else { table.instance } {
                    all.push(Self { table, decl: *decl, shape: shape(path) });
                }
            }
        }
        all
    }

    /// Methods this operation answers, the usual one first.
    fn methods(&self) -> &'static [&'static str] {
        match self.decl.verb {
            Verb::List | Verb::Fetch => &["GET"],
            Verb::Create if !self.decl.at_instance => &["POST"],
            Verb::Create | Verb::Update => &["POST", "PUT", "PATCH"],
            Verb::Delete => &["DELETE"],
        }
    }

    fn answers(&self, operation: &Operation) -> bool {
        self.table.product == operation.host
            && self.shape == operation.shape
            && self.methods().contains(&operation.method.as_str())
    }
}

/// Holds every table against every definition.
pub(crate) fn compare<'a>(
    definitions: &Definitions,
    tables: impl Iterator<Item = (&'static Table, &'a [OpDecl])>,
) -> Comparison {
    let own = Own::all(tables);
    let mut used = vec![false; own.len()];
    let mut comparison = Comparison::default();
    for file in definitions.files.iter().filter(|file| !file.operations.is_empty()) {
        let mut found = Found::new(file);
        for operation in &file.operations {
            // As the router does: where both are there, PUT and PATCH update.
            let updates = matches!(operation.method.as_str(), "PUT" | "PATCH");
            let exact = own
                .iter()
                .position(|own| updates && own.decl.verb == Verb::Update && own.answers(operation));
            let at = exact.or_else(|| own.iter().position(|own| own.answers(operation)));
            let name = format!("{} {}", operation.method, operation.shape);
            found.operations.insert(name, at.is_some());
            if let Some(at) = at {
                used[at] = true;
                found.operation(operation, &own[at]);
            }
        }
        found.report(&mut comparison);
    }
    for (own, _) in own.iter().zip(used).filter(|(_, used)| !used) {
        let method = own.methods()[0];
        comparison.extras.insert(format!("{} op {method} {}", own.table.product, own.shape));
    }
    comparison
}

/// What one definition file declares and whether it is here. A thing that several
/// operations share is here when all of them have it.
struct Found<'a> {
    file: &'a Definition,
    operations: BTreeMap<String, bool>,
    params: BTreeMap<String, bool>,
    fields: BTreeMap<String, bool>,
    enums: BTreeMap<String, bool>,
    formats: BTreeMap<String, bool>,
    extras: BTreeSet<String>,
}

/// Parameters of every list, which no table names.
const PAGING: [&str; 3] = ["PageSize", "Page", "PageToken"];

impl<'a> Found<'a> {
    fn new(file: &'a Definition) -> Self {
        Self {
            file,
            operations: BTreeMap::new(),
            params: BTreeMap::new(),
            fields: BTreeMap::new(),
            enums: BTreeMap::new(),
            formats: BTreeMap::new(),
            extras: BTreeSet::new(),
        }
    }

    fn operation(&mut self, operation: &Operation, own: &Own) {
        self.params(operation, own);
        let known = operation.responses.contains_key(&own.decl.status);
        note(&mut self.formats, format!("{}:{}", operation.id, own.decl.status), known);
        let Some((_, Some(schema))) = operation.success() else { return };
        let mut record = schema;
        if own.decl.verb == Verb::List {
            let Some((key, items)) = self.file.list_items(schema) else { return };
            note(&mut self.formats, format!("{}:{key}", operation.id), own.table.key == key);
            record = items;
        }
        self.fields(operation.resource(), record, own);
    }

    fn params(&mut self, operation: &Operation, own: &Own) {
        for (name, schema) in &operation.params {
            let key = format!("{}.{name}", operation.id);
            let schema = self.file.resolve(schema);
            if own.decl.verb == Verb::List && PAGING.contains(&name.as_str()) {
                if let Some(most) = schema["maximum"].as_u64() {
                    note(&mut self.formats, key, most == u64::from(own.table.page_size_max));
                }
                continue;
            }
            let param = own.decl.params.iter().find(|param| param.name == name);
            note(&mut self.params, key.clone(), param.is_some());
            if let Some(param) = param {
                self.param(&key, schema, param, operation.required.contains(name));
            }
        }
        for param in own.decl.params {
            if !operation.params.iter().any(|(name, _)| name == param.name) {
                self.extra("param", &format!("{}.{}", operation.id, param.name));
            }
        }
    }

    fn param(&mut self, key: &str, schema: &Json, param: &Param, required: bool) {
        let is_list = schema["type"] == "array";
        let schema = if is_list { self.file.resolve(&schema["items"]) } else { schema };
        let demand = demand(schema);
        let answers = is_list == param.repeats
            && param_answers(param.wire, &demand)
            // What Twilio does without, nobody may be asked for.
            && (required || param.required.is_none());
        note(&mut self.formats, key.to_owned(), answers);
        self.values(key, &demand, param.wire);
    }

    fn fields(&mut self, resource: &str, record: &Json, own: &Own) {
        let fields = own.decl.fields.unwrap_or(own.table.fields);
        let declared = self.file.properties(record);
        for (name, schema) in &declared {
            let key = format!("{resource}.{name}");
            let field = fields.iter().find(|field| field.name == *name);
            note(&mut self.fields, key.clone(), field.is_some());
            if let Some(field) = field {
                let demand = demand(self.file.resolve(schema));
                note(&mut self.formats, key.clone(), field_answers(field.wire, &demand));
                self.values(&key, &demand, field.wire);
            }
        }
        for field in fields {
            if !declared.iter().any(|(name, _)| *name == field.name) {
                self.extra("field", &format!("{resource}.{}", field.name));
            }
        }
    }

    /// The values of an enum, when both sides have one.
    fn values(&mut self, key: &str, demand: &Demand, wire: Wire) {
        let (Demand::Enum(declared), Wire::Enum(own)) = (demand, wire) else { return };
        for value in declared {
            note(&mut self.enums, format!("{key}={value}"), own.contains(&value.as_str()));
        }
        for value in own.iter().filter(|value| !declared.iter().any(|known| known == *value)) {
            self.extra("enum", &format!("{key}={value}"));
        }
    }

    fn extra(&mut self, kind: &str, key: &str) {
        self.extras.insert(format!("{} {kind} {key}", self.file.name));
    }

    fn report(self, comparison: &mut Comparison) {
        let name = &self.file.name;
        let kinds = [
            ("op", &self.operations),
            ("param", &self.params),
            ("field", &self.fields),
            ("enum", &self.enums),
            ("format", &self.formats),
        ];
        comparison
            .rows
            .push(Row { name: name.clone(), counts: kinds.map(|(_, all)| Count::of(all)) });
        comparison.extras.extend(self.extras);
        if !self.operations.values().any(|here| *here) {
            let total = self.operations.len();
            comparison.gaps.insert(format!("{name} product {total} operations"));
            return;
        }
        for (kind, all) in kinds {
            let missing = all.iter().filter(|(_, here)| !**here);
            comparison.gaps.extend(missing.map(|(key, _)| format!("{name} {kind} {key}")));
        }
    }
}

fn note(all: &mut BTreeMap<String, bool>, key: String, here: bool) {
    let known = all.entry(key).or_insert(true);
    *known = *known && here;
}

#[cfg(test)]
mod tests {
    use rest::{Field, Op};
    use serde_json::json;

    use super::*;

    const FIELDS: &[Field] = &[
        Field::sid("sid", &["QU"]),
        Field::new("status", Wire::Enum(&["open", "odd"])),
        Field::new("date_created", Wire::Iso8601),
        Field::text("more"),
    ];
    const PARAMS: &[Param] = &[Param::text("Name", 9).required(20001), Param::text("Odd", 9)];
    static TABLE: Table = Table::v2010("Queue", "/2010-04-01/Qs", "/2010-04-01/Qs/{Sid}")
        .key("queues")
        .fields(FIELDS);

    fn definitions() -> Definitions {
        let record = json!({"$ref": "#/components/schemas/queue"});
        let doc = json!({
            "servers": [{"url": "https://api.twilio.com"}],
            "components": {"schemas": {"queue": {"properties": {
                "sid": {"type": "string", "pattern": "^QU[0-9a-fA-F]{32}$"},
                "status": {"type": "string", "enum": ["open", "closed"]},
                "date_created": {"type": "string", "format": "date-time-rfc-2822"},
                "size": {"type": "integer"},
            }}}},
            "paths": {
                "/2010-04-01/Qs.json": {
                    "get": {"operationId": "ListQueue", "parameters": [
                        {"name": "PageSize", "in": "query", "schema": {"maximum": 100}},
                    ], "responses": {"200": {"content": {"application/json": {"schema": {
                        "properties": {"qs": {"type": "array", "items": record}},
                    }}}}}},
                    "post": {"operationId": "CreateQueue", "requestBody": {"content": {"form": {
                        "schema": {"properties": {
                            "Name": {"type": "string"}, "Size": {"type": "integer"},
                        }},
                    }}}, "responses": {"201": {"content": {"application/json": {
                        "schema": record}}}}},
                },
                "/2010-04-01/Qs/{Sid}.json": {"delete": {"operationId": "DeleteQueue"}},
            },
        });
        Definitions { files: vec![Definition::new("api_v2010", doc)] }
    }

    #[test]
    fn every_kind_of_gap_is_found() {
        let ops = [Op::<()>::list(&[]).decl, Op::<()>::create(PARAMS).decl, Op::<()>::fetch().decl];
        let comparison = compare(&definitions(), [(&TABLE, ops.as_slice())].into_iter());
        let gaps: Vec<_> = comparison.gaps.iter().map(String::as_str).collect();
        assert_eq!(
            gaps,
            [
                "api_v2010 enum Queue.status=closed",
                "api_v2010 field Queue.size",
                "api_v2010 format CreateQueue.Name",
                "api_v2010 format ListQueue.PageSize",
                "api_v2010 format ListQueue:qs",
                "api_v2010 format Queue.date_created",
                "api_v2010 op DELETE /2010-04-01/Qs/{}",
                "api_v2010 param CreateQueue.Size",
            ]
        );
        let extras: Vec<_> = comparison.extras.iter().map(String::as_str).collect();
        assert_eq!(
            extras,
            [
                "api op GET /2010-04-01/Qs/{}",
                "api_v2010 enum Queue.status=odd",
                "api_v2010 field Queue.more",
                "api_v2010 param CreateQueue.Odd",
            ]
        );
        assert_eq!(comparison.totals().counts[0], Count { present: 2, total: 3 });
    }

    #[test]
    fn a_product_without_any_operation_is_one_gap() {
        let comparison = compare(&definitions(), std::iter::empty());
        let gaps: Vec<_> = comparison.gaps.iter().map(String::as_str).collect();
        assert_eq!(gaps, ["api_v2010 product 3 operations"]);
    }
}
