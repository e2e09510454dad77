//! Registries that serve what they say, but what they serve is a lie, a trap or too much: indexes, manifests,
//! configurations and layers.

use std::path::Path;

use serde_json::{Value, json};

use super::Behaviour;
use super::served::{INDEX, Image, MANIFEST, architecture, config, descriptor, entry, file, gzip, layer, serve, sha};
use crate::support::scripted::Contents;

pub(super) fn behaviours(canary: &Path, other: &str) -> Vec<Behaviour> {
    let mut all = documents();
    all.extend(manifests(other));
    all.extend(indexes());
    all.extend(configurations());
    all.extend(layers(canary));
    all
}

fn case(name: &'static str, says: &'static str, hostile: Contents) -> Behaviour {
    Behaviour::new(name, serve(hostile), Image::small().served(), says)
}

/// The small image with its manifest's JSON written otherwise.
fn written(name: &'static str, write: impl Fn(&str) -> String) -> Behaviour {
    let image = Image::small();
    let text = write(&image.manifest.to_string());
    case(name, "", image.behind(MANIFEST, text.as_bytes()))
}

fn documents() -> Vec<Behaviour> {
    vec![
        written("layers twice", |text| text.replacen('{', r#"{"layers":[],"#, 1)),
        written("a configuration twice", |text| text.replacen('{', r#"{"config":null,"#, 1)),
        written("a manifest and a text behind it", |text| format!("{text} {{}}")),
        written("a manifest that is cut off", |text| text[..text.len() / 2].to_owned()),
        written("a manifest with a NUL", |text| text.replace("sha256:", "sha256:\0")),
        written("a digest with an escaped NUL", |text| text.replace("sha256:", "sha256:\\u0000")),
        written("a negative size", |text| text.replace("\"size\":", "\"size\":-")),
        written("a size with a fraction", |text| text.replace("\"size\":", "\"size\":0.5e")),
        written("numbers instead of digests", |text| text.replace("\"sha256:", "0.\"")),
        written("a digest that leads elsewhere", |text| text.replace("sha256:", "sha256:../../../")),
        written("digests in capitals", |text| text.replace("sha256:", "SHA256:")),
        written("digests of MD5", |text| text.replace("sha256:", "md5:")),
        written("a list of manifests", |text| format!("[{text}]")),
    ]
}

fn manifests(other: &str) -> Vec<Behaviour> {
    let changed = |name, change: fn(&mut Value)| case(name, "", Image::small().changed(change).contents());
    let foreign = format!("{other}/layer");
    let foreign = Image::small().changed(|manifest| {
        manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip".into();
        manifest["layers"][0]["digest"] = sha(b"elsewhere").into();
        manifest["layers"][0]["urls"] = json!([foreign]);
    });
    let many = |count: usize| {
        let empty = layer(&[]);
        let ids = vec![sha(&empty); count];
        let blobs = vec![empty; count];
        Image::configured(&config(&ids), &blobs)
    };
    vec![
        case("layers that are elsewhere", "", foreign.contents()),
        case("128 layers", "", many(128).contents()),
        case("10,000 layers", "", many(10_000).contents()),
        changed("one layer less than the configuration has", |manifest| {
            drop(manifest["layers"].as_array_mut().unwrap().pop())
        }),
        changed("no layers", |manifest| manifest["layers"] = json!([])),
        changed("the layers in another order", |manifest| manifest["layers"].as_array_mut().unwrap().reverse()),
        changed("the same layer twice", |manifest| manifest["layers"][1] = manifest["layers"][0].clone()),
        changed("no configuration", |manifest| drop(manifest.as_object_mut().unwrap().remove("config"))),
        changed("a layer as configuration", |manifest| manifest["config"] = manifest["layers"][0].clone()),
        changed("layers and manifests", |manifest| manifest["manifests"] = json!([])),
        changed("a manifest that says that it is an index", |manifest| manifest["mediaType"] = INDEX.into()),
        changed("a manifest that says that it is a text", |manifest| manifest["mediaType"] = "text/plain".into()),
        changed("a layer of one byte more than it has", |manifest| {
            manifest["layers"][0]["size"] = (manifest["layers"][0]["size"].as_u64().unwrap() + 1).into();
        }),
        changed("a layer of one byte less than it has", |manifest| {
            manifest["layers"][0]["size"] = (manifest["layers"][0]["size"].as_u64().unwrap() - 1).into();
        }),
        changed("a layer of no bytes", |manifest| manifest["layers"][0]["size"] = 0.into()),
        changed("a layer of 2^63 - 1 bytes", |manifest| manifest["layers"][0]["size"] = i64::MAX.into()),
        changed("a layer of 2^64 - 1 bytes", |manifest| manifest["layers"][0]["size"] = u64::MAX.into()),
        changed("a configuration of 1 TiB", |manifest| manifest["config"]["size"] = (1_u64 << 40).into()),
        changed("a layer that nobody has", |manifest| manifest["layers"][1]["digest"] = sha(b"nobody has it").into()),
        changed("a configuration that nobody has", |manifest| manifest["config"]["digest"] = sha(b"nobody").into()),
    ]
}

fn index(manifests: &[Value]) -> Vec<u8> {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }).to_string().into_bytes()
}

fn indexes() -> Vec<Behaviour> {
    let image = Image::small();
    let bytes = image.manifest();
    let ours = |media_type: &str, bytes: &[u8]| {
        let mut descriptor = descriptor(media_type, bytes);
        descriptor["platform"] = json!({ "architecture": architecture(), "os": "linux" });
        descriptor
    };
    let good = serve(image.behind(INDEX, &index(&[ours(MANIFEST, &bytes)])));
    let indexed = |name: &'static str, manifests: &[Value]| case(name, "", image.behind(INDEX, &index(manifests)));
    let mut foreign = ours(MANIFEST, &bytes);
    foreign["platform"]["architecture"] = "s390x".into();
    let inner = index(&[ours(MANIFEST, &bytes)]);
    let middle = index(&[ours(INDEX, &inner)]);
    let nested = image.behind(INDEX, &index(&[ours(INDEX, &middle)]));
    let nested = [&inner, &middle].into_iter().fold(nested, |all, index| all.manifest(None, INDEX, &sha(index), index));
    let mut all = vec![
        case("an index in an index in an index", "", nested),
        indexed("an index of nothing", &[]),
        indexed("an index for other platforms", &[foreign]),
        indexed("an index of 257 manifests", &vec![ours(MANIFEST, &bytes); 257]),
        indexed("an index of a manifest that nobody has", &[ours(MANIFEST, b"nobody has it")]),
        indexed("an index that says that a manifest is one", &[ours(INDEX, &bytes)]),
        case("an index as a manifest", "", image.behind(MANIFEST, &index(&[ours(MANIFEST, &bytes)]))),
        case("a manifest as an index", "", image.behind(INDEX, &bytes)),
    ];
    all[0].good = good;
    all
}

fn configurations() -> Vec<Behaviour> {
    let blobs = Image::small().blobs;
    let ids: Vec<_> = blobs.iter().map(|blob| sha(blob)).collect();
    let configured = |name, config: &[u8]| case(name, "", Image::configured(config, &blobs).contents());
    let changed = |name, change: fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&config(&ids)).unwrap();
        change(&mut value);
        configured(name, value.to_string().as_bytes())
    };
    vec![
        configured("a configuration without bytes", b""),
        configured("an empty configuration", b"{}"),
        configured("a configuration that is a web page", b"<html>"),
        configured("a configuration of brackets", "[".repeat(100_000).as_bytes()),
        configured("a configuration of 5 MiB", &[&config(&ids)[..], &[b' '; 5 << 20]].concat()),
        changed("a configuration for another architecture", |config| config["architecture"] = "s390x".into()),
        changed("a configuration for another system", |config| config["os"] = "windows".into()),
        changed("a configuration of one layer more", |config| {
            config["rootfs"]["diff_ids"].as_array_mut().unwrap().push(sha(b"more").into());
        }),
        changed("other layers than there are", |config| config["rootfs"]["diff_ids"][0] = sha(b"other").into()),
        changed("layers that are no digests", |config| config["rootfs"]["diff_ids"][1] = "../../x".into()),
    ]
}

