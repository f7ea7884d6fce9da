//! What the shim adds to a request before it is sent: httpd's tables become the variables of a head.
//! `cargo bench -p mod-wsgid`.
#![allow(missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use mod_wsgid::environ::{write_headers, write_variables};
use std::hint::black_box;
use wsgid_proto::request::{HeadFields, HeadWriter};

type Pair = (&'static [u8], &'static [u8]);

/// The longer half of httpd's variables.
const VARIABLES: [Pair; 14] = [
    (b"SERVER_SOFTWARE", b"Apache/2.4.62 (Debian)"),
    (b"SERVER_PROTOCOL", b"HTTP/1.1"),
    (b"SERVER_NAME", b"www.example.org"),
    (b"SERVER_ADDR", b"192.0.2.1"),
    (b"SERVER_PORT", b"443"),
    (b"REMOTE_ADDR", b"198.51.100.17"),
    (b"REMOTE_PORT", b"51234"),
    (b"DOCUMENT_ROOT", b"/var/www/html"),
    (b"REQUEST_METHOD", b"GET"),
    (b"REQUEST_URI", b"/shop/basket?item=17"),
    (b"QUERY_STRING", b"item=17"),
    (b"SCRIPT_NAME", b"/shop"),
    (b"PATH_INFO", b"/basket"),
    (b"HTTPS", b"on"),
];

/// What a browser sends.
const HEADERS: [Pair; 10] = [
    (b"Host", b"www.example.org"),
    (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    (b"Accept", b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    (b"Accept-Language", b"en-US,en;q=0.5"),
    (b"Accept-Encoding", b"gzip, deflate, br"),
    (b"Referer", b"https://www.example.org/shop/"),
    (b"Cookie", b"session=0123456789abcdef0123456789abcdef; theme=dark"),
    (b"Upgrade-Insecure-Requests", b"1"),
    (b"Sec-Fetch-Mode", b"navigate"),
    (b"Connection", b"keep-alive"),
];

fn environ(criterion: &mut Criterion) {
    let mut buffer = Vec::new();
    criterion.bench_function("environ of a browser's request", |bench| {
        bench.iter(|| {
            let mut writer = HeadWriter::new(std::mem::take(&mut buffer));
            let https = write_variables(&mut writer, black_box(&VARIABLES).iter().copied());
            write_headers(&mut writer, black_box(&HEADERS).iter().copied(), false, None);
            let fields = HeadFields { script: b"/srv/site/app.wsgi", https, ..Default::default() };
            buffer = writer.finish(&fields).unwrap_or_default();
        });
    });
}

criterion_group!(all, environ);
criterion_main!(all);
