//! As much of a browser as logging in and filling in forms takes: cookies, and forms as bytes.

use crate::client::{Reply, Request};
use crate::stack::Stack;
use std::collections::BTreeMap;

/// One visitor.
#[derive(Debug)]
pub struct Browser<'a> {
    stack: &'a Stack,
    cookies: BTreeMap<String, String>,
}

/// A file of a form.
#[derive(Debug)]
pub struct Upload<'a> {
    /// Field.
    pub field: &'a str,
    /// File name.
    pub name: &'a str,
    /// Content.
    pub content: &'a [u8],
}

const BOUNDARY: &str = "b0undary-of-the-test";

impl<'a> Browser<'a> {
    /// A visitor without cookies.
    pub fn of(stack: &'a Stack) -> Self {
        Self { stack, cookies: BTreeMap::new() }
    }

    /// A cookie that it holds.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// GET.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Reply {
        self.ask(Request::get(target))
    }

    /// POST of a form's fields.
    #[track_caller]
    pub fn submit(&mut self, target: &str, fields: &[(&str, &str)]) -> Reply {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = Request::post(target, pairs.join("&"));
        self.ask(request.header("Content-Type", "application/x-www-form-urlencoded"))
    }

    /// POST of a form with a file.
    #[track_caller]
    pub fn upload(&mut self, target: &str, fields: &[(&str, &str)], file: &Upload) -> Reply {
        let mut body = Vec::new();
        for (name, value) in fields {
            let part =
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
            body.extend(part.bytes());
        }
        let (field, name) = (file.field, file.name);
        let disposition = format!("Content-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"");
        body.extend(
            format!("--{BOUNDARY}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n")
                .bytes(),
        );
        body.extend(file.content);
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.ask(Request::post(target, body).header("Content-Type", &kind))
    }

    #[track_caller]
    fn ask(&mut self, request: Request) -> Reply {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request =
            if cookies.is_empty() { request } else { request.header("Cookie", &cookies.join("; ")) };
        let reply = self.stack.ask(&request);
        for cookie in reply.all("Set-Cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.into(), value.into());
        }
        reply
    }
}

/// The form's encoding of a value.
fn encode(value: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
    value.bytes().map(|b| if plain(&b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

/// The value of the input field of this name in a page.
pub fn field(page: &str, name: &str) -> Option<String> {
    let input = page.split(&format!("name=\"{name}\" value=\"")).nth(1)?;
    input.split('"').next().map(String::from)
}
