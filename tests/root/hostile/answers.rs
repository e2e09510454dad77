//! Registries whose answers are wrong: status, redirects, challenges, lengths, bytes that come or do not come.

use std::sync::Arc;

use super::Behaviour;
use super::served::{Image, MANIFEST, Script};
use crate::support::scripted::{Reply, Request};

pub(super) fn behaviours(other: &str) -> Vec<Behaviour> {
    let mut all = statuses();
    all.extend(challenges(other));
    all.extend(redirects(other));
    all.extend(manifests());
    all.extend(blobs(other));
    all
}

/// The image is there, and the registry answers requests for manifests otherwise.
fn manifest(
    name: &'static str,
    says: &'static str,
    answer: impl Fn(Reply) -> Reply + Send + Sync + 'static,
) -> Behaviour {
    let script =
        Image::small().except(move |request, reply| if request.asks("/manifests/") { answer(reply) } else { reply });
    Behaviour::new(name, script, Image::small().served(), says)
}

/// The same for blobs.
fn blob(
    name: &'static str,
    says: &'static str,
    answer: impl Fn(&Request, Reply) -> Reply + Send + Sync + 'static,
) -> Behaviour {
    let script = Image::small().except(
        move |request, reply| {
            if request.asks("/blobs/") { answer(request, reply) } else { reply }
        },
    );
    Behaviour::new(name, script, Image::small().served(), says)
}

