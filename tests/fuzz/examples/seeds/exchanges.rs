//! Exchanges, as either side hears them from the other.

use crate::Named;
use crate::messages::{framed, hook_head, request_head, response_head};
use std::slice;
use wsgid_fuzz::input::Seed;
use wsgid_proto::Message;
use wsgid_proto::frame::Kind;
use wsgid_proto::hook::{Ask, Verdict};
use wsgid_proto::request::{BodyError, BodyWanted};
use wsgid_proto::response::{Abort, AbortCause, File, Level, Log};

pub fn seeds() -> Vec<Named> {
    [relays(), hooks(), connections(), bodies()].concat()
}

/// How the client's body ends, as the target numbers it.
const LAST_EMPTY: u8 = 0;
const LAST: u8 = 1;
const TOO_LARGE: u8 = 2;
const ANSWERED: u8 = 3;

/// On which frames descriptors ride.
const FILES: u8 = 2;
const FLOOD: u8 = 1;

/// A worker's words to a relay whose client sends three parts of seven bytes.
fn relay(end: u8, passes: u8, riders: u8, gone: u8, words: &[Vec<u8>]) -> Vec<u8> {
    let seed = Seed::default().number(3).number(7).number(end).number(0).number(passes);
    seed.number(riders).number(gone).rest(words.concat()).finish()
}

fn relays() -> Vec<Named> {
    let head = framed(Kind::ResponseHead, &response_head(200, b"OK"));
    let (chunk, end) = (framed(Kind::Chunk, b"hello"), framed(Kind::End, b""));
    let log = Log { level: Level::Warning, text: "careful".into(), site: None }.frame();
    let wanted = BodyWanted { max: 100 }.frame();
    let file = File { offset: 1, length: 2 }.frame();
    let beyond = File { offset: u64::MAX, length: 2 }.frame();
    let abort = Abort { cause: AbortCause::Body, detail: "it raised".into() }.frame();
    let pulls = |after: &[Vec<u8>]| [vec![wanted.clone(); 4], after.to_vec()].concat();
    let whole = [log.clone(), head.clone(), chunk.clone(), chunk.clone(), end.clone()];
    let answer = [head.clone(), chunk.clone(), end.clone()];
    let asks = [Ask::ServerMetrics.frame(), head.clone(), Ask::IsHttps.frame(), end.clone()];
    let files = [head.clone(), file.clone(), chunk.clone(), file.clone(), end.clone()];
    vec![
        ("relay", "whole", relay(LAST, 9, 0, 0, &whole)),
        ("relay", "body-then-answer", relay(LAST, 9, 0, 0, &pulls(&answer))),
        ("relay", "empty-last-part", relay(LAST_EMPTY, 9, 0, 0, &pulls(&answer))),
        ("relay", "body-too-large", relay(TOO_LARGE, 9, 0, 0, &pulls(slice::from_ref(&abort)))),
        ("relay", "answered-by-a-filter", relay(ANSWERED, 9, 0, 0, &pulls(&answer))),
        ("relay", "pull-once-too-often", relay(LAST, 9, 0, 0, &pulls(slice::from_ref(&wanted)))),
        ("relay", "files", relay(LAST, 9, FILES, 0, &files)),
        ("relay", "file-without-descriptor", relay(LAST, 9, 0, 0, &files)),
        ("relay", "file-beyond-any-end", relay(LAST, 9, FILES, 0, &[head.clone(), beyond])),
        ("relay", "descriptors-on-all", relay(LAST, 9, FLOOD, 0, &files)),
        ("relay", "client-gone", relay(LAST, 0, 0, 0, &[head.clone(), chunk.clone(), wanted.clone()])),
        ("relay", "client-gone-at-a-file", relay(LAST, 0, FILES, 0, &files)),
        ("relay", "worker-gone-unread", relay(LAST, 9, 0, 1, &[])),
        ("relay", "worker-gone-midway", relay(LAST, 9, 0, 1, &[head.clone(), chunk.clone()])),
        ("relay", "abort-at-once", relay(LAST, 9, 0, 0, slice::from_ref(&abort))),
        ("relay", "abort-midway", relay(LAST, 9, 0, 0, &[head.clone(), chunk.clone(), abort])),
        ("relay", "torn", relay(LAST, 9, 0, 0, &[head.clone(), chunk[..7].to_vec()])),
        ("relay", "asks", relay(LAST, 9, 0, 0, &asks)),
        ("relay", "two-heads", relay(LAST, 9, 0, 0, &[head.clone(), head])),
        ("relay", "no-head", relay(LAST, 9, 0, 0, &[chunk, end])),
    ]
}

