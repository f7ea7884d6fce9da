//! Slow clients hold threads of httpd's and none of Python's; and large bodies, which nobody holds whole.

use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};
use wsgid_proto::control::WorkerStatus;
use wsgid_tests::wait::until;
use wsgid_tests::{Connection, Mpm, Plan, Request, Stack, each_mpm};

const MIB: usize = 1 << 20;

/// An httpd with a thread for each of so many clients, and some to spare.
fn roomy(mpm: Mpm, clients: usize) -> Plan {
    let clients = clients + 20;
    Stack::on(mpm).config(&format!(
        "<IfModule !mpm_prefork_module>\nThreadLimit {0}\nThreadsPerChild {0}\nServerLimit 2\nMaxRequestWorkers {1}\n</IfModule>\n\
         <IfModule mpm_prefork_module>\nServerLimit {1}\nMaxRequestWorkers {1}\nMaxSpareServers {1}\n</IfModule>\n\
         RequestReadTimeout body=0\nTimeout 120",
        clients.div_ceil(2),
        clients.div_ceil(2) * 2
    ))
    .module("reqtimeout")
}

/// Resident bytes of a process; of what it shares with others, its share.
fn resident(pid: i32) -> usize {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or(0) * 1024
}

/// Those of httpd's children together, and of the workers.
fn memory(stack: &Stack) -> (usize, usize) {
    let children = stack.httpd().children().into_iter().map(resident).sum();
    (children, workers(stack).map(|worker| resident(worker.pid as i32)).sum())
}

fn workers(stack: &Stack) -> impl Iterator<Item = WorkerStatus> {
    stack.daemon().status().pools.into_iter().flat_map(|pool| pool.workers)
}

/// How many Python threads have a request.
fn claimed(stack: &Stack) -> u32 {
    workers(stack).map(|worker| worker.claimed).sum()
}

fn stalled_reader(stack: &Stack, mebibytes: usize) -> Connection {
    let mut connection = stack.connect();
    connection.send(Request::get(&format!("/big?{mebibytes}")).header("Connection", "close").bytes());
    connection
}

fn stalled_uploader(stack: &Stack, bytes: usize) -> Connection {
    let mut connection = stack.connect();
    connection.send(format!("POST /sum HTTP/1.1\r\nHost: localhost\r\nContent-Length: {bytes}\r\n\r\n"));
    connection.send(vec![b'x'; bytes / 2]);
    connection
}

/// The slowest of some pings.
fn ping(stack: &Stack) -> Duration {
    let mut connection = stack.connect();
    let mut one = || {
        let begun = Instant::now();
        assert_eq!(connection.ask(&Request::get("/ping")).text(), "pong\n");
        begun.elapsed()
    };
    (0..20).map(|_| one()).max().unwrap_or_default()
}

/// Ten times as many stalled clients of each kind as there are Python threads: somebody else is served at
/// once, and nobody's memory grows with what they are owed.
fn crowd(mpm: Mpm, group: &str, clients: usize, mebibytes: usize) {
    let stack = roomy(mpm, clients * 2)
        .config(&format!(
            "WSGIDaemonProcess site {group}\nWSGIProcessGroup site\nWSGIApplicationGroup %{{GLOBAL}}"
        ))
        .app("slow")
        .run();
    let alone = ping(&stack);
    let before = memory(&stack);
    let begun = Instant::now();
    let mut readers: Vec<Connection> = (0..clients).map(|_| stalled_reader(&stack, mebibytes)).collect();
    let uploaders: Vec<Connection> =
        (0..clients).map(|_| stalled_uploader(&stack, mebibytes * MIB)).collect();
    // Each has its head, so each has had a Python thread; and now so has somebody else.
    for reader in &mut readers {
        assert_eq!(reader.head_reply().unwrap().status, 200);
    }
    until("every answer to be off the workers", || claimed(&stack) == 0);
    let settled = begun.elapsed();
    let beside = ping(&stack);
    let after = memory(&stack);
    let grown = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    eprintln!(
        "{clients} stalled readers and {clients} stalled uploaders of {mebibytes} MiB: taken in after {settled:?}, then \
         ping {beside:?} (alone {alone:?}), \
         httpd grew by {} KiB, the workers by {} KiB",
        grown.0 / 1024,
        grown.1 / 1024
    );
    // A stack, a request, 256 KiB in memory and the part that is going out, for each client.
    assert!(grown.0 < clients * 2 * MIB, "httpd grew by {} bytes", grown.0);
    assert!(grown.1 < 32 * MIB, "the workers grew by {} bytes", grown.1);
    // What was spooled is what is sent.
    for reader in &mut readers {
        let mut bytes = 0;
        while let Ok(chunk) = reader.chunk() {
            if chunk.is_empty() {
                break;
            }
            bytes += chunk.len();
        }
        assert_eq!(bytes, mebibytes * MIB);
    }
    drop(uploaders);
}

