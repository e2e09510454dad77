//! The data channel of Session Manager, on which ECS Exec speaks: its messages (`message`), what stands in them (`payload`), the
//! sequence of both directions with acknowledgements and resends (`channel`), and the words of a command (`words`). Pure: the
//! endpoint has the socket, the clock and the process.
//!
//! Written from the public description of the protocol that the clients (session-manager-plugin and others) speak.

mod channel;
mod message;
mod payload;
mod words;

pub use channel::{Channel, Received, Room, Stamp};
pub use message::{Message, MessageError, MessageKind, PayloadType};
pub use payload::{Flag, Open, Size, channel_closed, handshake_complete, handshake_request};
pub use words::words;
