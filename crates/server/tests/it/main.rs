//! The one integration binary: every test of the API and the store runs on SQLite and on PostgreSQL.

#[macro_use]
mod support;
mod api;
mod documents;
mod house;
mod model;
mod process;
mod store;
