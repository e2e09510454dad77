//! Blobs on their way to a layer: damaged or odd compression, bombs, and descriptions that lie about digest and size.

use super::super::digest::Digest;
use super::super::layer::{LayerBlob, LayerError, Position, unpack_layer};
use super::super::testing::{gzip, zstd};
use super::super::unpack::UnpackError;
use super::ground::Ground;
use super::{SMALL, t, tree};

/// What must become of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Unpacked,
    Size,
    Longer,
    Digest,
    DiffId,
    Decompress,
    Archive,
    Bytes,
    Ratio,
}

use End::{Archive, Bytes, Decompress, DiffId, Longer, Ratio, Size, Unpacked};

/// A blob, and how it is described.
#[derive(Clone)]
pub(super) struct Stream {
    pub(super) name: String,
    pub(super) blob: Vec<u8>,
    pub(super) described: LayerBlob,
    end: End,
    /// The control: this blob of this layer is unpacked; if the case is too, it is not when its last byte is missing.
    twin: (Vec<u8>, Vec<u8>),
}

fn described(blob: &[u8], plain: &[u8]) -> LayerBlob {
    LayerBlob { name: "layer".into(), digest: Digest::of(blob), size: blob.len() as u64, diff_id: Digest::of(plain) }
}

fn stream(name: impl Into<String>, blob: Vec<u8>, plain: &[u8], end: End, twin: Vec<u8>) -> Stream {
    Stream { described: described(&blob, plain), name: name.into(), blob, end, twin: (twin, plain.to_vec()) }
}

/// The layer that most blobs should be.
fn plain() -> Vec<u8> {
    t().file("a", &"some text, and some more. ".repeat(40)).end()
}

pub(super) fn cases() -> Vec<Stream> {
    let mut all = gzips();
    all.extend(zstds());
    all.extend(others());
    all.extend(bombs());
    all.extend(lies());
    all
}

fn with(mut bytes: Vec<u8>, at: usize, byte: u8) -> Vec<u8> {
    bytes[at] = byte;
    bytes
}

fn gzips() -> Vec<Stream> {
    let (plain, whole) = (plain(), gzip(&plain()));
    let case = |name: &str, blob: Vec<u8>, end| stream(format!("gzip: {name}"), blob, &plain, end, whole.clone());
    let last = whole.len();
    let halves = [gzip(&plain[..700]), gzip(&plain[700..])].concat();
    let mut all = vec![
        case("whole", whole.clone(), Unpacked),
        case("two members", halves.clone(), Unpacked),
        case("a thousand members without content", [gzip(b"").repeat(1000), whole.clone()].concat(), Unpacked),
        case("an empty member behind", [whole.clone(), gzip(b"")].concat(), Unpacked),
        case("a second member that is cut off", halves[..halves.len() - 5].to_vec(), Decompress),
        case("a second member with a wrong checksum", with(halves.clone(), halves.len() - 6, 0x55), Decompress),
        case("a wrong checksum", with(whole.clone(), last - 7, whole[last - 7] ^ 1), Decompress),
        case("a wrong length", with(whole.clone(), last - 2, 1), Decompress),
        case("an unknown method", with(whole.clone(), 2, 9), Decompress),
        case("garbage behind", [&whole[..], b"garbage, and not little of it"].concat(), Decompress),
        case("zeros behind", [&whole[..], &[0; 512]].concat(), Decompress),
        case("zstd behind", [whole.clone(), zstd(b"more")].concat(), Decompress),
        case("an invalid block type", with(whole.clone(), 10, 0x07), Decompress),
        case(
            "a header that says that a name comes",
            [&[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3][..], &[b'n'; 3000]].concat(),
            Decompress,
        ),
        case(
            "a header that says that 64 KiB come",
            [&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 3, 0xff, 0xff][..], &[1; 90]].concat(),
            Decompress,
        ),
        case("a layer in it that is compressed again", gzip(&whole), Archive),
    ];
    for at in [1, 3, 9, 10, 11, 40, last - 9, last - 8, last - 4, last - 1] {
        // One byte is not known to be gzip, and no archive either.
        let end = if at == 1 { Archive } else { Decompress };
        all.push(case(&format!("cut off at {at}"), whole[..at].to_vec(), end));
    }
    all
}

