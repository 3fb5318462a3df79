//! Whether the database has the schema that this program needs.
//!
//! The schema grows in two steps, so that nodes of two versions can share a database: a release
//! adds (tables, indexes, columns that may be empty or have a default) and its programs write both
//! forms; a later one, when no node of the former runs any more, stops using the old form. Nothing
//! is renamed or dropped, so a node runs with every newer schema. `cargo xtask tidy` checks it.

use refinery::Migration;

use crate::StoreError;

/// The names of the migrations that are not among the applied versions.
pub(crate) fn names_without(all: &[Migration], applied: &[i32]) -> Vec<String> {
    let mut missing: Vec<&Migration> = all
        .iter()
        .filter(|one| {
            !applied.iter().any(|version| i64::from(*version) == i64::from(one.version()))
        })
        .collect();
    missing.sort();
    missing.iter().map(|one| format!("V{}__{}", one.version(), one.name())).collect()
}

/// After all was run nothing is missing, unless a migration was numbered below one that ran.
pub(crate) fn check(missing: &[String]) -> Result<(), StoreError> {
    match missing {
        [] => Ok(()),
        some => Err(StoreError::Failed(format!(
            "the schema lacks {}: run `offhook migrate`; if it says so again, the migration is \
             numbered below one that ran already",
            some.join(", ")
        ))),
    }
}
