//! What the wire costs for one request: its head written and read, its answer's head likewise, frames
//! taken apart, and a thread claimed and freed. `cargo bench -p wsgid-proto`.
#![allow(missing_docs)]

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::atomic::AtomicU64;
use wsgid_proto::board::{Board, Search, SlotState, Standing};
use wsgid_proto::frame::{self, Kind};
use wsgid_proto::request::{HeadFields, HeadWriter, RequestHead};
use wsgid_proto::response::{ResponseHead, ResponseWriter};

/// As many variables as httpd has for a browser's request, of their usual lengths.
const VARIABLES: usize = 45;

fn head(buffer: Vec<u8>) -> Vec<u8> {
    let mut writer = HeadWriter::new(buffer);
    for n in 0..VARIABLES {
        writer.variable(&b"SERVER_VARIABLE_NAMES"[..8 + n % 12], &b"/some/value/of/a/variable"[..n % 25]);
    }
    let fields = HeadFields {
        script: b"/srv/site/app.wsgi",
        callable: b"application",
        process_group: b"site",
        application_group: b"www.example.org",
        request_start: 1_700_000_000_000_000,
        queue_start: 1_700_000_000_000_100,
        body_complete: true,
        handler: b"wsgi-script",
        ..Default::default()
    };
    writer.finish(&fields).unwrap_or_default()
}

fn answer(buffer: Vec<u8>) -> Vec<u8> {
    let mut writer = ResponseWriter::new(buffer, 200, b"OK");
    writer.header(b"Content-Type", b"text/html; charset=utf-8");
    writer.header(b"Set-Cookie", b"session=0123456789abcdef; Path=/; HttpOnly");
    writer.header(b"Content-Length", b"13");
    writer.into_buffer()
}

fn heads(criterion: &mut Criterion) {
    let mut buffer = Vec::new();
    criterion.bench_function("request head written", |bench| {
        bench.iter(|| buffer = head(std::mem::take(black_box(&mut buffer))));
    });
    let payload = Bytes::from(head(Vec::new())).slice(frame::HEADER..);
    criterion.bench_function("request head read", |bench| {
        bench.iter(|| {
            let head = RequestHead::decode(black_box(payload.clone()));
            head.map_or(0, |head| head.environ().map(|(name, value)| name.len() + value.len()).sum::<usize>())
        });
    });
    let mut buffer = Vec::new();
    criterion.bench_function("response head written", |bench| {
        bench.iter(|| buffer = answer(std::mem::take(black_box(&mut buffer))));
    });
    let payload = answer(Vec::new());
    criterion.bench_function("response head read", |bench| {
        bench.iter(|| ResponseHead::decode(black_box(&payload)).map_or(0, |head| head.headers().count()));
    });
}

fn frames(criterion: &mut Criterion) {
    let mut whole = Vec::new();
    frame::put(&mut whole, Kind::ResponseHead, &answer(Vec::new()));
    frame::put(&mut whole, Kind::Chunk, b"Hello, world!");
    frame::put(&mut whole, Kind::End, b"");
    let mut input = BytesMut::new();
    criterion.bench_function("an answer's three frames taken", |bench| {
        bench.iter(|| {
            input.extend_from_slice(black_box(&whole));
            std::iter::from_fn(|| frame::take(&mut input).ok().flatten()).count()
        });
    });
}

fn board(criterion: &mut Criterion) {
    let memory: Vec<AtomicU64> = (0..Board::<AtomicU64>::size(4) / 8).map(|_| AtomicU64::new(0)).collect();
    let board = Board::create(&memory);
    for slot in 0..2 {
        board.place(slot, 1, SlotState::Ready, 15, 1);
    }
    criterion.bench_function("a thread claimed, used and freed", |bench| {
        bench.iter(|| {
            if let Search::Claimed(claim, entry) = black_box(&board).claim(None, Standing::Newcomer) {
                board.clear(entry);
                board.begin(claim);
                board.finish(claim);
            }
        });
    });
}

criterion_group!(all, heads, frames, board);
criterion_main!(all);
