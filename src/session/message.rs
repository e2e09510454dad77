//! One message of the data channel: a header of fixed size, big-endian, and a payload. What a number in it means is said here
//! and nowhere else.
//!
//! ```text
//! header length u32 | type, 32 bytes | schema version u32 | created, ms u64 | sequence i64 | flags u64 | id, 16 bytes |
//! SHA-256 of the payload, 32 bytes | payload type u32 | payload length u32 | payload
//! ```

use sha2::{Digest, Sha256};

/// What the header length says: the bytes before the payload's length.
const HEADER: usize = 116;
const LENGTH_FIELD: usize = 4;
const KIND_FIELD: usize = 32;
const SCHEMA_VERSION: u32 = 1;
/// The largest payload that is taken: clients send 1,024 bytes at most, their answer to a handshake apart.
const PAYLOAD_MAX: usize = 8 << 10;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// From the client.
    InputStreamData,
    /// To the client.
    OutputStreamData,
    /// One of the two has arrived.
    Acknowledge,
    /// The end, to the client.
    ChannelClosed,
    /// The other side takes messages again.
    StartPublication,
    /// The other side takes none for a while.
    PausePublication,
}

impl MessageKind {
    const ALL: [Self; 6] = [
        Self::InputStreamData,
        Self::OutputStreamData,
        Self::Acknowledge,
        Self::ChannelClosed,
        Self::StartPublication,
        Self::PausePublication,
    ];

    /// Its name in the header.
    pub fn name(self) -> &'static str {
        match self {
            Self::InputStreamData => "input_stream_data",
            Self::OutputStreamData => "output_stream_data",
            Self::Acknowledge => "acknowledge",
            Self::ChannelClosed => "channel_closed",
            Self::StartPublication => "start_publication",
            Self::PausePublication => "pause_publication",
        }
    }
}

/// What a payload is, in stream data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadType {
    /// Bytes of the terminal, in both directions.
    Output,
    /// The size of the client's terminal.
    Size,
    /// What the client is asked to do first.
    HandshakeRequest,
    /// What it has done.
    HandshakeResponse,
    /// The terminal begins.
    HandshakeComplete,
    /// A number that asks for something.
    Flag,
    /// The code that the process has ended with, as digits.
    ExitCode,
    /// Nothing that is used here; acknowledgements have 0.
    Other(u32),
}

impl PayloadType {
    /// Its number.
    pub fn number(self) -> u32 {
        match self {
            Self::Output => 1,
            Self::Size => 3,
            Self::HandshakeRequest => 5,
            Self::HandshakeResponse => 6,
            Self::HandshakeComplete => 7,
            Self::Flag => 10,
            Self::ExitCode => 12,
            Self::Other(number) => number,
        }
    }

    fn of(number: u32) -> Self {
        let known = [
            Self::Output,
            Self::Size,
            Self::HandshakeRequest,
            Self::HandshakeResponse,
            Self::HandshakeComplete,
            Self::Flag,
            Self::ExitCode,
        ];
        known.into_iter().find(|kind| kind.number() == number).unwrap_or(Self::Other(number))
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub kind: MessageKind,
    /// When it was made, in milliseconds since the epoch.
    pub created: u64,
    /// Its place in the stream of its direction; 0 for what is in none.
    pub sequence: i64,
    /// 1 for the first of a stream, 2 for the last.
    pub flags: u64,
    /// Its UUID.
    pub id: u128,
    /// What the payload is.
    pub payload_type: PayloadType,
    /// The payload.
    pub payload: Vec<u8>,
}

/// Bytes that are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// It is shorter, or longer, than it says.
    #[error("a message of {0} bytes does not have the length that it says")]
    Length(usize),
    /// It is of no known type.
    #[error("a message of an unknown type")]
    Kind,
    /// The payload is not the one that was sent.
    #[error("a message whose payload does not have the digest that it says")]
    Digest,
}

/// The two halves of a UUID stand the other way round on the wire.
fn swapped(id: u128) -> u128 {
    id.rotate_left(64)
}

