//! The real program: its settings, commands, signals and logs, and what outlives it.

mod clients;
mod commands;
mod database;
mod dev;
mod durability;
mod http;
mod instances;
mod listener;
mod log;
mod settings;
mod stopping;
mod support;
mod terminal;
mod tls;
mod user;
