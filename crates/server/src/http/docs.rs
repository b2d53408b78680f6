//! `/docs` and `/openapi.json`: the document and a page to try it, without any outside network.

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::middleware::{Next, from_fn};
use utoipa_swagger_ui::SwaggerUi;

use super::openapi::complete;
use crate::error::Error;

/// The page loads its own script and style and the document, all from here; its style sheet sets inline styles.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
);

pub(super) fn router(document: utoipa::openapi::OpenApi) -> Router {
    let page = SwaggerUi::new("/docs").url("/openapi.json", complete(document));
    Router::new()
        .merge(page)
        .method_not_allowed_fallback(async || Error::WrongMethod)
        .layer(from_fn(async |request: Request, next: Next| {
            let mut response = next.run(request).await;
            response
                .headers_mut()
                .insert(CONTENT_SECURITY_POLICY, POLICY);
            response
        }))
}
