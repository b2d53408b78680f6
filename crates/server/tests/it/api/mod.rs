//! The API, one file for each endpoint family, by the URL.

mod register;
