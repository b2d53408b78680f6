//! The limits that `bench/run` prints beside its results: what this machine does without most of Gatewright.
//!
//! `limits hash COUNT` computes single bcrypt hashes of cost 12 and prints the seconds that each took, then one hash.
//! `limits serve ADDRESS` serves one route on Gatewright's listener that checks the token, with the secret of
//! standard input, and answers as long a body as the profile's, but asks no database and has no layer around it.
#![expect(clippy::print_stdout, reason = "the program's output is its purpose")]

use std::error::Error;
use std::io::read_to_string;
use std::sync::Arc;
use std::time::Instant;

use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use gatewright::http::{Deadlines, serve};
use gatewright_verify::{Claims, Key, Verifier};
use tokio::net::TcpListener;

/// The cost that the contract sets (SPEC, Hash).
const COST: u32 = 12;
const PASSWORD: &str = "correct-horse-9";
/// As long as an answer of `GET /api/auth/profile`.
const BODY: &str = r#"{"id":"0197e2c4-8d0c-7e3a-9b52-3f6d1c0a7e11","email":"bench-00000@example.com","name":"Bench","created_at":"2026-11-20T10:42:00.000Z","updated_at":"2026-11-20T10:42:00.000Z","is_active":true}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["hash", count] => hash(count.parse()?),
        ["serve", address] => serve_bare(address),
        _ => Err("usage: limits hash COUNT | limits serve ADDRESS".into()),
    }
}

fn hash(count: usize) -> Result<(), Box<dyn Error>> {
    for _ in 0..count {
        let started = Instant::now();
        bcrypt::hash_with_salt(PASSWORD, COST, [7; 16])?;
        println!("{:.6}", started.elapsed().as_secs_f64());
    }
    println!("{}", bcrypt::hash(PASSWORD, COST)?);
    Ok(())
}

#[tokio::main]
async fn serve_bare(address: &str) -> Result<(), Box<dyn Error>> {
    let secret = read_to_string(std::io::stdin())?;
    let key = Key::hs256(None, secret.trim_end().as_bytes())?;
    let verifier = Arc::new(Verifier::new([key])?);
    let router = axum::Router::new()
        .route("/bare", get(bare))
        .with_state(verifier);
    let listener = TcpListener::bind(address).await?;
    serve(
        listener,
        router,
        Deadlines::default(),
        std::future::pending(),
    )
    .await;
    Ok(())
}

async fn bare(_: Claims) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], BODY)
}
