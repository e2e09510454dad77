//! Reading a tar stream, entry by entry, with every size bounded: ustar, GNU long names and PAX records. Says what an
//! entry is and lets its bytes be read; writes nothing. The fields of a header are the `tar` crate's to decode; its own
//! iterator is not used because it reads extended headers of any size into memory and splits PAX records at newlines,
//! which binary attributes have inside. Called by `unpack` for layers and by `source` for archives of images.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use tar::Header;

use super::rules::XATTRS_MAX;

/// A tar block, in bytes.
const BLOCK: u64 = 512;
/// The most that the extended headers of one entry may hold together, in bytes.
const EXTENDED_MAX: u64 = 1 << 20;

/// What an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    Hardlink,
    Fifo,
    /// A character or block device.
    Device,
}

/// One entry, its extended headers applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    /// The target of a link.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    /// The twelve lower bits of the mode.
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, u32),
    /// Bytes of content; 0 for all but files.
    pub(crate) size: u64,
    /// Extended attributes: name, value.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Why a tar stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream failed.
    #[error("read the archive")]
    Read(#[source] io::Error),
    /// It ends within an entry.
    #[error("the archive is cut off")]
    Truncated,
    /// The checksum of a header is wrong: not a tar stream, or a damaged one.
    #[error("not a tar header at byte {0}")]
    Header(u64),
    /// A number that is none, or does not fit.
    #[error("the {field} of the entry {entry} is not valid")]
    Field {
        /// Which field.
        field: &'static str,
        /// The entry's name, escaped.
        entry: String,
    },
    /// An entry type that layers do not have.
    #[error("the entry {entry} is of type {kind:?}, which no layer has")]
    Kind {
        /// The type's byte.
        kind: char,
        /// The entry's name, escaped.
        entry: String,
    },
    /// A sparse file, in GNU's old or the PAX form.
    #[error("the entry {0} is a sparse file; write the archive without --sparse")]
    Sparse(String),
    /// Extended headers over the limit.
    #[error("the extended headers of an entry are larger than {EXTENDED_MAX} bytes")]
    Extended,
    /// A PAX record that breaks the format.
    #[error("the extended header before byte {0} is not valid")]
    Pax(u64),
}

/// What extended headers say about the entry behind them.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    sparse: bool,
    /// Bytes of extended headers so far.
    bytes: u64,
}

/// A tar stream.
pub(crate) struct TarReader<R> {
    stream: R,
    /// How many bytes of the stream are behind us.
    position: u64,
    /// Content of the current entry that nobody has read yet.
    content: u64,
    /// Padding behind it.
    padding: u64,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(stream: R) -> Self {
        Self { stream, position: 0, content: 0, padding: 0 }
    }

