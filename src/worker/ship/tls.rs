//! TLS to a syslog or fluentd server: whom we trust, and who we are.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};

use crate::logging::SyslogTls;

/// A stream under TLS.
pub(super) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// How it is set up; the files are read at each connection, since they are renewed.
#[derive(Debug, Clone, Default)]
pub(super) struct Tls(SyslogTls);

impl Tls {
    pub(super) fn new(files: SyslogTls) -> Self {
        Self(files)
    }

    /// Shakes hands.
    pub(super) fn connect(&self, host: &str, mut stream: TcpStream) -> io::Result<TlsStream> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(Arc::new(self.config()?), name).map_err(io::Error::other)?;
        connection.complete_io(&mut stream)?;
        Ok(StreamOwned::new(connection, stream))
    }

    fn config(&self) -> io::Result<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let builder = if self.0.trusts_anybody {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        } else {
            builder.with_root_certificates(self.authorities()?)
        };
        match (&self.0.certificate, &self.0.key) {
            (Some(certificate), Some(key)) => {
                let own = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, error))?;
                builder.with_client_auth_cert(certificates(certificate)?, own).map_err(io::Error::other)
            }
            _ => Ok(builder.with_no_client_auth()),
        }
    }

    fn authorities(&self) -> io::Result<RootCertStore> {
        let all = match &self.0.authority {
            Some(path) => certificates(path)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(all);
        if store.is_empty() { Err(io::Error::other("no certificate authority is known")) } else { Ok(store) }
    }
}

fn certificates(path: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_file_iter(path).map_err(|error| file(path, error))?;
    all.collect::<Result<_, _>>().map_err(|error| file(path, error))
}

fn file(path: &str, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{path}: {error}"))
}

/// Trusts every certificate (`syslog-tls-skip-verify`); the handshake's signatures are checked all the same.
#[derive(Debug)]
struct Anybody(Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
