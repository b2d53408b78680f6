//! TLS to PostgreSQL: the server's certificate and name are always checked (SEC-82).

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Why no pool could be made from the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The URL is not one of PostgreSQL.
    #[error("DATABASE_URL: not a PostgreSQL URL")]
    Url,
    /// The certificate file cannot be used.
    #[error("DATABASE_URL: sslrootcert {0}: {1}")]
    Certificate(String, String),
}

/// Connects with the public authorities, or those of a PEM file.
pub(super) fn connector(certificate: Option<&Path>) -> Result<MakeRustlsConnect, ConfigError> {
    let mut roots = RootCertStore::empty();
    match certificate {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let failed = |cause: &dyn std::fmt::Display| {
                ConfigError::Certificate(path.display().to_string(), cause.to_string())
            };
            for found in CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))? {
                let found = found.map_err(|error| failed(&error))?;
                roots.add(found).map_err(|error| failed(&error))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ConfigError::Certificate(String::new(), error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}