fn zstds() -> Vec<Stream> {
    let (plain, whole) = (plain(), zstd(&plain()));
    let case = |name: &str, blob: Vec<u8>, end| stream(format!("zstd: {name}"), blob, &plain, end, whole.clone());
    let skip = |length: u32| [&[0x50, 0x2a, 0x4d, 0x18][..], &length.to_le_bytes()].concat();
    let magic = &[0x28, 0xb5, 0x2f, 0xfd][..];
    // A frame without single segment: the window is 2^(10 + exponent) bytes (RFC 8878, section 3.1.1.1.2).
    let window = |exponent: u8| [magic, &[0, exponent << 3, 1, 0, 0]].concat();
    let block = |kind: u8, size: u32| {
        [magic, &[0, 0], &(size << 3 | u32::from(kind) << 1 | 1).to_le_bytes()[..3], b"x"].concat()
    };
    let last = whole.len();
    let mut all = vec![
        case("whole", whole.clone(), Unpacked),
        case("two frames", [zstd(&plain[..700]), zstd(&plain[700..])].concat(), Unpacked),
        case("ten thousand skippable frames", [skip(0).repeat(10_000), whole.clone()].concat(), Unpacked),
        case("a skippable frame behind", [&whole[..], &skip(3), b"abc"].concat(), Unpacked),
        case("a skippable frame of 4 GiB", [skip(u32::MAX), whole.clone()].concat(), Decompress),
        case("a skippable frame that is cut off", [&whole[..], &skip(9), b"abc"].concat(), Decompress),
        case("garbage behind", [&whole[..], b"garbage, and not little of it"].concat(), Decompress),
        case("gzip behind", [whole.clone(), gzip(b"more")].concat(), Decompress),
        case("a window of 16 MiB", window(14), Decompress),
        case("a window of 128 MiB", window(17), Decompress),
        case("the largest window", [magic, &[0, 0xff, 1, 0, 0]].concat(), Decompress),
        case("a block of the reserved type", block(3, 1), Decompress),
        case("a block over its limit", block(0, 200 << 10), Decompress),
        case("a compressed block of one byte", block(2, 1), Decompress),
        case("a frame without blocks", [magic, &[0, 0]].concat(), Decompress),
        case("a frame that wants a dictionary", [magic, &[3, 0, 1, 2, 3, 4, 1, 0, 0]].concat(), Decompress),
        case("a content size of 2^64 - 1", [magic, &[0xe0], &[0xff; 8][..], &[1, 0, 0]].concat(), Decompress),
    ];
    for at in [5, 6, 8, last / 2, last - 5, last - 1] {
        all.push(case(&format!("cut off at {at}"), whole[..at].to_vec(), Decompress));
    }
    all
}

