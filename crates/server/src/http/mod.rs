//! HTTP: the route table, and the layers around it.

mod docs;
mod edge;
mod error;
mod extract;
mod health;
mod listener;
mod login;
mod logout;
mod openapi;
mod profile;
mod register;
mod response;

pub use edge::Edge;
pub use listener::{Deadlines, serve};
pub use openapi::document;
pub(crate) use response::UserResponse;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::error::Error;

/// THE route table: every path of the API, with its document. The coverage test reads it too.
fn table() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(openapi::frame())
        .routes(routes!(register::register))
        .routes(routes!(login::login))
        .routes(routes!(logout::logout))
        .routes(routes!(profile::read, profile::update))
}

/// Health stands apart: it answers while the database is away.
fn health() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
}

/// The whole service. `docs` adds `/docs` and `/openapi.json`.
pub fn router(app: Arc<App>, edge: Edge, cors_origins: &[String], docs: bool) -> Router {
    let (api, document) = table().merge(health()).split_for_parts();
    let mut router: Router = api
        .fallback(async || Error::UnknownPath)
        .method_not_allowed_fallback(async || Error::WrongMethod)
        .with_state(app);
    if docs {
        router = router.merge(docs::router(document));
    }
    if !cors_origins.is_empty() {
        router = router.layer(cors(cors_origins));
    }
    router.layer(edge)
}

/// SEC-72: exact origins, no credentials, because tokens travel in a header that no browser sends by itself.
fn cors(origins: &[String]) -> CorsLayer {
    let allowed = origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok());
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .expose_headers([HeaderName::from_static("x-request-id"), header::RETRY_AFTER])
        .max_age(Duration::from_secs(600))
}
