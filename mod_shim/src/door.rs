//! What a request in flight may ask of httpd. The real one is in `ffi`; tests bring their own.

use bytes::Bytes;
use std::os::fd::OwnedFd;
use wsgid_proto::expand;
use wsgid_proto::hook;
use wsgid_proto::response::{CallSite, Level};

/// What reading the client's body came to. Counts are bytes put into the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyPart {
    /// There may be more.
    More(usize),
    /// That was the end.
    Last(usize),
    /// The client broke it off: what it would be answered with, if nothing else is said.
    Torn(i32),
    /// It can't be read; the request is to be answered with this status, in httpd's sense: a negative
    /// one says that a filter has answered already.
    Failed(i32),
}

/// The client is gone: nothing can be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientGone;

/// httpd could not take a file over; its log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTaken;

/// One request's side of httpd.
pub trait Door: expand::Request {
    /// Is this the address of one of the configured proxies? `None` if it is no address.
    fn trusts(&self, address: &[u8]) -> Option<bool>;
    /// Reads a part of the body, waiting for it. `Expect: 100-continue` is answered by the first call.
    fn read_body(&mut self, buffer: &mut [u8]) -> BodyPart;
    /// The same without waiting, once the first part has been read: [`BodyPart::More`] of nothing if nothing has come.
    fn body_at_hand(&mut self, buffer: &mut [u8]) -> BodyPart;
    /// Begins the response.
    fn set_status(&mut self, status: u16, reason: &[u8]);
    /// Adds a header, keeping what is already there under that name.
    fn add_header(&mut self, name: &[u8], value: &[u8]);
    /// Is httpd to answer in place of the application, whose head is all there now? Then its body is not
    /// wanted.
    fn diverts(&mut self) -> bool;
    /// Has httpd answer; returns what the handler returns.
    fn divert(&mut self) -> i32;
    /// The client may take nothing of the response for so many seconds, in place of Apache's `Timeout`.
    fn client_timeout(&mut self, seconds: u32);
    /// Adds bytes to what goes out with the next pass.
    fn append(&mut self, bytes: Bytes);
    /// Adds a part of a file.
    fn append_file(&mut self, file: OwnedFd, offset: u64, length: u64) -> Result<(), NotTaken>;
    /// Sends what was appended.
    fn pass(&mut self) -> Result<(), ClientGone>;
    /// Sends what was appended; the response is whole.
    fn finish(&mut self) -> Result<(), ClientGone>;
    /// Sends what was appended; the client is made to see that the response is not whole.
    fn truncate(&mut self);
    /// What a worker asks for, if httpd has it.
    fn answer(&mut self, ask: &hook::Ask) -> Option<Bytes>;
    /// Leaves the number of a message with the request, for `LogFormat` and `ErrorDocument`.
    fn note(&mut self, number: &str);
    /// One line for the error log of the request's virtual host, and where in the application it was logged.
    fn log(&mut self, level: Level, text: &[u8], site: Option<&CallSite>);
}
