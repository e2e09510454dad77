//! TLS for the TCP addresses: rustls, with a certificate and a key in PEM files.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::ops::TlsFiles;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file has no certificate, or no key, in it.
    #[error("read {what} from {path}")]
    File {
        /// What was looked for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What was found.
        source: rustls::pki_types::pem::Error,
    },
    /// They do not belong together, or the key is of an unknown kind.
    #[error("use the certificate {certificate} with the key {key}")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's.
        key: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
}

/// What makes connections into TLS connections; HTTP/2 is offered.
pub(super) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let fail = |what: &'static str, path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::File { what, path, source }
    };
    let of_certificate = || fail("a certificate", &files.certificate);
    let chain = CertificateDer::pem_file_iter(&files.certificate).map_err(of_certificate())?;
    let chain: Vec<CertificateDer> = chain.collect::<Result<_, _>>().map_err(of_certificate())?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(fail("a private key", &files.key))?;
    let unusable =
        |source| TlsError::Unusable { certificate: files.certificate.clone(), key: files.key.clone(), source };
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
