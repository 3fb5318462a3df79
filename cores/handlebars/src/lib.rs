//! The part of Handlebars that SendGrid's dynamic templates are written in (sendgrid §3).
//!
//! [`Template::parse`] reads text into nodes and says what is wrong with it; rendering cannot
//! fail: what is missing is empty. It deliberately has no partials and no helpers of a caller's.
//!
//! Bounds: blocks nest 50 deep at most, and a rendering stops at 10 MiB.

mod date;
mod parse;
mod render;

pub use parse::{Template, TemplateError};
