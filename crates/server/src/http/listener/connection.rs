//! One client's connection: hyper speaks HTTP, this decides how long it may wait and what it may be asked.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tower::Service;

use super::Deadlines;
use super::progress::Progress;

/// Largest request line and headers together, in bytes (SEC-68). Their number, 100, is hyper's own default.
const HEAD_BYTES: usize = 16 * 1024;

/// What every connection shares.
#[derive(Clone)]
pub(super) struct House {
    pub(super) router: Router,
    pub(super) deadlines: Deadlines,
    /// True once the stop has begun.
    pub(super) closing: Arc<AtomicBool>,
    /// Its sender is dropped when connections without a request must end.
    pub(super) leave: watch::Receiver<()>,
}

/// Serves one connection, from its accept to its end.
pub(super) async fn attend(stream: TcpStream, address: SocketAddr, house: House) {
    // Answers are written whole, so Nagle's algorithm could only delay them; a failure costs speed alone.
    let _ = stream.set_nodelay(true);
    let deadlines = house.deadlines;
    let mut leave = house.leave.clone();
    let visit = Arc::new(Visit {
        house,
        address,
        progress: Mutex::new(Progress::new()),
    });
    let observed = Observed {
        stream,
        visit: Arc::clone(&visit),
    };
    let visit_of_requests = Arc::clone(&visit);
    let service = service_fn(move |request| answer(Arc::clone(&visit_of_requests), request));
    let mut connection = protocol().serve_connection(TokioIo::new(observed), service);

    let mut leave = pin!(leave.changed());
    let mut leaving = false;
    let mut alarm = pin!(tokio::time::sleep(deadlines.header));
    let ended_by_itself = poll_fn(|context| {
        if Pin::new(&mut connection).poll(context).is_ready() {
            return Poll::Ready(true);
        }
        leaving = leaving || leave.as_mut().poll(context).is_ready();
        let progress = *visit.progress();
        if leaving && progress.awaits_request() {
            return Poll::Ready(false);
        }
        let Some(deadline) = progress.deadline(&deadlines) else {
            return Poll::Pending;
        };
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        alarm.as_mut().poll(context).map(|()| false)
    })
    .await;

    if ended_by_itself {
        // Taking the stream out drops the rest, and with it the handler of a client that has hung up.
        let Observed { stream, .. } = connection.into_parts().io.into_inner();
        linger(stream, deadlines.linger).await;
    }
}

fn protocol() -> http1::Builder {
    let mut protocol = http1::Builder::new();
    protocol
        .max_header_size(HEAD_BYTES)
        .max_buf_size(HEAD_BYTES)
        // hyper's timer does not tell an idle connection from a head half sent; `Progress` does.
        .header_read_timeout(None);
    protocol
}

/// Ends our side and throws away what the client still sends until it closes, so that no reset overtakes the last answer.
async fn linger(mut stream: TcpStream, at_most: Duration) {
    let discard_all = async {
        // hyper has done this already, unless the client asked for an upgrade. A failure shows again when reading.
        let _ = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
        while stream.readable().await.is_ok() {
            // A buffer for each read alone: most connections that linger are silent and hold none.
            match stream.try_read(&mut vec![0; HEAD_BYTES]) {
                Ok(1..) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return,
            }
        }
    };
    // Whether the client closed or the time ran out, the connection ends here.
    let _ = tokio::time::timeout(at_most, discard_all).await;
}

/// Hands one request to the router, unless its framing is in doubt.
async fn answer(
    visit: Arc<Visit>,
    mut request: Request<Incoming>,
) -> Result<Response<impl HttpBody<Data = Bytes, Error = axum::Error> + Send>, Infallible> {
    let exchange = Exchange::begin(Arc::clone(&visit));
    let hidden_length = visit.progress().hides_length(request.headers());
    let sound = !hidden_length && is_sound(request.version(), request.headers());
    let mut response = if sound {
        request.extensions_mut().insert(ConnectInfo(visit.address));
        visit.house.router.clone().call(request).await?
    } else {
        let mut refusal = Response::new(Body::empty());
        *refusal.status_mut() = StatusCode::BAD_REQUEST;
        refusal
    };
    if !sound || visit.house.closing.load(Ordering::Relaxed) {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|body| {
        body.map_err(move |error| {
            // Captured, the exchange lasts as long as the body.
            let _: &Exchange = &exchange;
            error
        })
    }))
}

/// Whether every reader agrees where the request ends and whom it is for (SEC-74; RFC 9112 §§3.2, 6.1).
///
/// hyper has already refused lengths that differ or are no number, encodings that do not end in `chunked`, and any
/// encoding in HTTP/1.0.
fn is_sound(version: Version, headers: &HeaderMap) -> bool {
    let mut encodings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let chunked_at_most = match (encodings.next(), encodings.next()) {
        (None, _) => true,
        (Some(encoding), None) => encoding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    let hosts = headers.get_all(header::HOST).iter().count();
    chunked_at_most && (hosts == 1 || (hosts == 0 && version == Version::HTTP_10))
}

/// What the requests, the stream and the deadlines of one connection share.
struct Visit {
    house: House,
    address: SocketAddr,
    /// Locked by the connection's own task alone, a few instructions at a time.
    progress: Mutex<Progress>,
}

impl Visit {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request being answered; over when dropped.
struct Exchange {
    visit: Arc<Visit>,
}

impl Exchange {
    fn begin(visit: Arc<Visit>) -> Self {
        visit.progress().exchange_begins();
        Self { visit }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.visit.progress().exchange_ends();
    }
}

/// The stream, noting what passes.
struct Observed {
    stream: TcpStream,
    visit: Arc<Visit>,
}

impl AsyncRead for Observed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.visit.progress().received(&buffer.filled()[before..]);
        result
    }
}

impl AsyncWrite for Observed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.visit.progress().sent(result.is_ready());
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.visit.progress().sent(result.is_ready());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
