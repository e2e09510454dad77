//! Certificates, against `openssl s_server` with an authority made for the test.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;

/// A TLS server of files; killed when it is dropped.
struct OpenSsl(Child);

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

fn openssl(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.current_dir(dir).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// An authority (`ca.pem`) and a certificate from it for 127.0.0.1.
fn make_certificates(dir: &Path) {
    let run = |arguments: &[&str]| assert!(openssl(dir, arguments).status().unwrap().success(), "{arguments:?}");
    let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    run(&[&new[..], &["-x509", "-subj", "/CN=authority", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"]].concat());
    run(&[&new[..], &["-subj", "/CN=server", "-keyout", "key.pem", "-out", "server.csr"]].concat());
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1").unwrap();
    let sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"];
    run(&[&sign[..], &["-days", "2", "-extfile", "names", "-out", "cert.pem"]].concat());
}

/// Serves the manifest by TLS on a free port.
fn serve(dir: &Path) -> (OpenSsl, String) {
    let place = dir.join("v2/a/b/manifests");
    std::fs::create_dir_all(&place).unwrap();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {OCI_MANIFEST}\r\nConnection: close\r\n\r\n");
    std::fs::write(place.join("1"), [head.as_bytes(), &manifest()].concat()).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let address = port.to_string();
    let serve = ["s_server", "-accept", &address, "-cert", "cert.pem", "-key", "key.pem", "-HTTP"];
    let server = OpenSsl(openssl(dir, &serve).spawn().unwrap());
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::net::TcpStream::connect(port).is_err() {
        assert!(Instant::now() < deadline, "openssl s_server does not listen");
        std::thread::sleep(Duration::from_millis(10));
    }
    (server, format!("https://{address}"))
}

#[test]
fn a_certificate_counts_if_its_authority_was_named_or_none_is_asked_for() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("not run: there is no openssl here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    make_certificates(dir.path());
    let (_server, url) = serve(dir.path());
    let pulled = |certificates| Client::of(&request(vec![Endpoint { certificates, ..endpoint(&url) }])).manifest();
    let authority = std::fs::read_to_string(dir.path().join("ca.pem")).unwrap();
    fails(pulled(Certificates::System), RESOLVE, "invalid peer certificate");
    assert_eq!(pulled(Certificates::Also(vec![authority])).unwrap().bytes, manifest());
    assert_eq!(pulled(Certificates::Anybody).unwrap().bytes, manifest());
    let none = request(vec![Endpoint { certificates: Certificates::Also(vec!["x".into()]), ..endpoint(&url) }]);
    fails(Repository::new(&none, |_| ()).map(drop), RESOLVE, "not a PEM file with certificates");
}
