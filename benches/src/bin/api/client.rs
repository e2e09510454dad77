//! A client that does as little as a client can: one connection, a signature made by AWS's crate, one answer at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bench::Failure;
use serde_json::Value;

pub struct Client {
    stream: BufReader<TcpStream>,
    address: String,
    key: (String, String),
}

impl Client {
    pub fn new(address: &str, key: (String, String)) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream), address: address.to_owned(), key })
    }

    /// Calls an action; anything but 200 is an error.
    pub fn call(&mut self, action: &str, request: &Value) -> Result<Value, Failure> {
        let body = request.to_string();
        let target = format!("AmazonEC2ContainerServiceV20141113.{action}");
        let headers = [("host", self.address.as_str()), ("x-amz-target", &target)];
        let identity = Credentials::new(&self.key.0, &self.key.1, None, None, "bench").into();
        let params = v4::SigningParams::builder().identity(&identity).region("us-east-1").name("ecs");
        let params = params.time(SystemTime::now()).settings(SigningSettings::default()).build()?.into();
        let uri = format!("http://{}/", self.address);
        let signable = SignableRequest::new("POST", uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))?;
        let (made, _) = sign(signable, &params)?.into_parts();
        let mut head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers.into_iter().chain(made.headers()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        self.stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes())?;
        self.answer(action)
    }

    fn answer(&mut self, action: &str) -> Result<Value, Failure> {
        let (mut status, mut length) = (String::new(), 0);
        self.stream.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse()?,
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        match status.contains(" 200 ") {
            true => Ok(serde_json::from_slice(&body)?),
            false => Err(format!("{action}: {}{}", status, String::from_utf8_lossy(&body)).into()),
        }
    }
}