/// A worker's words about a hook, by its place among the hooks.
fn hook(place: u8, metrics: u8, words: &[Vec<u8>]) -> Vec<u8> {
    Seed::default().number(place).number(0).number(metrics).rest(words.concat()).finish()
}

fn hooks() -> Vec<Named> {
    let log = Log { level: Level::Warning, text: "careful".into(), site: None }.frame();
    let asks =
        [Ask::IsHttps.frame(), Ask::ServerMetrics.frame(), Ask::SslVariable("SSL_CIPHER".into()).frame()];
    let abort = Abort { cause: AbortCause::Verdict, detail: "it answered 1".into() }.frame();
    let granted = Verdict::Granted.frame();
    let asked = [&[log], &asks[..], slice::from_ref(&granted)].concat();
    let user = Verdict::User("ann".into()).frame();
    vec![
        ("hook", "granted", hook(0, 0, slice::from_ref(&granted))),
        ("hook", "asks-first", hook(0, 1, &asked)),
        ("hook", "user", hook(1, 0, slice::from_ref(&user))),
        ("hook", "verdict-of-another", hook(3, 0, slice::from_ref(&granted))),
        ("hook", "groups", hook(3, 0, &[Verdict::Groups(vec!["staff".into()]).frame()])),
        ("hook", "route", hook(4, 0, &[Verdict::Route(Default::default()).frame()])),
        ("hook", "abort-then-granted", hook(0, 0, &[abort, granted.clone()])),
        ("hook", "torn", hook(0, 0, &[granted[..granted.len() - 1].to_vec()])),
        ("hook", "end-then-granted", hook(0, 0, &[framed(Kind::End, b""), granted])),
    ]
}

/// An application's reads, and a shim's words, each at its turn.
fn connection(reads: &[(u8, u16)], words: &[Vec<u8>]) -> Vec<u8> {
    let reads =
        reads.iter().fold(Seed::default(), |seed, &(is_line, size)| seed.number(is_line).large_number(size));
    words.iter().fold(Seed::default().bytes(reads.finish()), |seed, word| seed.bytes(word)).finish()
}

fn connections() -> Vec<Named> {
    const ALL: u16 = u16::MAX;
    let (small, large) = (request_head(b"a=1\nb=2", true), request_head(b"a=1", false));
    let part = framed(Kind::BodyChunk, b"more\nlines");
    let last = framed(Kind::BodyLast, b"!");
    let error = BodyError { reason: "the client has gone".into() }.frame();
    let eager = [large.clone(), part.clone()].concat();
    let (front, back) = large.split_at(20);
    let in_two = [front.to_vec(), back.to_vec(), last.clone(), small.clone()];
    vec![
        ("connection", "small-body", connection(&[(1, ALL), (0, ALL)], slice::from_ref(&small))),
        (
            "connection",
            "pulled-body",
            connection(&[(1, ALL), (0, 2), (0, ALL)], &[large.clone(), part.clone(), last.clone()]),
        ),
        ("connection", "two-requests", connection(&[(0, ALL)], &[large.clone(), last.clone(), small])),
        ("connection", "head-in-two", connection(&[(0, ALL)], &in_two)),
        ("connection", "body-fails", connection(&[(0, ALL), (0, 1)], &[large.clone(), part.clone(), error])),
        ("connection", "eager", connection(&[(0, ALL)], &[eager])),
        ("connection", "torn-part", connection(&[(0, ALL)], &[large.clone(), part[..8].to_vec()])),
        ("connection", "out-of-turn", connection(&[(0, ALL)], &[large.clone(), large])),
        ("connection", "hook", connection(&[], &[hook_head()])),
        ("connection", "no-head", connection(&[], &[part])),
        ("connection", "nothing", connection(&[], &[])),
    ]
}

fn bodies() -> Vec<Named> {
    let parts = |complete: u8, cut_short: u8| {
        let seed = Seed::default().bytes("first\nand").number(complete).number(cut_short);
        seed.number(3).bytes(" second\n").bytes("").bytes("third")
    };
    let reads = [1, 0xff, 0, 3, 0, 0, 1, 4, 0, 0xff, 0, 1];
    vec![
        ("body", "read-to-the-end", parts(0, 0).rest(reads).finish()),
        ("body", "complete-at-once", parts(1, 0).rest(reads).finish()),
        ("body", "cut-short", parts(0, 1).rest(reads).finish()),
    ]
}
