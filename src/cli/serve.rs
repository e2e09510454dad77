//! `berth serve`: options to what the endpoint understands. The endpoint itself is handed in: neither imports the other.

use super::args::{Serve, Where};
use super::error::Failure;
use crate::ops::{Authentication, Place, RequestLog, ServeOptions, TlsFiles};

/// What serves.
pub type Endpoint = fn(&ServeOptions) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;

pub(super) fn serve(root: Option<&std::path::Path>, args: Serve, endpoint: Endpoint) -> Result<(), Failure> {
    endpoint(&options(root, args)?).map_err(Failure::Failed)
}

fn options(root: Option<&std::path::Path>, args: Serve) -> Result<ServeOptions, Failure> {
    let is_off = args.listen.contains(&Where::Off);
    let addresses: Vec<_> = args.listen.into_iter().filter_map(there).collect();
    if is_off && !addresses.is_empty() {
        return Err(Failure::Usage("--listen off leaves no address to listen on".to_owned()));
    }
    let listen = match (is_off, addresses.is_empty()) {
        (true, _) => Place::Off,
        (false, true) => Place::Default,
        (false, false) => Place::At(addresses),
    };
    Ok(ServeOptions {
        root: root.map(ToOwned::to_owned),
        listen,
        socket: match args.socket {
            None => Place::Default,
            Some(Where::Off) => Place::Off,
            Some(Where::At(path)) => Place::At(path),
        },
        tls: args.tls_cert.zip(args.tls_key).map(|(certificate, key)| TlsFiles { certificate, key }),
        authentication: if args.insecure_no_auth { Authentication::Nobody } else { Authentication::Signatures },
        rate: Some(args.rate),
        log: if args.no_request_log { RequestLog::Off } else { RequestLog::Lines },
    })
}

fn there<T>(place: Where<T>) -> Option<T> {
    match place {
        Where::Off => None,
        Where::At(there) => Some(there),
    }
}