impl Message {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + LENGTH_FIELD + self.payload.len());
        bytes.extend((HEADER as u32).to_be_bytes());
        bytes.extend(format!("{:<width$}", self.kind.name(), width = KIND_FIELD).into_bytes());
        bytes.extend(SCHEMA_VERSION.to_be_bytes());
        bytes.extend(self.created.to_be_bytes());
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend(self.flags.to_be_bytes());
        bytes.extend(swapped(self.id).to_be_bytes());
        bytes.extend(Sha256::digest(&self.payload));
        bytes.extend(self.payload_type.number().to_be_bytes());
        bytes.extend(u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    /// The message that bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let wrong = MessageError::Length(bytes.len());
        let mut rest = bytes;
        let header = u32::from_be_bytes(take(&mut rest).ok_or(wrong)?);
        let name: [u8; KIND_FIELD] = take(&mut rest).ok_or(wrong)?;
        let _schema: [u8; 4] = take(&mut rest).ok_or(wrong)?;
        let created = u64::from_be_bytes(take(&mut rest).ok_or(wrong)?);
        let sequence = i64::from_be_bytes(take(&mut rest).ok_or(wrong)?);
        let flags = u64::from_be_bytes(take(&mut rest).ok_or(wrong)?);
        let id = swapped(u128::from_be_bytes(take(&mut rest).ok_or(wrong)?));
        let digest: [u8; 32] = take(&mut rest).ok_or(wrong)?;
        let payload_type = PayloadType::of(u32::from_be_bytes(take(&mut rest).ok_or(wrong)?));
        let length = u32::from_be_bytes(take(&mut rest).ok_or(wrong)?);
        if header as usize != HEADER || length as usize != rest.len() || rest.len() > PAYLOAD_MAX {
            return Err(wrong);
        }
        let name = name.trim_ascii_end();
        let name = &name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())];
        let kind = MessageKind::ALL.into_iter().find(|kind| kind.name().as_bytes() == name);
        let kind = kind.ok_or(MessageError::Kind)?;
        if !rest.is_empty() && Sha256::digest(rest).as_slice() != digest {
            return Err(MessageError::Digest);
        }
        Ok(Self { kind, created, sequence, flags, id, payload_type, payload: rest.to_vec() })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> Message {
        Message {
            kind: MessageKind::OutputStreamData,
            created: 1_700_000_000_123,
            sequence: 7,
            flags: 1,
            id: 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff,
            payload_type: PayloadType::Output,
            payload: b"hi".to_vec(),
        }
    }

    #[test]
    fn every_field_stands_where_the_protocol_has_it() {
        let bytes = message().encode();
        assert_eq!(bytes.len(), 122);
        assert_eq!(bytes[..4], [0, 0, 0, 116]);
        assert_eq!(&bytes[4..36], b"output_stream_data              ");
        assert_eq!(bytes[36..40], [0, 0, 0, 1]);
        assert_eq!(bytes[40..48], 1_700_000_000_123_u64.to_be_bytes());
        assert_eq!(bytes[48..56], [0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(bytes[56..64], [0, 0, 0, 0, 0, 0, 0, 1]);
        let halves = [0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77];
        assert_eq!(bytes[64..80], halves);
        // sha256 of "hi"
        assert_eq!(bytes[80..84], [0x8f, 0x43, 0x43, 0x46]);
        assert_eq!(bytes[112..116], [0, 0, 0, 1]);
        assert_eq!(bytes[116..120], [0, 0, 0, 2]);
        assert_eq!(&bytes[120..], b"hi");
        assert_eq!(Message::decode(&bytes).unwrap(), message());
    }

    #[test]
    fn what_is_cut_changed_or_of_no_known_type_is_refused() {
        let whole = message().encode();
        for length in 0..whole.len() {
            assert_eq!(Message::decode(&whole[..length]), Err(MessageError::Length(length)));
        }
        let with = |place: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[place] = byte;
            Message::decode(&bytes)
        };
        assert_eq!(with(121, b'o'), Err(MessageError::Digest));
        assert_eq!(with(4, b'x'), Err(MessageError::Kind));
        assert_eq!(with(3, 117), Err(MessageError::Length(122)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn what_was_written_is_read(payload in proptest::collection::vec(any::<u8>(), 0..2000), id: u128, sequence: i64) {
            let message = Message { payload, id, sequence, ..message() };
            prop_assert_eq!(Message::decode(&message.encode()).unwrap(), message);
        }
    }
}