/// What is no layer at all, or compressed by something that layers are not compressed by.
fn others() -> Vec<Stream> {
    let plain = plain();
    let garbage = [&plain[..], &[7; 999]].concat();
    let case = |name: &str, start: &[u8]| stream(name, [start, &[b'.'; 700]].concat(), &plain, Archive, plain.clone());
    vec![
        stream("plain", plain.clone(), &plain, Unpacked, plain.clone()),
        stream("garbage behind", garbage.clone(), &garbage, Unpacked, garbage.clone()),
        case("xz", b"\xfd7zXZ\0"),
        case("bzip2", b"BZh91AY&SY"),
        case("lz4", b"\x04\x22\x4d\x18"),
        case("compress", b"\x1f\x9d\x90"),
        case("an ELF program", b"\x7fELF\x02\x01\x01"),
        case("a manifest", br#"{"schemaVersion":2,"#),
        case("a web page", b"<!DOCTYPE html><html>"),
        case("an index of zstd", b"\x5e\x2a\x4d\x17"),
    ]
}

/// More than it looks like. The twins are the same on a smaller scale.
fn bombs() -> Vec<Stream> {
    let case = |name: &str, pack: fn(&[u8]) -> Vec<u8>, end, make: fn(usize) -> Vec<u8>| {
        let small = make(1 << 10);
        let bomb = stream(name, pack(&make(1 << 20)), &[], end, pack(&small));
        Stream { twin: (bomb.twin.0, small), ..bomb }
    };
    let file: fn(usize) -> Vec<u8> = |bytes| t().file("a", &"\0".repeat(bytes)).end();
    let behind: fn(usize) -> Vec<u8> = |bytes| [plain(), vec![0; bytes]].concat();
    let nothing: fn(usize) -> Vec<u8> = |bytes| t().sized(b'0', b".wh..wh.aufs", &vec![0; bytes]).end();
    let skipped: fn(usize) -> Vec<u8> = |bytes| {
        let name: &[u8] = if bytes >= 1 << 20 { b"../x" } else { b"x" };
        t().sized(b'0', name, b"").sized(b'0', b"b", &vec![0; bytes]).end()
    };
    vec![
        case("a gzip bomb", gzip, Ratio, file),
        case("a zstd bomb", zstd, Ratio, file),
        case("a gzip bomb behind the end of the archive", gzip, Ratio, behind),
        case("a zstd bomb behind the end of the archive", zstd, Ratio, behind),
        case("a gzip bomb in what makes nothing", gzip, Ratio, nothing),
        case("a zstd bomb in what makes nothing", zstd, Ratio, nothing),
        case("a gzip bomb of many members", |all| all.chunks(1 << 15).flat_map(gzip).collect(), Ratio, file),
        case("a zstd bomb of many frames", |all| all.chunks(1 << 15).flat_map(zstd).collect(), Ratio, file),
        case("five mebibytes as they are", <[u8]>::to_vec, Bytes, |bytes| t().file("a", &"x".repeat(bytes * 5)).end()),
        case("what is refused before the bomb", gzip, Archive, skipped),
    ]
}

/// The right bytes under a wrong description, and the other way round.
fn lies() -> Vec<Stream> {
    let plain = plain();
    let other = Digest::of(b"other");
    let mut all = Vec::new();
    for (kind, blob) in [("plain", plain.clone()), ("gzip", gzip(&plain)), ("zstd", zstd(&plain))] {
        let mut case = |name: &str, end, change: fn(&mut LayerBlob, Digest)| {
            let mut case = stream(format!("{kind}: {name}"), blob.clone(), &plain, end, blob.clone());
            change(&mut case.described, other);
            all.push(case);
        };
        case("one byte more than there is", Size, |blob, _| blob.size += 1);
        case("much more than there is", Size, |blob, _| blob.size = 1 << 40);
        case("the largest size", Size, |blob, _| blob.size = u64::MAX);
        case("another digest", End::Digest, |blob, other| blob.digest = other);
        case("another uncompressed digest", DiffId, |blob, other| blob.diff_id = other);
        if kind != "plain" {
            case("the digests of each other", End::Digest, |blob, _| {
                (blob.digest, blob.diff_id) = (blob.diff_id, blob.digest)
            });
        }
        for at in [0, 30, 44, blob.len() / 2, blob.len() - 1] {
            let name = format!("{kind}: byte {at} of {} is another one", blob.len());
            let mut case = stream(name, blob.clone(), &plain, End::Digest, blob.clone());
            case.blob[at] ^= 0x10;
            all.push(case);
        }
        let mut case = stream(format!("{kind}: longer than it says"), blob.clone(), &plain, Longer, blob.clone());
        case.blob.push(0);
        all.push(case);
    }
    all
}

fn unpacked(ground: &Ground, blob: &[u8], described: &LayerBlob) -> Result<End, LayerError> {
    let list = tempfile::tempfile().unwrap();
    match unpack_layer(blob, described, Position::Above, ground.open_root(), list, &SMALL, &|_| {}) {
        Ok(_) => Ok(Unpacked),
        Err(LayerError::Size { .. }) => Ok(Size),
        Err(LayerError::Longer(_)) => Ok(Longer),
        Err(LayerError::Digest { .. }) => Ok(End::Digest),
        Err(LayerError::DiffId { .. }) => Ok(DiffId),
        Err(LayerError::Decompress(_)) => Ok(Decompress),
        Err(LayerError::Bytes(_)) => Ok(Bytes),
        Err(LayerError::Ratio(_)) => Ok(Ratio),
        Err(LayerError::Unpack(UnpackError::Archive(_) | UnpackError::Refused { .. })) => Ok(Archive),
        Err(error) => Err(error),
    }
}

fn run(ground: &Ground, case: &Stream) -> Result<(), String> {
    ground.renew();
    let before = ground.outside();
    let end = unpacked(ground, &case.blob, &case.described);
    let written: u64 = tree(&ground.root).iter().map(|path| path.metadata().unwrap().len()).sum();
    let at_most = match case.end {
        Ratio => SMALL.ratio_from + (SMALL.ratio + 1) * case.blob.len() as u64,
        _ => SMALL.bytes,
    };
    if !matches!(end, Ok(end) if end == case.end) || ground.outside() != before || written > at_most {
        return Err(format!("{end:?}, {written} bytes written"));
    }
    Ok(())
}

fn control(ground: &Ground, case: &Stream) -> Result<(), String> {
    ground.empty_root();
    let (twin, plain) = &case.twin;
    let end = unpacked(ground, twin, &described(twin, plain));
    if !matches!(end, Ok(Unpacked)) {
        return Err(format!("its twin: {end:?}"));
    }
    let [cut @ .., _] = &case.blob[..] else { return Err("it is empty".into()) };
    let end = unpacked(ground, cut, &described(cut, plain));
    if case.end == Unpacked && matches!(end, Ok(Unpacked)) {
        return Err("it is unpacked without its last byte too".into());
    }
    Ok(())
}

#[test]
fn no_blob_is_more_or_other_than_it_says() {
    let ground = Ground::new();
    let cases = cases();
    let both = |case: &Stream| run(&ground, case).and_then(|()| control(&ground, case));
    let failed = |case: &Stream| both(case).err().map(|why| format!("{}: {why}", case.name));
    let failed: Vec<_> = cases.iter().filter_map(failed).collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
