//! A service that lets in whoever has signed in at Gatewright.
//!
//! ```text
//! BETTER_AUTH_SECRET=… cargo run --example protected_service --features axum
//! curl -H "Authorization: Bearer $TOKEN" http://127.0.0.1:3000/whoami
//! ```

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use gatewright_verify::axum::CurrentUserId;
use gatewright_verify::{Claims, Key, Verifier};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = Key::hs256(None, secret()?.as_bytes())
        .map_err(|error| format!("BETTER_AUTH_SECRET: {error}"))?;
    let verifier = Arc::new(Verifier::new([key])?);

    let service = Router::new()
        .route("/whoami", get(whoami))
        .route("/id", get(id))
        .with_state(verifier);
    let listener = TcpListener::bind("127.0.0.1:3000").await?;
    axum::serve(listener, service).await?;
    Ok(())
}

async fn whoami(claims: Claims) -> String {
    format!("{} ({})\n", claims.email, claims.sub)
}

async fn id(CurrentUserId(id): CurrentUserId) -> String {
    format!("{id}\n")
}

#[expect(clippy::disallowed_methods, reason = "an example has no settings.rs")]
fn secret() -> Result<String, &'static str> {
    std::env::var("BETTER_AUTH_SECRET")
        .map_err(|_| "set BETTER_AUTH_SECRET to the secret that Gatewright was started with")
}
