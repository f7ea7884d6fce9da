//! A child of httpd's with one request, which has a large body and a large answer: everything that the module says
//! and counts on the way, in its order, with a name for each state in between.

use crate::part::Part;
use mod_wsgid::broker;
use mod_wsgid::channel::Channel;
use mod_wsgid::sys::futex_wait;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wsgid_proto::Message;
use wsgid_proto::board::{Board, PATIENT, Row, Search, Standing};
use wsgid_proto::broker::{OpenPool, worker_socket};
use wsgid_proto::frame::{self, Kind};
use wsgid_proto::request::{BodyWanted, HeadFields, HeadWriter};
use wsgid_tests::peer::Errand;

/// The first part of the body, and the last.
static HALF: [u8; 64 << 10] = [b'x'; 64 << 10];

/// From its first moment to the end of its request, unless its part ends before.
pub fn play(part: &Part, errand: &Errand) {
    let ask = OpenPool {
        instance: errand.instance.clone(),
        process_group: errand.process_group.clone(),
        ..Default::default()
    };
    let opened = broker::open(&errand.broker, &ask).unwrap();
    let board = Board::open(opened.mapping.words()).unwrap();
    let row = board.join(std::process::id());
    part.at("opened");
    if part.ends("queued") {
        queue(part, board, row);
    }
    let Search::Claimed(claim, entry) = board.claim(row, Standing::Newcomer) else {
        panic!("there is no free thread");
    };
    part.at("claimed");
    let socket = PathBuf::from(&opened.pool.socket_dir).join(worker_socket(opened.pool.pool, claim.serial));
    let mut channel = Channel::connect(&socket, Duration::ZERO).unwrap();
    part.at("connected");
    part.send(&channel, &head(&errand.script), "half_a_head_sent", "head_sent_and_in_hand");
    board.clear(entry);
    part.at("head_sent");
    upload(part, &mut channel);
    download(part, &mut channel);
}

/// Waits as the module does, and for ever.
fn queue(part: &Part, board: Board<'_>, row: Option<Row>) {
    let (word, seen) = board.freed();
    let _queued = board.enqueue(row, u32::MAX).unwrap();
    part.leave_mark();
    loop {
        futex_wait(word, seen, PATIENT, Duration::from_secs(3600));
    }
}

fn head(script: &Path) -> Vec<u8> {
    let mut writer = HeadWriter::new(Vec::new());
    let length = (2 * HALF.len()).to_string();
    for (name, value) in [
        ("REQUEST_METHOD", "POST"),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", "/big"),
        ("QUERY_STRING", ""),
        ("SERVER_NAME", "localhost"),
        ("SERVER_PORT", "80"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("CONTENT_LENGTH", &length),
    ] {
        writer.variable(name.as_bytes(), value.as_bytes());
    }
    let fields = HeadFields {
        script: script.as_os_str().as_bytes(),
        callable: b"application",
        process_group: b"site",
        handler: b"wsgi-script",
        ..Default::default()
    };
    writer.finish(&fields).unwrap()
}

fn upload(part: &Part, channel: &mut Channel) {
    BodyWanted::from_frame(channel.receive().unwrap()).unwrap();
    part.at("body_wanted");
    let chunk = |kind| {
        let mut bytes = Vec::new();
        frame::put(&mut bytes, kind, &HALF);
        bytes
    };
    part.send(channel, &chunk(Kind::BodyChunk), "half_a_chunk_sent", "half_the_body_sent");
    BodyWanted::from_frame(channel.receive().unwrap()).unwrap();
    part.send(channel, &chunk(Kind::BodyLast), "most_of_the_body_sent", "body_sent");
}

fn download(part: &Part, channel: &mut Channel) {
    let mut received = 0;
    loop {
        let frame = channel.receive().unwrap();
        match frame.kind {
            Kind::ResponseHead => part.at("head_received"),
            Kind::Chunk => received += frame.payload.len(),
            Kind::End => break part.at("end_received"),
            other => panic!("{other:?}"),
        }
        if received >= 1 << 20 {
            part.at("half_the_response_received");
        }
    }
}
