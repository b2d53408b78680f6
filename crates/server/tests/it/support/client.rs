//! Clients: values that send requests into the router and read the answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Request};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// Somebody who sends requests.
#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    address: IpAddr,
    pub(crate) token: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    /// The body as JSON; null when it is none.
    pub(crate) body: Value,
}

impl Answer {
    /// A header's value; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("a text header"))
    }

    /// Status, `detail` and `code`: what most refusals are compared by.
    pub(crate) fn refusal(&self) -> (u16, &str, &str) {
        let text = |name: &str| self.body[name].as_str().unwrap_or_default();
        (self.status, text("detail"), text("code"))
    }
}

impl Client {
    pub(super) fn new(router: Router) -> Self {
        Self {
            router,
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            token: None,
        }
    }

    /// The same client with a token.
    pub(crate) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// The same client at another address.
    pub(crate) fn at(&self, address: &str) -> Self {
        Self {
            address: address.parse().expect("an address"),
            ..self.clone()
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(
            self.request("GET", path)
                .body(Body::empty())
                .expect("a request"),
        )
        .await
    }

    /// Sends a JSON body with its content type.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.with_body("POST", path, body.to_string()).await
    }

    /// Sends a JSON body with its content type.
    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.with_body("PUT", path, body.to_string()).await
    }

    /// Sends bytes as `application/json`, whatever they are.
    pub(crate) async fn with_body(
        &self,
        method: &str,
        path: &str,
        body: impl Into<Body>,
    ) -> Answer {
        let request = self
            .request(method, path)
            .header(CONTENT_TYPE, "application/json");
        self.send(request.body(body.into()).expect("a request"))
            .await
    }

    /// A request with this client's token, to be finished and sent by hand.
    pub(crate) fn request(&self, method: &str, path: &str) -> axum::http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, format!("Bearer {token}")),
            None => request,
        }
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::new(self.address, 40_000)));
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text,
            body,
        }
    }
}
