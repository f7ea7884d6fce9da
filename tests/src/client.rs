//! HTTP/1.1 as bytes: requests exactly as written, replies exactly as received. It forgives nothing
//! and follows nothing.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// No reply of a working stack takes this long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request, field by field.
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Any method.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// POST with a body and its length.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", target) }
    }

    /// One more header; `Host` is `localhost` unless it is given.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The `Host` header.
    pub fn host(self, host: &str) -> Self {
        self.header("Host", host)
    }

    /// On the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        let has = |name: &str| self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        if !has("Host") {
            head.push_str("Host: localhost\r\n");
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if self.method == "POST" && !has("Content-Length") && !has("Transfer-Encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        [head.as_bytes(), &self.body].concat()
    }
}

/// A reply.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The head as it came, with its empty line.
    pub head: String,
    /// Status code.
    pub status: u16,
    /// Reason phrase.
    pub reason: String,
    /// Names and values in their order.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
    /// The body ended as its framing promised; false if the connection ended before.
    pub whole: bool,
}

impl Reply {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Every header of this name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let of_name = |(given, _): &&(String, String)| given.eq_ignore_ascii_case(name);
        self.headers.iter().filter(of_name).map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("no JSON ({e}): {self:?}"))
    }

    /// Itself, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let shown: String = self.text().chars().take(2000).collect();
        assert_eq!(self.status, status, "{}{shown}", self.head);
        self
    }
}

/// A connection to a port of this machine.
#[derive(Debug)]
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects.
    pub fn open(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Another handle on the same connection, to write while this one reads.
    pub fn writer(&self) -> TcpStream {
        self.stream.get_ref().try_clone().unwrap()
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) {
        let _ = self.stream.get_mut().shutdown(Shutdown::Write);
    }

    /// Sends a request and reads its reply; the connection can then be used again.
    #[track_caller]
    pub fn ask(&mut self, request: &Request) -> Reply {
        self.send(request.bytes());
        if request.method == "HEAD" { self.head_reply().unwrap() } else { self.reply().unwrap() }
    }

    /// Reads one reply, interim ones (100) like any other.
    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut reply = self.head_reply()?;
        let bodiless = reply.status < 200 || matches!(reply.status, 204 | 304);
        if !bodiless {
            reply.whole = self.read_body(&reply.headers, &mut reply.body)?;
        }
        Ok(reply)
    }

    /// Reads a head alone, as a reply to HEAD has one.
    pub fn head_reply(&mut self) -> io::Result<Reply> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if self.stream.read_until(b'\n', &mut head)? == 0 {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, format!("no whole head: {head:?}")));
            }
        }
        // A head is bytes; ISO 8859-1 shows each as one character.
        parse_head(head.into_iter().map(char::from).collect())
            .ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not an HTTP/1.1 head"))
    }

    /// Reads what is there up to `bytes`, blocking for all of it.
    pub fn read_exact(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; bytes];
        self.stream.read_exact(&mut buffer)?;
        Ok(buffer)
    }

    /// Reads one chunk of a chunked body; empty for the last.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim_end(), 16)
            .map_err(|_| io::Error::new(ErrorKind::UnexpectedEof, format!("no chunk size: {line:?}")))?;
        let data = self.read_exact(size + 2)?;
        Ok(data[..size].to_vec())
    }

    fn read_body(&mut self, headers: &[(String, String)], body: &mut Vec<u8>) -> io::Result<bool> {
        let find = |name: &str| headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        if find("Transfer-Encoding").is_some() {
            return self.read_chunks(body);
        }
        match find("Content-Length") {
            Some((_, length)) => {
                let length: u64 = length.parse().map_err(|_| ErrorKind::InvalidData)?;
                let got = (&mut self.stream).take(length).read_to_end(body)?;
                Ok(got as u64 == length)
            }
            None => self.stream.read_to_end(body).map(|_| true),
        }
    }

    fn read_chunks(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        loop {
            match self.chunk() {
                Ok(chunk) if chunk.is_empty() => return Ok(true),
                Ok(chunk) => body.extend(chunk),
                Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => {
                    return Ok(false);
                }
                Err(e) => return Err(e),
            }
        }
    }
}

fn parse_head(head: String) -> Option<Reply> {
    let mut lines = head.split("\r\n");
    let status_line = lines.next()?.strip_prefix("HTTP/1.1 ")?;
    let (status, reason) = status_line.split_once(' ').unwrap_or((status_line, ""));
    let (status, reason) = (status.parse().ok()?, reason.to_string());
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_string(), value.trim_matches([' ', '\t']).to_string()));
    }
    Some(Reply { status, reason, headers, body: Vec::new(), whole: true, head })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_taken_apart() {
        let reply = parse_head("HTTP/1.1 404 Not There\r\nA: b: c\r\nA:d\r\n\r\n".into()).unwrap();
        assert_eq!((reply.status, reply.reason.as_str()), (404, "Not There"));
        assert_eq!(reply.all("a"), ["b: c", "d"]);
        assert!(parse_head("nonsense\r\n\r\n".into()).is_none());
    }

    #[test]
    fn a_request_is_written_exactly() {
        let bytes = Request::post("/x", "ab").host("h").bytes();
        assert_eq!(bytes, b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab");
    }
}