fn everything(
    name: &'static str,
    says: &'static str,
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> Behaviour {
    let script: Script = Arc::new(answer);
    Behaviour::new(name, script, Image::small().served(), says)
}

fn statuses() -> Vec<Behaviour> {
    vec![
        everything("hangs up", "failed to", |_| Reply::ok("x").cut_after(0)),
        everything("500", "500", |_| Reply::status(500)),
        everything("503 and wait a second", "503", |_| Reply::status(503).header("Retry-After", "1")),
        everything("429 and wait for nothing", "429", |_| Reply::status(429).header("Retry-After", "0")),
        everything("429 and wait until when", "429", |_| Reply::status(429).header("Retry-After", "tomorrow\t")),
        everything("403", "403", |_| Reply::error(403, "DENIED", "requested access to the resource is denied")),
        everything("404", "not found", |_| Reply::error(404, "MANIFEST_UNKNOWN", "manifest unknown")),
        everything("204", "", |_| Reply::status(204)),
        everything("206 for everything", "", |_| Reply::status(206)),
        everything("999", "", |_| Reply::status(999)),
        everything("an error of a gibibyte", "500", |_| Reply::status(500).zeros(1 << 30).chunked()),
        everything("an error full of control characters", "400", |_| {
            Reply::error(400, "\u{1b}[2J", "\u{1b}]0;x\u{7}\r\n")
        }),
    ]
}

fn challenges(other: &str) -> Vec<Behaviour> {
    let realm = |name: &'static str, says: &'static str, realm: String| {
        let challenge = format!("Bearer realm=\"{realm}\",service=\"x\",scope=\"repository:web:pull\"");
        everything(name, says, move |_| Reply::challenge(&challenge)).with_credentials()
    };
    let token = |name: &'static str, answer: fn() -> Reply| {
        everything(name, "", move |request| {
            let host = request.header("host").unwrap_or_default();
            let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"x\"");
            if request.asks("/token") { answer() } else { Reply::challenge(&challenge) }
        })
        .with_credentials()
    };
    vec![
        everything("401 without a challenge", "401", |_| Reply::status(401)),
        everything("401 for nobody", "", |_| Reply::challenge("Basic realm=\"x\"")),
        everything("401 whoever comes", "", |_| Reply::challenge("Basic realm=\"x\"")).with_credentials(),
        everything("401 in an unknown scheme", "", |_| Reply::challenge("Negotiate abc")).with_credentials(),
        everything("a challenge that is none", "", |_| Reply::challenge("Bearer realm=\"")).with_credentials(),
        everything("a challenge of 20 KiB", "", |_| {
            Reply::challenge(&format!("Bearer {}", "realm=\"x\",".repeat(2000)))
        })
        .with_credentials(),
        token("a token that is never enough", || Reply::ok(r#"{"token":"t"}"#)),
        token("401 for a token", || Reply::challenge("Basic realm=\"x\"")),
        token("a token that is no JSON", || Reply::ok("<html>")),
        token("no token in the answer", || Reply::ok("{}")),
        token("a token with a newline", || Reply::ok(r#"{"token":"a\r\nX-Evil: 1"}"#)),
        token("a token of a gibibyte", || Reply::ok(r#"{"token":""#).zeros(1 << 30)),
        token("a token without end", || Reply::ok("{").zeros(1 << 40).chunked()),
        realm("tokens from the metadata address", "", "http://169.254.169.254/latest/meta-data/".into()),
        realm("tokens from another server here", "", format!("{other}/token")),
        realm("tokens from a file", "", "file:///etc/shadow".into()),
        realm("tokens from nowhere", "", "http:///".into()),
    ]
}

fn redirects(other: &str) -> Vec<Behaviour> {
    let to = |name: &'static str, location: String| {
        manifest(name, "", move |_| Reply::redirect(307, &location)).with_credentials()
    };
    vec![
        to("the manifest at the metadata address", "http://169.254.169.254/latest/meta-data/iam".into()),
        to("the manifest at the metadata address in IPv6", "http://[fd00:ec2::254]/latest".into()),
        to("the manifest at an address in disguise", "http://[::ffff:169.254.169.254]/".into()),
        to("the manifest on another server here", format!("{other}/v2/web/manifests/1")),
        to("the manifest in a file", "file:///etc/shadow".into()),
        to("the manifest at a socket", "unix:///var/run/docker.sock".into()),
        to("the manifest where it is", "/v2/web/manifests/1".into()),
        to("the manifest at no address", "http://".into()),
        to("the manifest at a long address", format!("/{}", "x".repeat(20_000))),
        manifest("a redirect to nowhere", "", |_| Reply::status(302)),
    ]
}

fn manifests() -> Vec<Behaviour> {
    vec![
        manifest("the manifest is cut off", "", |reply| reply.cut_after(100)),
        manifest("the manifest is shorter than it says", "", |reply| reply.saying(9000).cut_after(9000)),
        manifest("a manifest of 5 MiB", "larger than 4194304", |reply| reply.zeros(5 << 20)),
        manifest("a manifest without end", "larger than 4194304", |reply| reply.zeros(1 << 40).chunked()),
        manifest("a manifest of 2^64 bytes", "", |reply| reply.saying(u64::MAX)),
        manifest("a manifest until the connection ends", "larger than 4194304", |reply| {
            reply.zeros(1 << 30).until_close()
        }),
        manifest("a header of a mebibyte", "", |reply| reply.header("X-Long", &"x".repeat(1 << 20))),
        manifest("two thousand headers", "", |reply| {
            (0..2_000).fold(reply, |reply, at| reply.header(&format!("X-{at}"), "x"))
        }),
        manifest("another digest than it has", "", |reply| {
            reply.header("Docker-Content-Digest", &format!("sha256:{}", "0".repeat(64)))
        }),
        manifest("a digest that is none", "", |reply| {
            reply.header("Docker-Content-Digest", "sha256:../../../../etc/passwd")
        }),
        manifest("an encoding that nobody asked for", "", |reply| reply.header("Content-Encoding", "br")),
        manifest("an image of Docker's schema 1", "schema 1", |reply| {
            let old = r#"{"schemaVersion":1,"name":"web","tag":"1","fsLayers":[],"history":[]}"#;
            reply
                .with(old)
                .header("Content-Type", "application/vnd.docker.distribution.manifest.v1+json")
                .header("Docker-Content-Digest", &super::served::sha(old.as_bytes()))
        }),
        manifest("a web page", "", |_| Reply::ok("<html>").header("Content-Type", MANIFEST)),
        manifest("nothing", "", |_| Reply::ok("").header("Content-Type", MANIFEST)),
        manifest("a text", "", |_| Reply::ok("\"text\"").header("Content-Type", MANIFEST)),
        manifest("a hundred thousand brackets", "", |_| {
            Reply::ok("[".repeat(100_000)).header("Content-Type", MANIFEST)
        }),
    ]
}

fn blobs(other: &str) -> Vec<Behaviour> {
    let other = format!("{other}/blob");
    vec![
        blob("blobs that do not exist", "", |_, _| Reply::error(404, "BLOB_UNKNOWN", "blob unknown")),
        blob("blobs that nobody may have", "", |_, _| Reply::error(403, "DENIED", "denied")),
        blob("blobs at the metadata address", "", |_, _| Reply::redirect(307, "http://169.254.169.254/"))
            .with_credentials(),
        blob("blobs on another server here", "", move |_, _| Reply::redirect(307, &other)).with_credentials(),
        blob("blobs with a byte too many", "", |_, reply| reply.zeros(1)),
        blob("blobs without end", "", |_, reply| reply.zeros(1 << 40).chunked()),
        blob("blobs without bytes", "", |_, _| Reply::ok("")),
        blob("blobs that end after a byte", "", |_, reply| reply.cut_after(1)),
        blob("blobs of the other range", "", |request, reply| match request.header("range") {
            Some(_) => Reply::status(206).with("x").header("Content-Range", "bytes 0-0/1"),
            None => reply.cut_after(700),
        }),
        blob("another blob than was asked for", "", |_, _| Reply::ok(vec![b'x'; 2048])),
    ]
}
