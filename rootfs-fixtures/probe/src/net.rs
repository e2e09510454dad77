//! Verbs that speak to others: a listener, a client, and a liar about its own address.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::resolve;
use crate::signal;
use crate::{Outcome, optional, required};

/// How long a client waits for a connection and for each read.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a listener waits for a request before it answers one who says nothing.
const GRACE: Duration = Duration::from_millis(200);

/// `listen PORT [TEXT]`: says `listening`, then answers TEXT (the host's name if none) to each connection, as HTTP to
/// those who ask in HTTP.
pub fn listen(args: &[String]) -> Outcome {
    let port: u16 = required(args, 0)?;
    let text = match optional(args, 1)? {
        Some(text) => text,
        None => std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned(),
    };
    signal::exit_when_asked();
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    println!("listening {port}");
    loop {
        let (stream, peer) = listener.accept()?;
        if let Err(error) = answer(stream, &text) {
            eprintln!("{peer}: {error}");
        }
    }
}

fn answer(mut stream: TcpStream, text: &str) -> io::Result<()> {
    stream.set_read_timeout(Some(GRACE))?;
    let mut request = [0; 4096];
    let length = match stream.read(&mut request) {
        Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Err(error),
        read => read.unwrap_or(0),
    };
    if request[..length].windows(5).any(|window| window == b"HTTP/") {
        let size = text.len() + 1;
        write!(stream, "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n")?;
    }
    writeln!(stream, "{text}")
}

/// `connect HOST PORT`: prints what it reads. Exit code 1 is refused, 2 is no answer in time.
pub fn connect(args: &[String]) -> Outcome {
    let host: String = required(args, 0)?;
    let address = *resolve::addresses(&host)?.first().ok_or_else(|| format!("{host} has no address"))?;
    let result = TcpStream::connect_timeout(&SocketAddr::from((address, required(args, 1)?)), PATIENCE).and_then(
        |mut stream| {
            stream.shutdown(std::net::Shutdown::Write)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            io::copy(&mut stream, &mut io::stdout().lock())
        },
    );
    match result {
        Ok(_) => Ok(0),
        Err(error) => {
            eprintln!("{host}: {error}");
            Ok(if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) { 2 } else { 1 })
        }
    }
}

/// `spoof SOURCE DESTINATION PORT`: sends one UDP datagram (`spoofed`) under a source address that may be foreign.
pub fn spoof(args: &[String]) -> Outcome {
    let (source, destination): (Ipv4Addr, Ipv4Addr) = (required(args, 0)?, required(args, 1)?);
    let packet = datagram(source, destination, required(args, 2)?, b"spoofed\n")?;
    // SAFETY: no pointer is passed.
    let socket = unsafe { libc::socket(libc::AF_INET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::IPPROTO_RAW) };
    if socket == -1 {
        return Err(format!("raw socket: {}", io::Error::last_os_error()).into());
    }
    let to = libc::sockaddr_in {
        sin_family: libc::sa_family_t::try_from(libc::AF_INET)?,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(destination.octets()) },
        sin_zero: [0; 8],
    };
    let size = libc::socklen_t::try_from(size_of_val(&to))?;
    // SAFETY: both pointers are to values that live through the call, with their own lengths.
    let sent = unsafe { libc::sendto(socket, packet.as_ptr().cast(), packet.len(), 0, (&raw const to).cast(), size) };
    if sent == -1 {
        return Err(format!("send: {}", io::Error::last_os_error()).into());
    }
    println!("sent={sent}");
    Ok(0)
}

/// An IPv4 packet with a UDP datagram (RFC 791, RFC 768). The kernel fills in the header's checksum; UDP's is absent.
fn datagram(source: Ipv4Addr, destination: Ipv4Addr, port: u16, payload: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let udp = u16::try_from(8 + payload.len())?;
    let mut packet = vec![0x45, 0];
    packet.extend((20 + udp).to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, 17, 0, 0]); // id 1, no fragment, ttl 64, UDP
    packet.extend(source.octets());
    packet.extend(destination.octets());
    for field in [port, port, udp, 0] {
        packet.extend(field.to_be_bytes());
    }
    packet.extend(payload);
    Ok(packet)
}
