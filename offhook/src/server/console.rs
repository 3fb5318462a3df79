//! The web console: what `cargo xtask console` built, from inside the binary.
//!
//! A debug build reads `console/dist` from the disk at every request. Where it was
//! never built, a plain page says how to. Its pages are `/` and `/console/…` alone,
//! so that every other path keeps its errors.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::api::{App, Refusal};
use kernel::ApiError;

/// Nothing but our own files, and two style sheets of react-aria by their digests: what a
/// touch on a button may do, and how the page behind a dialog scrolls.
const POLICY: &str = "default-src 'none'; script-src 'self'; \
    style-src 'self' 'sha256-38RhXrc7EdReTKsOm23ZPOCUgniTUUcjky8QOOrQx6o=' \
    'sha256-gYiS/BvZvRcK27JIXTuwhZ3hs2+VJ1X+2gUlE+farlg='; \
    img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; frame-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// The names of built assets have their digest in them.
const FOREVER: &str = "public, max-age=31536000, immutable";
const REVALIDATE: &str = "no-cache";
/// A code, its meaning and what to do about it.
const ERROR_CODE_DIGITS_MAX: usize = 6;

#[cfg(feature = "console")]
mod files {
    use std::borrow::Cow;

    #[derive(rust_embed::Embed)]
    #[folder = "../console/dist"]
    struct Dist;

    #[derive(rust_embed::Embed)]
    #[folder = "../docs/errors"]
    struct Errors;

    pub fn dist(name: &str) -> Option<Cow<'static, [u8]>> {
        Dist::get(name).map(|file| file.data)
    }

    pub fn error_page(name: &str) -> Option<Cow<'static, [u8]>> {
        Errors::get(name).map(|file| file.data)
    }
}

#[cfg(not(feature = "console"))]
mod files {
    use std::borrow::Cow;

    pub fn dist(_: &str) -> Option<Cow<'static, [u8]>> {
        None
    }

    pub fn error_page(_: &str) -> Option<Cow<'static, [u8]>> {
        None
    }
}

/// `/`, and every view of the console: the page that shows them all.
pub async fn page(State(app): State<App>, headers: HeaderMap) -> Response {
    match file("index.html", &headers) {
        Some(page) => page,
        None => Html(include_str!("page.html").replace("{url}", &app.url)).into_response(),
    }
}

/// What the page loads; other paths below `/console/` are views.
pub async fn asset(
    app: State<App>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let is_view = path.rsplit('/').next().is_some_and(|name| !name.contains('.'));
    if is_view && !path.starts_with("assets/") {
        return Ok(page(app, headers).await);
    }
    let why = || Refusal(ApiError::new(20404, format!("The console has no file {path}")));
    file(&path, &headers).ok_or_else(why)
}

/// The page of an error code, as Markdown.
pub async fn error_page(Path(code): Path<String>) -> Result<Response, Refusal> {
    let is_code = code.len() <= ERROR_CODE_DIGITS_MAX && code.bytes().all(|b| b.is_ascii_digit());
    let found = if is_code { files::error_page(&format!("{code}.md")) } else { None };
    let why = || Refusal(ApiError::new(20404, format!("There is no page for the code {code}")));
    let page = found.ok_or_else(why)?;
    let kind = "text/markdown; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], page.into_owned()).into_response())
}

/// A built file, compressed where the client takes that and the build has it so.
fn file(name: &str, headers: &HeaderMap) -> Option<Response> {
    let takes = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    let packed = match takes.is_some_and(|takes| takes.contains("gzip")) {
        true => files::dist(&format!("{name}.gz")),
        false => None,
    };
    let encoding = packed.is_some().then_some("gzip");
    let bytes = packed.or_else(|| files::dist(name))?.into_owned();
    let caching = if name.starts_with("assets/") { FOREVER } else { REVALIDATE };
    let fixed: [(HeaderName, &str); 7] = [
        (header::CONTENT_TYPE, content_type(name)),
        (header::CACHE_CONTROL, caching),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let encoding = encoding.map(|encoding| [(header::CONTENT_ENCODING, encoding)]);
    Some(match encoding {
        Some(encoding) => (StatusCode::OK, fixed, encoding, bytes).into_response(),
        None => (StatusCode::OK, fixed, bytes).into_response(),
    })
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_their_types() {
        for (name, kind) in [
            ("index.html", "text/html; charset=utf-8"),
            ("assets/a-B1.js", "text/javascript; charset=utf-8"),
            ("assets/a.css", "text/css; charset=utf-8"),
            ("icon.svg", "image/svg+xml"),
            ("x", "application/octet-stream"),
        ] {
            assert_eq!(content_type(name), kind, "{name}");
        }
    }

    #[tokio::test]
    #[cfg(feature = "console")]
    async fn an_error_has_its_page_and_only_a_code_names_one() {
        assert!(error_page(Path("11202".into())).await.is_ok());
        for code in ["99999", "../11202", "11202.md", "", "1120211202"] {
            assert!(error_page(Path(code.into())).await.is_err(), "{code}");
        }
    }
}
