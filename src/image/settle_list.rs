//! The list of what is left to do for an unpacked layer: which directories are opaque, which were only implied. Unpacking
//! writes it, with few capabilities and without the layers below; `settle` reads it, with all of them, and takes nothing
//! in it on trust. Records stand in the order in which things happened, so that a later one counts before an earlier one.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Take, Write};
use std::os::unix::ffi::OsStrExt;

use super::rules::{Limits, PATH_MAX, Rule, components};

/// The longest record without its path, in bytes: a letter, three numbers of 32 bits, blanks.
const FIELDS_MAX: usize = 48;

/// What is to be done for a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record {
    /// It hides what is in it in the layers below. Written `o PATH`.
    Opaque,
    /// No entry made it: it is as it is in the layers below. Written `i PATH`.
    Implied,
    /// It may have been implied earlier, and now an entry says what it is. Written `e UID GID MODE PATH`.
    Entry {
        /// Its owner.
        uid: u32,
        /// Its group.
        gid: u32,
        /// The twelve lower bits of its mode.
        mode: u32,
    },
}

/// Why a list cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// Over the limit.
    #[error("the list of opaque and implied directories is longer than {0} bytes")]
    TooLong(u64),
    /// Not a record.
    #[error("record {0} is not valid")]
    Record(u64),
    /// The path in a record.
    #[error("record {number} is not valid")]
    Path {
        /// Which record, counted from 1.
        number: u64,
        /// What is wrong with its path.
        #[source]
        rule: Rule,
    },
    /// The file.
    #[error("the list of opaque and implied directories")]
    Io(#[from] io::Error),
}

/// A list that is being written.
pub(crate) struct ListWriter<W: Write> {
    out: BufWriter<W>,
    limit: u64,
    length: u64,
}

impl<W: Write> ListWriter<W> {
    pub(crate) fn new(out: W, limits: &Limits) -> Self {
        Self { out: BufWriter::new(out), limit: limits.settle, length: 0 }
    }

    /// Adds a record for the directory of these names.
    pub(crate) fn add<'n>(
        &mut self,
        record: Record,
        path: impl Iterator<Item = &'n OsStr> + Clone,
    ) -> Result<(), ListError> {
        let fields = match record {
            Record::Opaque => "o".to_owned(),
            Record::Implied => "i".to_owned(),
            Record::Entry { uid, gid, mode } => format!("e {uid} {gid} {mode}"),
        };
        let names: usize = path.clone().map(|name| name.len() + 1).sum();
        self.length += (fields.len() + 1 + names) as u64;
        if self.length > self.limit {
            return Err(ListError::TooLong(self.limit));
        }
        self.out.write_all(fields.as_bytes())?;
        for (at, name) in path.enumerate() {
            self.out.write_all(if at == 0 { b" " } else { b"/" })?;
            self.out.write_all(name.as_bytes())?;
        }
        Ok(self.out.write_all(b"\0")?)
    }

    /// Writes what is still in memory.
    pub(crate) fn end(mut self) -> Result<(), ListError> {
        Ok(self.out.flush()?)
    }
}

/// A list that is being read, record by record; memory is bounded by the longest record.
pub(crate) struct ListReader<R> {
    list: BufReader<Take<R>>,
    limit: u64,
    number: u64,
    bytes: Vec<u8>,
}

impl<R: Read> ListReader<R> {
    pub(crate) fn new(list: R, limits: &Limits) -> Self {
        let list = BufReader::new(list.take(limits.settle.saturating_add(1)));
        Self { list, limit: limits.settle, number: 0, bytes: Vec::new() }
    }

    fn read(&mut self) -> Result<Option<(Record, Vec<OsString>)>, ListError> {
        self.bytes.clear();
        let longest = (PATH_MAX + FIELDS_MAX) as u64;
        (&mut self.list).take(longest).read_until(0, &mut self.bytes)?;
        if self.list.get_ref().limit() == 0 {
            return Err(ListError::TooLong(self.limit));
        }
        if self.bytes.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let (record, path) = parse(&self.bytes).ok_or(ListError::Record(self.number))?;
        match components(path) {
            Ok(path) if path.is_empty() => Err(ListError::Record(self.number)), // the root is neither
            Ok(path) => Ok(Some((record, path))),
            Err(rule) => Err(ListError::Path { number: self.number, rule }),
        }
    }
}

impl<R: Read> Iterator for ListReader<R> {
    type Item = Result<(Record, Vec<OsString>), ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

fn parse(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let record = bytes.strip_suffix(b"\0")?;
    let mut fields = record.splitn(2, |byte| *byte == b' ');
    match (fields.next()?, fields.next()?) {
        (b"o", path) => Some((Record::Opaque, path)),
        (b"i", path) => Some((Record::Implied, path)),
        (b"e", rest) => {
            let mut fields = rest.splitn(4, |byte| *byte == b' ');
            let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<u32>().ok();
            let (uid, gid, mode) = (number()?, number()?, number()?);
            (mode <= 0o7777).then_some((Record::Entry { uid, gid, mode }, fields.next()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &[u8], settle: u64) -> Result<Vec<(Record, Vec<OsString>)>, ListError> {
        ListReader::new(list, &Limits { settle, ..Limits::default() }).collect()
    }

    #[test]
    fn what_is_written_is_read() {
        let entry = Record::Entry { uid: u32::MAX - 1, gid: 7, mode: 0o7777 };
        let mut bytes = Vec::new();
        let mut list = ListWriter::new(&mut bytes, &Limits::default());
        let path = [OsStr::new("a b"), OsStr::new("c\n")];
        for record in [Record::Opaque, Record::Implied, entry] {
            list.add(record, path.into_iter()).unwrap();
        }
        list.end().unwrap();
        let path: Vec<OsString> = path.iter().map(OsString::from).collect();
        let expected = [Record::Opaque, Record::Implied, entry].map(|record| (record, path.clone()));
        assert_eq!(read(&bytes, 1000).unwrap(), expected);
    }

    #[test]
    fn a_list_over_its_limit_is_neither_written_nor_read() {
        let mut list = ListWriter::new(io::sink(), &Limits { settle: 8, ..Limits::default() });
        list.add(Record::Opaque, [OsStr::new("a")].into_iter()).unwrap();
        list.add(Record::Opaque, [OsStr::new("b")].into_iter()).unwrap();
        let error = list.add(Record::Opaque, [OsStr::new("c")].into_iter()).unwrap_err();
        assert!(matches!(error, ListError::TooLong(8)));
        assert_eq!(read(b"o a\0o b\0", 8).unwrap().len(), 2);
        assert!(matches!(read(b"o a\0o b\0o c\0", 8), Err(ListError::TooLong(8))));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let long = [b"o ".to_vec(), vec![b'a'; 10_000], vec![0]].concat();
        for bad in ["o", "o ", "o /", "x a\0", "o a", "e 1 2 a\0", "e 1 2 4096 a\0", "e -1 2 0 a\0", "\0"] {
            assert!(matches!(read(bad.as_bytes(), 1000), Err(ListError::Record(1))), "{bad}");
        }
        assert!(matches!(read(&long, 100_000), Err(ListError::Record(1))));
        assert!(matches!(read(b"o ../a\0", 1000), Err(ListError::Path { number: 1, rule: Rule::Parent })));
    }
}