    /// Where in the stream we are, in bytes; behind `next`, the start of the entry's content.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next entry; what is left of the current one's content is read and dropped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        self.next_by(Self::read_over)
    }

    /// The content of the current entry.
    pub(crate) fn content(&mut self) -> Content<'_, R> {
        Content(self)
    }

    /// Reads the stream to its end, behind the end of the archive too: a digest covers all of it.
    pub(crate) fn finish(mut self) -> Result<R, TarError> {
        io::copy(&mut self.stream, &mut io::sink()).map_err(TarError::Read)?;
        Ok(self.stream)
    }

    fn next_by(&mut self, skip: fn(&mut Self, u64) -> Result<(), TarError>) -> Result<Option<Entry>, TarError> {
        let mut extended = Extended::default();
        loop {
            skip(self, self.content + self.padding)?;
            (self.content, self.padding) = (0, 0);
            let Some(header) = self.header()? else { return Ok(None) };
            match header.entry_type().as_byte() {
                kind @ (b'x' | b'g' | b'L' | b'K') => self.extend(&header, kind, &mut extended)?,
                _ => {
                    let entry = entry(&header, extended)?;
                    self.expect(entry.size);
                    return Ok(Some(entry));
                }
            }
        }
    }

    fn expect(&mut self, size: u64) {
        self.content = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
    }

    /// One header; `None` at the end, which is a block of zeros or the end of the stream.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < block.len() {
            match self.stream.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(TarError::Truncated),
                Ok(length) => filled += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(TarError::Read(error)),
            }
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // The checksum counts its own field as spaces.
        let sum: u32 =
            block.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { (*byte).into() }).sum();
        if header.cksum().ok() != Some(sum) {
            return Err(TarError::Header(self.position));
        }
        self.position += BLOCK;
        Ok(Some(header))
    }

    /// Reads an extended header into `extended`.
    fn extend(&mut self, header: &Header, kind: u8, extended: &mut Extended) -> Result<(), TarError> {
        let size = or_blank(&header.as_old().size, header.entry_size()).ok_or(TarError::Pax(self.position))?;
        extended.bytes = extended.bytes.saturating_add(size);
        if extended.bytes > EXTENDED_MAX {
            return Err(TarError::Extended);
        }
        self.expect(size);
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes).map_err(TarError::Read)?;
        if self.content > 0 {
            return Err(TarError::Truncated);
        }
        let text = || bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
        match kind {
            b'L' => extended.path = Some(text()),
            b'K' => extended.link = Some(text()),
            b'x' => extended.read(&bytes).ok_or(TarError::Pax(self.position))?,
            _ => {} // global records (`g`) are comments in practice: what Docker ignores, we ignore
        }
        Ok(())
    }

    fn read_over(&mut self, bytes: u64) -> Result<(), TarError> {
        let read = io::copy(&mut (&mut self.stream).take(bytes), &mut io::sink()).map_err(TarError::Read)?;
        self.position += read;
        if read == bytes { Ok(()) } else { Err(TarError::Truncated) }
    }
}

impl<R: Read + Seek> TarReader<R> {
    /// The next entry; what is left of the current one's content is jumped over, and may be missing at the end.
    pub(crate) fn next_seeking(&mut self) -> Result<Option<Entry>, TarError> {
        self.next_by(|reader, bytes| {
            reader.position = reader.position.checked_add(bytes).ok_or(TarError::Truncated)?;
            reader.stream.seek(SeekFrom::Start(reader.position)).map(drop).map_err(TarError::Read)
        })
    }
}

/// The content of an entry, as a reader.
pub(crate) struct Content<'a, R>(&'a mut TarReader<R>);

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.0.content).unwrap_or(usize::MAX));
        let read = self.0.stream.read(&mut buffer[..length])?;
        if read == 0 && length > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.content -= read as u64;
        self.0.position += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Content<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.0.content == 0 {
            return Ok(&[]);
        }
        let buffer = self.0.stream.fill_buf()?;
        if buffer.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(&buffer[..buffer.len().min(usize::try_from(self.0.content).unwrap_or(usize::MAX))])
    }

    fn consume(&mut self, amount: usize) {
        self.0.stream.consume(amount);
        self.0.content -= amount as u64;
        self.0.position += amount as u64;
    }
}

impl Extended {
    /// Reads PAX records (pax(1), "pax Extended Header": `LENGTH KEYWORD=VALUE\n`, the length counting itself). An
    /// empty value takes back what an earlier record said.
    fn read(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let space = bytes.iter().position(|byte| *byte == b' ')?;
            let length = number(&bytes[..space])?;
            let (record, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
            let record = record.strip_suffix(b"\n")?.get(space + 1..)?;
            let equals = record.iter().position(|byte| *byte == b'=')?;
            self.set(&record[..equals], &record[equals + 1..])?;
            bytes = rest;
        }
        Some(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let given = (!value.is_empty()).then_some(value);
        match key {
            b"path" => self.path = given.map(<[u8]>::to_vec),
            b"linkpath" => self.link = given.map(<[u8]>::to_vec),
            b"size" => self.size = given.map(number).map(|size| size.ok_or(())).transpose().ok()?,
            b"uid" => self.uid = given.map(number).map(|uid| uid.ok_or(())).transpose().ok()?,
            b"gid" => self.gid = given.map(number).map(|gid| gid.ok_or(())).transpose().ok()?,
            b"mtime" => self.mtime = given.map(time).map(|time| time.ok_or(())).transpose().ok()?,
            _ if key.starts_with(b"GNU.sparse.") => self.sparse = true,
            _ => {
                // One more than an entry may have is enough to refuse it, and all of them would be searched each time.
                let room = self.xattrs.len() <= XATTRS_MAX;
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.").filter(|_| room) {
                    self.xattrs.retain(|(known, _)| known != name);
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                }
            }
        }
        Some(())
    }
}

fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// Seconds since 1970, with a sign and a fraction, rounded down to nanoseconds.
fn time(text: &[u8]) -> Option<(i64, u32)> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
        None => (text, &[][..]),
        Some(dot) => (&text[..dot], &text[dot + 1..]),
    };
    let seconds = i64::try_from(number(whole)?).ok()?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let nanos = (0..9).fold(0, |nanos, at| nanos * 10 + u32::from(fraction.get(at).map_or(0, |digit| digit - b'0')));
    Some(match (negative, nanos) {
        (false, _) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, _) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

/// Puts a header and the extended headers before it together.
fn entry(header: &Header, extended: Extended) -> Result<Entry, TarError> {
    let path = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let field = |field| TarError::Field { field, entry: escaped(&path) };
    let old = header.as_old();
    let mode = or_blank(&old.mode, header.mode().map(u64::from)).ok_or_else(|| field("mode"))?;
    let kind = match old.linkflag[0] {
        // Before POSIX a directory was a file whose name ends with a slash.
        0 if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'7' => Kind::File,
        b'1' => Kind::Hardlink,
        b'2' => Kind::Symlink,
        b'3' | b'4' => Kind::Device,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        b'S' => return Err(TarError::Sparse(escaped(&path))),
        kind => return Err(TarError::Kind { kind: kind.into(), entry: escaped(&path) }),
    };
    if extended.sparse {
        return Err(TarError::Sparse(escaped(&path)));
    }
    let size = match (kind, extended.size) {
        // Whatever the header says: only files have content (as Go's archive/tar reads it, and so Docker).
        (Kind::Directory | Kind::Symlink | Kind::Hardlink | Kind::Fifo | Kind::Device, _) => 0,
        (Kind::File, Some(size)) => size,
        (Kind::File, None) => or_blank(&old.size, header.entry_size()).ok_or_else(|| field("size"))?,
    };
    if i64::try_from(size).is_err() {
        return Err(field("size"));
    }
    // A time before 1970 is a negative number in base 256.
    let seconds = || Some((or_blank(&old.mtime, header.mtime())?.cast_signed(), 0));
    Ok(Entry {
        link: extended.link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned()),
        kind,
        mode: u32::try_from(mode & 0o7777).expect("twelve bits"),
        uid: extended.uid.or_else(|| or_blank(&old.uid, header.uid())).ok_or_else(|| field("uid"))?,
        gid: extended.gid.or_else(|| or_blank(&old.gid, header.gid())).ok_or_else(|| field("gid"))?,
        mtime: extended.mtime.or_else(seconds).ok_or_else(|| field("mtime"))?,
        size,
        xattrs: extended.xattrs,
        path,
    })
}

/// A number of a header; a field that was left blank is 0, as Go's archive/tar reads it.
fn or_blank(field: &[u8], number: io::Result<u64>) -> Option<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Some(0) } else { number.ok().filter(|_| fits(field)) }
}

/// Whether a number in base 256 is one of 64 bits: of twelve bytes the `tar` crate reads eight and drops the others.
fn fits(field: &[u8]) -> bool {
    match field {
        [0x80, 0, 0, 0, rest, ..] if field.len() > 8 => rest & 0x80 == 0,
        [0xff, 0xff, 0xff, 0xff, rest, ..] if field.len() > 8 => rest & 0x80 != 0,
        [first, ..] if field.len() > 8 => first & 0x80 == 0,
        _ => true,
    }
}

/// A name from an archive, fit for a message: escaped, and cut at 200 bytes.
pub(crate) fn escaped(name: &[u8]) -> String {
    let cut = if name.len() > 200 { "..." } else { "" };
    format!("`{}{cut}`", name[..name.len().min(200)].escape_ascii())
}
