//! Webhook signatures: what goes into `X-Twilio-Signature`, and the options a webhook URL carries
//! in its fragment.
//!
//! A request is signed over its URL followed by its form parameters ([`sign()`],
//! [`sign_shared_key`]). A GET has its parameters in the URL ([`with_query`]) and a JSON request
//! has the hash of its body there ([`with_body_hash`]), so for both the URL alone is signed.
//! [`validate()`] and [`validate_body`] are the receiver's side. [`Overrides`] reads timeouts,
//! retries, edges and SNI from the fragment, which is never sent and never signed.
//!
//! It does not fetch, choose the key, normalise URLs, or write headers.
//!
//! Invariants:
//! * URLs are bytes: nothing is decoded, re-encoded, added or removed but the fragment;
//! * signatures are compared in constant time;
//! * every function is total, and an override is always inside its range.
//!
//! Source: Twilio docs, "Webhooks security" and "Webhooks connection overrides".
//!
//! ```
//! let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
//! let params = [
//!     ("CallSid", "CA1234567890ABCDE"),
//!     ("Caller", "+14158675309"),
//!     ("Digits", "1234"),
//!     ("From", "+14158675309"),
//!     ("To", "+18005551212"),
//! ];
//! let signature = signature::sign("12345", url, &params);
//! assert_eq!(signature, "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
//! assert!(signature::validate("12345", url, &params, &signature));
//! ```

mod overrides;
mod sign;
mod url;
mod validate;

pub use overrides::{Edge, OverrideError, Overrides, RetryPolicy};
pub use sign::{shared_key_settings, sign, sign_hub, sign_shared_key};
pub use url::{body_hash, with_body_hash, with_query, without_fragment};
pub use validate::{is_equal, validate, validate_body, validate_hub, validate_shared_key};
