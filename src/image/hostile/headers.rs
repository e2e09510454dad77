//! Headers that lie about sizes, kinds and where they end; streams that are no archive, or not all of one.

use std::path::Path;

use super::super::testing::Tar;
use super::{Case, t, tree, twin};

pub(super) fn cases(_out: &Path) -> Vec<Case> {
    let mut all = checksums();
    all.extend(sizes());
    all.extend(extended_sizes());
    all.extend(pax());
    all.extend(sparse());
    all.extend(cut());
    all.extend(ends());
    all.extend(times());
    all
}

/// A layer that is like the others and valid; the number makes it another one.
fn good(number: usize) -> Tar {
    t().file("good", &"x".repeat(number))
}

fn refused(cases: Vec<(&str, Vec<u8>)>, twin: impl Fn(usize) -> Tar) -> Vec<Case> {
    let case = |(at, (name, layer))| Case::archive(name, layer, twin(at));
    cases.into_iter().enumerate().map(case).collect()
}

fn checksums() -> Vec<Case> {
    let with = |at: usize, byte: u8| {
        let mut layer = good(7).end();
        layer[at] = byte;
        layer
    };
    let unsummed = |text: &[u8; 8]| {
        let mut layer = good(7).end();
        layer[148..156].copy_from_slice(text);
        layer
    };
    refused(
        vec![
            ("a damaged name", with(0, b'b')),
            ("a damaged mode", with(100, b'7')),
            ("a damaged owner", with(108, b'7')),
            ("a damaged size", with(133, b'7')),
            ("a damaged type", with(156, b'5')),
            ("a damaged magic", with(257, b'x')),
            ("a damaged last byte", with(511, 1)),
            ("no checksum", unsummed(b"        ")),
            ("a checksum of zeros", unsummed(b"0000000\0")),
            ("a checksum that is none", unsummed(b"zzzzzzz\0")),
            ("a checksum in base 256", unsummed(b"\x80\0\0\0\0\0\0\x01")),
            ("a negative checksum", unsummed(b"\xff\xff\xff\xff\xff\xff\xff\xff")),
            ("a script", b"#!/bin/sh\nrm -rf /\n".repeat(100)),
            ("JSON", br#"{"schemaVersion":2,"layers":[]}"#.repeat(40)),
            ("one byte", vec![b'x']),
            ("511 bytes", vec![b'x'; 511]),
            ("a block of ones", vec![0xff; 1024]),
            ("a zip archive", [b"PK\x03\x04".to_vec(), vec![7; 2000]].concat()),
        ],
        good,
    )
}

fn file(change: impl FnOnce(&mut tar::Header)) -> Tar {
    let mut header = Tar::header(b'0', b"a");
    change(&mut header);
    t().entry(header, b"")
}

fn sizes() -> Vec<Case> {
    let field = |size: &[u8; 12]| file(|header| header.as_old_mut().size = *size).end();
    let mut cases = vec![
        ("a size of 1 TiB without content", file(|header| header.set_size(1 << 40)).open()),
        (
            "a size that ends in the next entry",
            file(|header| header.set_size(513)).file("b", "x").open()[..1024].to_vec(),
        ),
        ("the largest size", field(b"777777777777")),
        ("a size over the largest offset", file(|header| header.set_size(u64::MAX)).end()),
        ("a size of 2^63", file(|header| header.set_size(1 << 63)).end()),
        ("a size of 2^63 - 1", file(|header| header.set_size(i64::MAX.cast_unsigned())).end()),
        ("a negative size", field(b"-00000000001")),
        ("a size of minus one in base 256", field(&[0xff; 12])),
        ("a size over 64 bits in base 256", field(b"\x80\x01\0\0\0\0\0\0\0\0\0\0")),
        ("a size that is no number", field(b"size        ")),
        ("a size in octal digits over seven", field(b"00000000008\0")),
        ("a size in hexadecimal", field(b"0x00000001\0\0")),
        ("a mode that is no number", file(|header| header.as_old_mut().mode = *b"rwxr-xr-").end()),
        ("an owner that is no number", file(|header| header.as_old_mut().uid = *b"nobody\0\0").end()),
        ("a group that is no number", file(|header| header.as_old_mut().gid = *b"nobody\0\0").end()),
        ("a time that is no number", file(|header| header.as_old_mut().mtime = *b"yesterday\0\0\0").end()),
    ];
    let pax = |value: &str| t().pax("size", value.as_bytes()).file("a", "x").end();
    cases.extend([
        ("a size of 1 TiB in PAX", pax("1099511627776")),
        ("a negative size in PAX", pax("-1")),
        ("a size over 64 bits in PAX", pax("18446744073709551616")),
        ("a size of 2^63 in PAX", pax("9223372036854775808")),
        ("a size with a fraction", pax("1.0")),
        ("a size with an exponent", pax("1e0")),
        ("a size in other digits", pax("\u{0661}")),
    ]);
    let mut all =
        refused(cases, |number| t().pax("size", number.to_string().as_bytes()).sized(b'0', b"a", &vec![b'y'; number]));
    // The size in PAX counts, so that what looks like content in one reading is no entry in the other.
    let inner = t().file("hidden", "x").open();
    let outer = t().pax("size", inner.len().to_string().as_bytes()).file("a", "").raw(&inner);
    let hidden = |root: &Path| tree(root) == [root.join("a")] && root.join("a").metadata().unwrap().len() == 1024;
    all.push(Case::unpacked("entries in the content of a file", hidden, outer, twin(t().file("a", "").raw(&inner))));
    all
}

fn extended_sizes() -> Vec<Case> {
    let header = |kind: u8, size: u64| {
        let mut header = Tar::header(kind, b"extended");
        header.set_size(size);
        t().entry(header, b"")
    };
    let mut cases = Vec::new();
    for (kind, long, huge, whole) in [
        (b'x', "a PAX header of 1 GiB", "a PAX header of 2^63", "a PAX header without bytes"),
        (b'g', "a global header of 1 GiB", "a global header of 2^63", "a global header without bytes"),
        (b'L', "a long name of 1 GiB", "a long name of 2^63", "a long name without bytes"),
        (b'K', "a long link of 1 GiB", "a long link of 2^63", "a long link without bytes"),
    ] {
        cases.push((long, header(kind, 1 << 30).end()));
        cases.push((huge, header(kind, 1 << 63).end()));
        cases.push((whole, header(kind, 700).end()[..512 + 600].to_vec()));
    }
    let mut high = Tar::header(b'L', b"extended");
    high.as_old_mut().size = *b"\x80\x01\0\0\0\0\0\0\0\0\0\x01";
    cases.push(("a long name of 2^80 bytes and one", t().entry(high, b"n").file("a", "x").end()));
    cases.push(("many long names", (0..40).fold(t(), |tar, _| tar.long(&"n".repeat(1 << 15))).end()));
    cases.push(("many long links", (0..40).fold(t(), |tar, _| tar.sized(b'K', b"k", &[b'n'; 1 << 15])).end()));
    cases.push(("many global headers", (0..40).fold(t(), |tar, _| tar.sized(b'g', b"g", &[b'n'; 1 << 15])).end()));
    cases.push(("a PAX header of 1 MiB and a byte", t().sized(b'x', b"p", &[b'n'; (1 << 20) + 1]).end()));
    refused(cases, |number| t().long(&"n".repeat(number + 100)).file("a", "x"))
}

fn pax() -> Vec<Case> {
    let record = |record: &[u8]| t().sized(b'x', b"pax", record).file("a", "x").end();
    refused(
        vec![
            ("a record longer than its header", record(b"99 path=a\n")),
            ("a record without a length", record(b"path=a\n")),
            ("a record of length 0", record(b"0 path=a\n")),
            ("a record that ends before it begins", record(b"3 path=a\n")),
            ("a record of negative length", record(b"-9 path=a\n")),
            ("a record of 2^64 bytes", record(b"18446744073709551616 path=a\n")),
            ("a record of 2^64 - 1 bytes", record(b"18446744073709551615 path=a\n")),
            ("a record without an equals sign", record(b"9 path a\n")),
            ("a record without a newline", record(b"10 path=aa")),
            ("a record of blanks", record(b"          ")),
            ("a record of zeros", record(&[0; 64])),
            ("a record behind a good one", record(b"10 path=a\n7 x=y")),
            ("a time that is none", record(b"16 mtime=tomorr\n")),
            ("a time over 64 bits", record(b"30 mtime=99999999999999999999\n")),
            ("a time with letters", record(b"15 mtime=1.5x6\n")),
            ("a time of two points", record(b"15 mtime=1.5.6\n")),
        ],
        |number| t().pax("path", format!("a{number}").as_bytes()).file("a", "x"),
    )
}

fn sparse() -> Vec<Case> {
    let pax = |key: &str, value: &[u8]| t().pax(key, value).file("a", "x").end();
    refused(
        vec![
            ("GNU's old sparse file", t().of(b'S', "a").end()),
            ("PAX sparse 0.0", pax("GNU.sparse.size", b"9223372036854775807")),
            ("PAX sparse 0.1", pax("GNU.sparse.map", b"0,1,9223372036854775806,1")),
            ("PAX sparse 1.0", pax("GNU.sparse.major", b"1")),
            ("PAX sparse by another name", pax("GNU.sparse.name", b"../canary/new")),
            ("PAX sparse by its real size", pax("GNU.sparse.realsize", b"1099511627776")),
        ],
        |number| t().pax("GNU.dense", number.to_string().as_bytes()).file("a", "x"),
    )
}

/// The same layer, cut off.
fn cut() -> Vec<Case> {
    let whole =
        t().dir("d").pax("path", b"d/long").file("a", &"x".repeat(1500)).symlink("l", "d").long("n").file("b", "y");
    let whole = whole.end();
    let within = [1, 100, 511, 513, 1023, 1025, 1537, 1600, 2047, 2049, 2560, 3000, 3583, 4095, 4500, 5000, 5121, 5700];
    let ends = |at: &usize| at.is_multiple_of(512);
    let case = |at: usize| {
        assert!(at < whole.len() - 1024, "{at} of {}", whole.len());
        Case::archive(format!("cut off at {at}"), &whole[..at], [&whole[..], &vec![0; at]].concat())
    };
    within.into_iter().filter(|at| !ends(at) || *at == 2560).map(case).collect()
}

/// Where an archive ends, and what comes behind.
fn ends() -> Vec<Case> {
    let only = |names: &'static [&'static str]| {
        move |root: &Path| tree(root).len() == names.len() && names.iter().all(|name| root.join(name).is_file())
    };
    let case = |name: &str, check, layer: Vec<u8>, other: Tar| Case::unpacked(name, check, layer, twin(other));
    let a = || t().file("a", "x");
    vec![
        case(
            "entries behind the end",
            only(&["a"]),
            [a().end(), t().file("b", "x").end()].concat(),
            a().file("b", "x"),
        ),
        case(
            "a hostile entry behind the end",
            only(&["a"]),
            [a().end(), t().file("../canary/new", "x").end()].concat(),
            a().file("c", "x"),
        ),
        case("garbage behind the end", only(&["a"]), [a().end(), vec![7; 3000]].concat(), a().file("d", "x")),
        case("half an end", only(&["a"]), a().raw(&[0; 512]).open(), a().file("e", "x")),
        case("one end in the middle", only(&["a"]), a().raw(&[0; 512]).file("f", "x").end(), a().file("f", "x")),
        case("no end", only(&["a"]), a().open(), a().file("g", "x")),
        case("nothing but an end", only(&[]), t().end(), t().file("h", "x")),
        case("nothing", only(&[]), Vec::new(), t().file("i", "x")),
        case("an end of a megabyte", only(&["a"]), a().raw(&[0; 1 << 20]).open(), a().file("j", "x")),
        case("an extended header and then the end", only(&["a"]), a().pax("path", b"b").end(), a().file("k", "x")),
    ]
}

fn times() -> Vec<Case> {
    use std::os::unix::fs::MetadataExt;
    let is = |seconds: i64| move |root: &Path| root.join("a").metadata().is_ok_and(|found| found.mtime() == seconds);
    let pax = |value: &str| t().pax("mtime", value.as_bytes()).file("a", "x");
    let case = |name: &str, seconds, tar: Tar| Case::unpacked(name, is(seconds), tar, twin(pax("77.7")));
    vec![
        case("a time of 0", 0, file(|header| header.set_mtime(0))),
        case("a time before 1970", -2, pax("-1.25")),
        case("a time of minus one in base 256", -1, file(|header| header.as_old_mut().mtime = [0xff; 12])),
        case("a time in the next century", 7_258_118_400, file(|header| header.set_mtime(7_258_118_400))),
        case("a time of many digits", 5, pax(&format!("5.{}", "9".repeat(400)))),
    ]
}
