//! A client on real sockets.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use super::support::{PATIENCE, Server};
use crate::support::PASSWORD;

/// Somebody who opens a connection for each request.
#[derive(Clone)]
pub(super) struct Http {
    address: SocketAddr,
    token: Option<String>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    /// The body as JSON; null when it is none.
    pub(super) body: Value,
}

impl Http {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            token: None,
        }
    }

    pub(super) fn with_token(&self, token: &str) -> Self {
        Self {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    pub(super) fn token(&self) -> &str {
        self.token.as_deref().expect("a client with a token")
    }

    /// The same client of another instance.
    pub(super) fn at(&self, server: &Server) -> Self {
        Self {
            address: server.address,
            ..self.clone()
        }
    }

    pub(super) fn get(&self, path: &str) -> Reply {
        self.try_send("GET", path, None).expect("an answer")
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Reply {
        self.try_send("POST", path, Some(body)).expect("an answer")
    }

    pub(super) fn profile(&self) -> Reply {
        self.get("/api/auth/profile")
    }

    /// Signs `name`@example.com up and speaks as that user.
    pub(super) fn register(&self, name: &str) -> Self {
        let reply = self.post("/api/auth/register", &sign_up(name));
        assert_eq!(reply.status, 201, "{reply:?}");
        self.with_token(reply.access_token())
    }

    /// Signs `name`@example.com in with `password`.
    pub(super) fn login(&self, name: &str, password: &str) -> Reply {
        let email = format!("{name}@example.com");
        self.post(
            "/api/auth/login",
            &json!({"email": email, "password": password}),
        )
    }

    pub(super) fn logout(&self) -> Reply {
        self.try_send("POST", "/api/auth/logout", None)
            .expect("an answer")
    }

    /// # Errors
    /// Whatever the network says, such as that nobody listens any more.
    pub(super) fn try_send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> std::io::Result<Reply> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n",
            self.address
        );
        if let Some(token) = &self.token {
            request.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        let body = body.map(Value::to_string).unwrap_or_default();
        if !body.is_empty() {
            request.push_str("Content-Type: application/json\r\n");
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        exchange(self.address, request.as_bytes())
    }
}

impl Reply {
    /// A header's value; empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        let fields = self
            .head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'));
        let mut values = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        values.next().map_or("", |(_, value)| value.trim())
    }

    pub(super) fn access_token(&self) -> &str {
        self.body["access_token"].as_str().expect("a token")
    }

    /// Status and `detail`.
    pub(super) fn refusal(&self) -> (u16, &str) {
        (
            self.status,
            self.body["detail"].as_str().unwrap_or_default(),
        )
    }
}

/// Sends bytes as they are and reads one answer, until the server closes.
pub(super) fn exchange(address: SocketAddr, request: &[u8]) -> std::io::Result<Reply> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    read_reply(&mut stream)
}

/// Reads one answer, until the server closes.
pub(super) fn read_reply(stream: &mut TcpStream) -> std::io::Result<Reply> {
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok(Reply {
        status: status.ok_or(std::io::ErrorKind::InvalidData)?,
        head: head.to_owned(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    })
}

/// The body that signs `name`@example.com up.
pub(super) fn sign_up(name: &str) -> Value {
    json!({"email": format!("{name}@example.com"), "name": name, "password": PASSWORD})
}
