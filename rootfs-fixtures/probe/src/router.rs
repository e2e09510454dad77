//! A log router: hears the forward protocol of fluentd on a socket, and prints what it hears.

use std::io::{BufReader, Error, ErrorKind, Read, Result, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;
use std::time::Duration;

use crate::signal;
use crate::{Outcome, required};

/// How long what was sent before SIGTERM may take to be printed.
const REST: Duration = Duration::from_millis(500);
/// More than this is no message of a test.
const LONGEST: usize = 16 << 20;

/// `router SOCKET`: says `ready`, prints each record as `TAG SOURCE LOG`, and after SIGTERM the rest and `TERM`.
pub fn router(args: &[String]) -> Outcome {
    let path: String = required(args, 0)?;
    let set = signal::block(&[libc::SIGTERM]);
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    println!("ready");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || hear(stream));
        }
    });
    signal::wait(&set)?;
    thread::sleep(REST);
    println!("TERM");
    Ok(0)
}

fn hear(stream: UnixStream) {
    let mut reader = BufReader::new(stream);
    loop {
        match value(&mut reader).map(|message| print(&message)) {
            Ok(Some(())) => {}
            Ok(None) => eprintln!("this is no message of the forward protocol"),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return,
            Err(error) => return eprintln!("{error}"),
        }
    }
}

/// MessagePack, as far as the protocol needs it.
enum Value {
    Other,
    Text(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

/// `[tag, [[time, record], ...], options]`
fn print(message: &Value) -> Option<()> {
    let Value::List(parts) = message else { return None };
    let [Value::Text(tag), Value::List(entries), ..] = &parts[..] else { return None };
    let mut out = std::io::stdout().lock();
    for entry in entries {
        let Value::List(pair) = entry else { return None };
        let [_, Value::Map(record)] = &pair[..] else { return None };
        let field = |name: &str| {
            let found = record.iter().find(|(key, _)| matches!(key, Value::Text(key) if key == name));
            found.and_then(|(_, value)| if let Value::Text(text) = value { Some(text.as_str()) } else { None })
        };
        writeln!(out, "{tag} {} {}", field("source")?, field("log")?).ok()?;
    }
    Some(())
}

fn value(reader: &mut impl Read) -> Result<Value> {
    let kind = number(reader, 1)?;
    Ok(match kind {
        0x80..=0x8f => map(reader, kind & 0xf)?,
        0x90..=0x9f => list(reader, kind & 0xf)?,
        0xa0..=0xbf => text(reader, kind & 0x1f)?,
        0xd9 => sized(reader, 1, text)?,
        0xda => sized(reader, 2, text)?,
        0xdb => sized(reader, 4, text)?,
        0xdc => sized(reader, 2, list)?,
        0xdd => sized(reader, 4, list)?,
        0xde => sized(reader, 2, map)?,
        0xdf => sized(reader, 4, map)?,
        0xcc | 0xd0 => skip(reader, 1)?,
        0xcd | 0xd1 => skip(reader, 2)?,
        0xca | 0xce | 0xd2 => skip(reader, 4)?,
        0xcb | 0xcf | 0xd3 => skip(reader, 8)?,
        // a time: an extension of eight bytes
        0xd7 => skip(reader, 9)?,
        0xc7 => {
            let length = number(reader, 1)?;
            skip(reader, length + 1)?
        }
        _ => Value::Other,
    })
}

fn number(reader: &mut impl Read, bytes: usize) -> Result<usize> {
    let mut buffer = [0; 8];
    reader.read_exact(&mut buffer[8 - bytes..])?;
    usize::try_from(u64::from_be_bytes(buffer)).map_err(Error::other)
}

fn sized<R: Read>(reader: &mut R, bytes: usize, then: fn(&mut R, usize) -> Result<Value>) -> Result<Value> {
    match number(reader, bytes)? {
        length if length > LONGEST => Err(Error::other("a message is too long")),
        length => then(reader, length),
    }
}

fn skip(reader: &mut impl Read, bytes: usize) -> Result<Value> {
    (0..bytes).try_for_each(|_| number(reader, 1).map(drop)).map(|()| Value::Other)
}

fn text(reader: &mut impl Read, length: usize) -> Result<Value> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes)?;
    Ok(Value::Text(String::from_utf8_lossy(&bytes).into_owned()))
}

fn list(reader: &mut impl Read, length: usize) -> Result<Value> {
    (0..length).map(|_| value(reader)).collect::<Result<_>>().map(Value::List)
}

fn map(reader: &mut impl Read, length: usize) -> Result<Value> {
    (0..length).map(|_| Ok((value(reader)?, value(reader)?))).collect::<Result<_>>().map(Value::Map)
}
