//! Decompression by content: plain, gzip (with several members) and zstd (with several frames). What the bytes are is
//! read from the bytes, because the media type is only what somebody says about them.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The largest zstd window: what RFC 8878 (section 3.1.1.1.2) asks every decoder to support, and no more, so that a
/// layer cannot choose our memory.
const ZSTD_WINDOW: u64 = 8 << 20;

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// Reads the first bytes of a stream (RFC 1952 section 2.3.1; RFC 8878 sections 3.1.1 and 3.1.2).
    pub(crate) fn of(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd, // a skippable frame first
            _ => Self::None,
        }
    }
}

/// The uncompressed bytes of a stream.
pub(crate) enum Decoder<R> {
    None(R),
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(Box<ZstdFrames<R>>),
}

impl<R: BufRead> Decoder<R> {
    /// Looks at the first bytes of the stream. Its buffer must hold four bytes at least.
    pub(crate) fn new(mut stream: R) -> io::Result<Self> {
        Ok(match Compression::of(stream.fill_buf()?) {
            Compression::None => Self::None(stream),
            Compression::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(stream))),
            Compression::Zstd => Self::Zstd(Box::new(ZstdFrames::new(stream))),
        })
    }

    /// The compressed stream.
    pub(crate) fn get_mut(&mut self) -> &mut R {
        match self {
            Self::None(stream) => stream,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(frames) => &mut frames.source,
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::None(stream) => stream.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(frames) => frames.read(buffer),
        }
    }
}

/// The frames of a zstd stream, one after the other; skippable frames are skipped (zstd:chunked layers end with one).
pub(crate) struct ZstdFrames<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> ZstdFrames<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW);
        Self { source, decoder, in_frame: false }
    }

    /// Goes to the next frame; `false` at the end of the stream.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let skipped = io::copy(&mut (&mut self.source).take(length.into()), &mut io::sink())?;
                    if skipped != u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for ZstdFrames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.in_frame {
                self.in_frame = self.next_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            match self.decoder.read(buffer)? {
                0 => self.in_frame = false,
                length => return Ok(length),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::write::GzEncoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        Decoder::new(bytes)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn several_members_and_frames_are_one_stream() {
        let zstd = |bytes: &[u8]| compress_to_vec(bytes, CompressionLevel::Fastest);
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        assert_eq!(decoded(b"plain").unwrap(), b"plain");
        assert_eq!(decoded(&[gzip(b"one "), gzip(b"two")].concat()).unwrap(), b"one two");
        assert_eq!(decoded(&[&skippable, &zstd(b"one ")[..], &skippable, &zstd(b"two")].concat()).unwrap(), b"one two");
        assert_eq!(decoded(&[]).unwrap(), b"");
    }

    #[test]
    fn truncated_and_trailing_bytes_are_errors() {
        let zstd = compress_to_vec(&b"some bytes, and some bytes more"[..], CompressionLevel::Fastest);
        let gzip = gzip(b"some bytes, and some bytes more");
        assert!(decoded(&gzip[..gzip.len() - 3]).is_err());
        assert!(decoded(&zstd[..zstd.len() - 3]).is_err());
        assert!(decoded(&[&gzip[..], b"garbage"].concat()).is_err());
        assert!(decoded(&[&zstd[..], b"garbage"].concat()).is_err());
    }

    #[test]
    fn a_zstd_window_over_eight_mebibytes_is_refused() {
        // Magic, a descriptor without single segment, and the window byte of 128 MiB (exponent 17).
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 17 << 3, 1, 0, 0];
        assert!(decoded(&frame).is_err());
    }
}
