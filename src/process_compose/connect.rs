//! Opens the one byte stream a question or a state stream travels on: TCP, TLS over TCP, or a unix socket.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::error::{ClientError, Kind, clean};
use super::settings::{BaseUrl, Endpoint};

/// A connection of either sort.
pub(super) trait Pipe: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Pipe for T {}

/// Opens connections to one endpoint. The certificates of the system are read only where TLS is spoken, so that a
/// machine without any can still watch a plain server.
pub(super) struct Connector {
    endpoint: Endpoint,
    limit: Duration,
    tls: OnceCell<TlsConnector>,
}

impl Connector {
    pub(super) fn new(endpoint: Endpoint, limit: Duration) -> Self {
        Self {
            endpoint,
            limit,
            tls: OnceCell::new(),
        }
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A new connection.
    ///
    /// # Cancel safety
    /// Dropping the future closes whatever was half open.
    pub(super) async fn connect(&self) -> Result<Box<dyn Pipe>, ClientError> {
        match tokio::time::timeout(self.limit, self.open()).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::new(
                Kind::Timeout,
                &self.endpoint,
                format!(
                    "no connection within {}",
                    humantime::format_duration(self.limit)
                ),
            )),
        }
    }

    async fn open(&self) -> Result<Box<dyn Pipe>, ClientError> {
        match &self.endpoint {
            Endpoint::Tcp { host, port } => Ok(Box::new(self.tcp(host, *port).await?)),
            Endpoint::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(ClientError::from_connect(&self.endpoint, true, error)),
            },
            Endpoint::Url(url) => {
                let stream = self.tcp(url.host(), url.port()).await?;
                if !url.is_tls() {
                    return Ok(Box::new(stream));
                }
                self.wrap(url, stream).await
            }
        }
    }

    async fn tcp(&self, host: &str, port: u16) -> Result<TcpStream, ClientError> {
        let failed = |error| ClientError::from_connect(&self.endpoint, false, error);
        let stream = TcpStream::connect((host, port)).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }

    async fn wrap(&self, url: &BaseUrl, stream: TcpStream) -> Result<Box<dyn Pipe>, ClientError> {
        let failed = |error: &io::Error| {
            let found = format!("TLS failed: {}", clean(&error.to_string(), 200));
            ClientError::new(Kind::Unreachable, &self.endpoint, found)
        };
        let tls = self
            .tls
            .get_or_try_init(|| async { tls().map_err(|error| failed(&error)) })
            .await?;
        let name = ServerName::try_from(url.host().to_owned())
            .map_err(|error| failed(&io::Error::other(error)))?;
        Ok(Box::new(
            tls.connect(name, stream)
                .await
                .map_err(|error| failed(&error))?,
        ))
    }
}

fn tls() -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let (taken, _unusable) =
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if taken == 0 {
        return Err(io::Error::other(
            "this system has no CA certificates (SSL_CERT_FILE names a bundle)",
        ));
    }
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
