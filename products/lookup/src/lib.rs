//! Lookup v1 and v2: what is known of a telephone number (verify §12, §13).
//!
//! What numbering plans say is known here; everything else is asked of a [`Source`]: the simulated
//! network, or a service of the operator's by HTTP. [`package`] words what it knows, package by
//! package; [`identity`] compares a person with what a caller says of one. Line types can be
//! overridden, and packages limited, by account.

mod batch;
mod identity;
mod limit;
mod number;
mod package;
mod source;
mod v1;

use std::sync::Arc;

use rest::{Ctx, Record, Router};
use serde_json::{Map, Value as Json};

pub use source::{HttpSource, HttpSourceConfig, Source};

/// The product's state.
pub struct Lookup {
    source: Source,
}

impl Lookup {
    pub fn new(source: Source) -> Arc<Self> {
        Arc::new(Self { source })
    }

    /// Adds this product's resources.
    pub fn mount(self: &Arc<Self>, router: Router) -> Router {
        router.mount(
            self,
            &[
                &v1::PHONE_NUMBER,
                &number::PHONE_NUMBER,
                &batch::BATCH,
                &number::OVERRIDE,
                &limit::RATE_LIMITS,
                &limit::RATE_LIMIT,
            ],
        )
    }
}

/// What the resource shows of these members.
fn shown(ctx: &Ctx, members: &Map<String, Json>) -> Record {
    let mut record = Record::new("");
    for field in ctx.table.fields {
        if let Some(value) = members.get(field.name) {
            record.set(field.name, value.clone());
        }
    }
    record
}