each_mpm! {
    fn stalled_clients_hold_no_python_thread(mpm) {
        crowd(mpm, "processes=2 threads=2", 40, 4);
    }

    /// Its first half waits in the spool while the second is on its way.
    fn a_body_that_was_spooled_is_whole(mpm) {
        let stack = Stack::on(mpm).app("slow").run();
        for bytes in [1_000, 300_000, 5 * MIB] {
            let body: Vec<u8> = (0..bytes).map(|n| (n % 251) as u8).collect();
            let answer = stack.post("/sum", body.as_slice()).expect(200).text();
            assert_eq!(answer, sum(&body), "{bytes}");
        }
    }

    /// Blocks go out one by one also where a slow client has been seen before.
    fn events_are_not_held_back(mpm) {
        let stack = Stack::on(mpm).app("waiting").run();
        let name = stack.place.make_public_dir("markers").join("a");
        let mut connection = stack.connect();
        connection.send(Request::get(&format!("/streamed?{}", name.display())).bytes());
        assert_eq!(connection.head_reply().unwrap().header("Transfer-Encoding"), Some("chunked"));
        assert_eq!(connection.chunk().unwrap(), b"before\n");
        std::fs::write(name.with_extension("go"), "").unwrap();
        assert_eq!(connection.chunk().unwrap(), b"after\n");
    }
}

/// What /sum says of a body.
fn sum(body: &[u8]) -> String {
    format!("{} {:x}\n", body.len(), Sha256::digest(body))
}

/// With nothing read ahead, the worker has the request while the client is still sending.
#[test]
fn reading_ahead_can_be_turned_off() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=1 request-buffer-size=0\nWSGIProcessGroup site")
        .app("slow")
        .run();
    let mut uploader = stalled_uploader(&stack, 100_000);
    until("the upload to have its thread", || claimed(&stack) == 1);
    uploader.send(vec![b'x'; 50_000]);
    assert_eq!(uploader.reply().unwrap().expect(200).text(), sum(&[b'x'; 100_000]));
}

/// What does not fit into the spool waits in the worker, and arrives all the same.
#[test]
fn a_response_over_the_bounds_waits_for_its_client() {
    let stack = Stack::on(Mpm::Event)
        .config(
            "WSGIDaemonProcess site threads=2 response-buffer-size=1000 response-spool-size=2000000\n\
             WSGIProcessGroup site",
        )
        .app("slow")
        .run();
    let mut reader = stalled_reader(&stack, 32);
    assert_eq!(reader.head_reply().unwrap().status, 200);
    assert_eq!(stack.get("/ping").text(), "pong\n");
    let mut got = Vec::new();
    while let Some(chunk) = reader.chunk().ok().filter(|chunk| !chunk.is_empty()) {
        got.extend(chunk);
    }
    let expected: Vec<u8> = (0..32 * 16_u32).flat_map(|n| n.to_be_bytes().repeat(16 * 1024)).collect();
    assert!(got == expected, "{} bytes came", got.len());
}

#[test]
#[ignore = "takes a minute"]
fn three_hundred_stalled_readers_and_uploaders() {
    crowd(Mpm::Event, "processes=2 threads=15", 300, 16);
}

/// Two GiB each way; nobody's memory grows with them.
#[test]
#[ignore = "takes a minute"]
fn two_gibibytes_each_way_leave_memory_flat() {
    const GIB: usize = 1 << 30;
    let stack = Stack::on(Mpm::Event).config("LimitRequestBody 0").app("slow").run();
    stack.get("/ping");
    let before = memory(&stack);
    let mut connection = stack.connect();
    connection.send(format!("POST /sum HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", 2 * GIB));
    let block: Vec<u8> = (0..MIB).map(|n| (n % 251) as u8).collect();
    let mut digest = Sha256::new();
    for _ in 0..2048 {
        connection.send(&block);
        digest.update(&block);
    }
    let uploaded = memory(&stack);
    assert_eq!(
        connection.reply().unwrap().expect(200).text(),
        format!("{} {:x}\n", 2 * GIB, digest.finalize())
    );
    let (mut expected, mut got) = (Sha256::new(), Sha256::new());
    for number in 0..2048 * 16_u32 {
        expected.update(number.to_be_bytes().repeat(16 * 1024));
    }
    let mut connection = stack.connect();
    connection.send(Request::get("/big?2048").bytes());
    connection.head_reply().unwrap().expect(200);
    while let Some(chunk) = connection.chunk().ok().filter(|chunk| !chunk.is_empty()) {
        got.update(&chunk);
    }
    let downloaded = memory(&stack);
    assert_eq!(got.finalize(), expected.finalize());
    eprintln!(
        "httpd and workers, resident KiB: before {:?}, after 2 GiB up {:?}, after 2 GiB down {:?}",
        (before.0 / 1024, before.1 / 1024),
        (uploaded.0 / 1024, uploaded.1 / 1024),
        (downloaded.0 / 1024, downloaded.1 / 1024)
    );
    for (now, what) in [(uploaded, "upload"), (downloaded, "download")] {
        assert!(now.0 < before.0 + 16 * MIB && now.1 < before.1 + 16 * MIB, "{what}: {before:?}, {now:?}");
    }
}
