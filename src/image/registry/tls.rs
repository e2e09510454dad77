//! Whom a TLS server must be vouched for by. The host's authorities are read once, before the process locks itself in.

use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::image::request::Certificates;

/// Configured authorities that are none.
#[derive(Debug, thiserror::Error)]
#[error("not a PEM file with certificates")]
pub(crate) struct PemError(#[source] Option<ureq::Error>);

/// The authorities of this host; Mozilla's where it has none.
pub(super) struct Authorities(Vec<Certificate<'static>>);

impl Authorities {
    pub(super) fn load() -> Self {
        let found = rustls_native_certs::load_native_certs().certs;
        Self(found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect())
    }

    /// What an endpoint's own host must show.
    pub(super) fn own(&self, certificates: &Certificates) -> Result<TlsConfig, PemError> {
        match certificates {
            Certificates::System | Certificates::Also(_) => self.others(certificates),
            Certificates::Anybody => Ok(TlsConfig::builder().disable_verification(true).build()),
        }
    }

    /// What every other host must show that the endpoint leads to: authorities added for a registry count for its token
    /// server and its object store too, the lack of any does not.
    pub(super) fn others(&self, certificates: &Certificates) -> Result<TlsConfig, PemError> {
        let mut all = self.0.clone();
        if let Certificates::Also(pems) = certificates {
            for pem in pems {
                all.extend(parsed(pem)?);
            }
        }
        let roots = if all.is_empty() { RootCerts::WebPki } else { RootCerts::Specific(Arc::new(all)) };
        Ok(TlsConfig::builder().root_certs(roots).build())
    }
}

fn parsed(pem: &str) -> Result<Vec<Certificate<'static>>, PemError> {
    let mut certificates = Vec::new();
    for item in parse_pem(pem.as_bytes()) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| PemError(Some(error)))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() { Err(PemError(None)) } else { Ok(certificates) }
}
