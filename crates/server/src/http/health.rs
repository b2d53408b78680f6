//! `GET /health` and `GET /ready`: for whoever starts, watches and stops the program. They reveal nothing else (SEC-86).

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::error::Problem;
use crate::app::App;
use crate::error::Error;

/// All is well.
#[derive(Serialize, ToSchema)]
pub(super) struct StatusResponse {
    #[schema(example = "ok")]
    status: &'static str,
}

const OK: Json<StatusResponse> = Json(StatusResponse { status: "ok" });

/// The process is alive. Asks nothing of the database.
#[utoipa::path(get, path = "/health", tag = "operation",
    responses((status = 200, description = "Alive", body = StatusResponse)))]
pub(super) async fn health() -> Json<StatusResponse> {
    OK
}

/// Requests can be served: the database answers and its schema is current, and the process is not about to stop.
#[utoipa::path(get, path = "/ready", tag = "operation",
    responses(
        (status = 200, description = "Ready", body = StatusResponse),
        (status = 503, description = "Starting, stopping, or without database", body = Problem),
    ))]
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Json<StatusResponse>, Error> {
    if app.phase.is_running() && app.store.is_current().await? {
        Ok(OK)
    } else {
        Err(Error::NotReady)
    }
}
