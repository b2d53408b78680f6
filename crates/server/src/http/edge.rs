//! The outermost layer: who is asking, one log line, the same headers on every answer, and every error in one shape.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::header::{
    ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::future::Either;
use ipnet::IpNet;
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use super::error::{Refusal, render};
use crate::auth::{Caller, client_address};
use crate::error::Error;
use crate::random::Random;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// SPEC §1, limits of the door.
const LONGEST_URI: usize = 8 * 1024;

/// What the layer needs to know.
#[derive(Clone)]
pub struct Edge(Arc<Inner>);

struct Inner {
    trusted_proxies: Vec<IpNet>,
    /// Tells this process's request ids from those of its other instances and of its former lives.
    prefix: u32,
    requests: AtomicU64,
}

impl Edge {
    /// A layer that believes `X-Forwarded-For` from `trusted_proxies`.
    #[must_use]
    pub fn new(trusted_proxies: Vec<IpNet>, random: &Random) -> Self {
        let prefix = u32::from_be_bytes(random.bytes());
        Self(Arc::new(Inner {
            trusted_proxies,
            prefix,
            requests: AtomicU64::new(0),
        }))
    }

    fn caller(&self, request: &Request) -> Caller {
        let number = self.0.requests.fetch_add(1, Ordering::Relaxed);
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |ConnectInfo(socket)| {
            socket.ip()
        });
        let forwarded = request.headers().get_all(X_FORWARDED_FOR);
        let lines: Vec<_> = forwarded.iter().map(HeaderValue::as_bytes).collect();
        Caller {
            address: client_address(peer, lines.into_iter(), &self.0.trusted_proxies),
            request_id: format!("{:08x}-{number:x}", self.0.prefix).into(),
        }
    }
}

impl<S> Layer<S> for Edge {
    type Service = Guarded<S>;

    fn layer(&self, service: S) -> Guarded<S> {
        Guarded {
            edge: self.clone(),
            service,
        }
    }
}

/// The service inside the layer. A type of its own, not `from_fn`: that costs a request two more allocations.
#[derive(Clone)]
pub struct Guarded<S> {
    edge: Edge,
    service: S,
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let started = Instant::now();
        let caller = self.edge.caller(&request);
        let line = Line {
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
            caller: caller.clone(),
            started,
        };
        let wants_problem = accepts_problem(request.headers());
        let target = request.uri().path_and_query();
        let too_long = target.is_some_and(|target| target.as_str().len() > LONGEST_URI);
        let response = if too_long {
            Either::Left(ready(Ok(Error::UriTooLong.into_response())))
        } else {
            request.extensions_mut().insert(caller);
            Either::Right(self.service.call(request))
        };
        Answer {
            response,
            line,
            wants_problem,
        }
    }
}

pin_project! {
    /// The answer of the service inside, on its way out.
    pub struct Answer<F> {
        #[pin]
        response: Either<Ready<Result<Response, Infallible>>, F>,
        line: Line,
        wants_problem: bool,
    }
}

impl<F> Future for Answer<F>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = self.project();
        let poll = AssertUnwindSafe(|| answer.response.poll(context));
        let response = match catch_unwind(poll) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(response))) => response,
            Err(panic) => Error::Internal(panic_text(panic.as_ref()).into()).into_response(),
        };
        Poll::Ready(Ok(finish(response, answer.line, *answer.wants_problem)))
    }
}

fn finish(mut response: Response, line: &Line, wants_problem: bool) -> Response {
    let refusal = response.extensions_mut().remove::<Refusal>();
    let error = refusal.as_ref().map(|Refusal(error)| error.as_ref());
    if let Some(error) = error {
        response = render(error, response.headers().clone(), wants_problem);
    }
    let headers = response.headers_mut();
    headers.reserve(5);
    if let Ok(id) = HeaderValue::from_str(&line.caller.request_id) {
        headers.insert(X_REQUEST_ID, id);
    }
    // SEC-71. The documentation page brings a policy of its own.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    line.write(response.status(), error);
    response
}

/// What the log says about a request. Never a path as it was sent, a header or a body: only what we know by name.
struct Line {
    method: Method,
    route: Option<MatchedPath>,
    caller: Caller,
    started: Instant,
}

impl Line {
    fn write(&self, status: StatusCode, error: Option<&Error>) {
        let status = status.as_u16();
        let method = match self.method {
            Method::GET
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::HEAD
            | Method::OPTIONS
            | Method::PATCH => self.method.as_str(),
            _ => "other",
        };
        let route = self.route.as_ref().map_or("unknown", MatchedPath::as_str);
        let client = self.caller.address;
        let request_id = self.caller.request_id.as_ref();
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let code = error.map(Error::code);
        let cause = error.and_then(Error::cause);
        let cause = cause.as_deref();
        match error {
            Some(Error::Internal(_)) => {
                tracing::error!(target: "http", method, route, status, micros, %client, request_id, code, cause, "request");
            }
            Some(Error::DatabaseUnavailable(_)) => {
                tracing::warn!(target: "http", method, route, status, micros, %client, request_id, code, cause, "request");
            }
            _ => {
                tracing::info!(target: "http", method, route, status, micros, %client, request_id, code, cause, "request");
            }
        }
    }
}

fn accepts_problem(headers: &HeaderMap) -> bool {
    let lines = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("application/problem+json"));
        is_named && !parts.any(is_weight_zero)
    })
}

/// RFC 9110 §12.4.2: a weight of 0 means "not acceptable".
fn is_weight_zero(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, value)| {
        name.trim().eq_ignore_ascii_case("q") && value.trim().parse() == Ok(0.0_f32)
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_else(|| "without a text".into()))
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;

    fn service() -> Router {
        let edge = Edge::new(Vec::new(), &Random::seeded(1));
        Router::new()
            .route("/well", get(async || "well"))
            .route("/panics", get(panics))
            .layer(edge)
    }

    async fn panics() -> &'static str {
        panic!("the secret of this test")
    }

    // REL-27, SEC-69
    #[tokio::test]
    async fn a_panic_becomes_a_500_and_the_next_request_is_served() {
        let service = service();
        let get = |path: &str| {
            let request = Request::builder().uri(path).body(Body::empty());
            service.clone().oneshot(request.expect("a request"))
        };
        let answer = get("/panics").await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answer.headers().contains_key(X_REQUEST_ID));
        let body = answer.into_body().collect().await.expect("a body");
        let text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        assert!(text.contains(r#""code":"internal_error""#), "{text}");
        assert!(!text.contains("the secret"), "{text}");
        let answer = get("/well").await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
}
