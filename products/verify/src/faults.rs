//! The errors of this product in their words.

use kernel::ApiError;
use rest::Ctx;
use store::StoreError;

/// 60200 / 400 for a parameter's value.
pub(crate) fn invalid(param: &str, why: &str) -> ApiError {
    ApiError::new(60200, format!("Invalid parameter `{param}`: {why}"))
}

/// 60300 / 400 for a parameter of entities, factors and challenges.
pub(crate) fn invalid_factor(param: &str, why: &str) -> ApiError {
    ApiError::new(60300, format!("Invalid parameter `{param}`: {why}"))
}

/// A store's fault on the wire.
pub(crate) fn failed(ctx: &Ctx) -> impl Fn(StoreError) -> ApiError + '_ {
    |error| rest::store_error(ctx, error)
}

/// 20404 / 404 for the thing that is missing, by its path.
pub(crate) fn missing(path: &str) -> ApiError {
    ApiError::not_found(path)
}
