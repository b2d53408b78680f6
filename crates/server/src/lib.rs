//! Gatewright: a self-hosted account and token server.
//!
//! How to read this crate: [`http`] has the route table; a handler there turns a request into domain words and calls
//! one function of [`auth`], which holds the rules; [`store`] keeps what must be kept; [`hash`] computes password hashes
//! behind its door. [`app`] is the struct that carries the parts. [`cli`] calls the same functions as [`http`].

pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod error;
pub mod hash;
pub mod http;
pub mod random;
pub mod settings;
pub mod store;
