//! One request over TLS, by openssl(1).

use std::io::Write;
use std::process::{Command, Stdio};

/// GET in HTTP/1.0, so that the body is all that follows the head; answers both.
#[track_caller]
pub fn get(port: u16, host: &str, target: &str) -> (String, String) {
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-quiet", "-connect", &format!("127.0.0.1:{port}"), "-servername", host]);
    let mut client =
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let request = format!("GET {target} HTTP/1.0\r\nHost: {host}\r\n\r\n");
    client.stdin.take().unwrap().write_all(request.as_bytes()).unwrap();
    let reply = String::from_utf8(client.wait_with_output().unwrap().stdout).unwrap();
    let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {reply}"));
    (head.into(), body.into())
}