fn layers(canary: &Path) -> Vec<Behaviour> {
    let out = canary.to_str().expect("temporary directories have simple names");
    let of =
        |name: &'static str, says: &'static str, layers: &[Vec<u8>]| case(name, says, Image::new(layers).contents());
    let escape = |name: &'static str, says: &'static str, entries: &[Vec<u8>]| of(name, says, &[layer(entries)]);
    let packed =
        |name: &'static str, plain: Vec<u8>, blob: Vec<u8>| case(name, "", Image::packed(&[plain], &[blob]).contents());
    let small = layer(&[file("a", "x")]);
    let mut damaged = gzip(&small);
    let last = damaged.len() - 6;
    damaged[last] ^= 1;
    let bomb = layer(&[file("zeros", &"\0".repeat(300 << 20))]);
    let up = "../".repeat(12) + &out[1..];
    vec![
        escape("a file above the root", "`..`", &[file(&format!("{up}/new"), "x")]),
        escape(
            "a hard link out of the root",
            "earlier in the same layer",
            &[entry(b'1', "h", &format!("{out}/file"), b"")],
        ),
        escape("a hard link above the root", "`..`", &[entry(b'1', "h", &format!("{up}/file"), b"")]),
        escape("a loop of links", "", &[entry(b'2', "d", "d", b""), file("d/x", "x")]),
        escape("a whiteout above the root", "`..`", &[file(&format!("{up}/.wh.file"), "")]),
        escape("a link as the root", "root", &[entry(b'2', "./", out, b"")]),
        escape("an owner that does not exist", "", &[with_uid(u64::from(u32::MAX))]),
        escape("a sparse file", "sparse", &[entry(b'S', "a", "", b"")]),
        escape("a file below a file", "", &[file("a", "x"), file("a/b", "x")]),
        of("a hostile layer on a good one", "`..`", &[small.clone(), layer(&[file("../x", "x")])]),
        of("a layer of garbage", "", &[vec![b'x'; 4000]]),
        of("a layer that is cut off", "", &[small[..700].to_vec()]),
        packed("a layer with a wrong checksum", small.clone(), damaged),
        packed("a layer that is cut off within its gzip", small.clone(), gzip(&small)[..40].to_vec()),
        packed("a layer with garbage behind its gzip", small.clone(), [&gzip(&small)[..], b"garbage"].concat()),
        packed("a layer that is compressed twice", small.clone(), gzip(&gzip(&small))),
        case("a bomb of 300 MiB", "250-fold", Image::packed(std::slice::from_ref(&bomb), &[gzip(&bomb)]).contents()),
    ]
}

fn with_uid(uid: u64) -> Vec<u8> {
    let bytes = file("a", "");
    let mut header = tar::Header::from_byte_slice(&bytes).clone();
    header.set_uid(uid);
    header.set_cksum();
    header.as_bytes().to_vec()
}
