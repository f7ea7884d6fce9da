//! Bodies that are large, of unknown length, awaited or cut off, in both directions.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use wsgid_tests::wait::until;
use wsgid_tests::{Connection, Mpm, Request, Stack, each_mpm};

const MIB: usize = 1 << 20;

/// Bytes that repeat nowhere near, so that a part lost or exchanged shows.
fn pattern(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()
    };
    (0..length.div_ceil(4)).flat_map(|_| next()).take(length).collect()
}

/// What a process has open.
fn descriptors(pid: i32) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd"));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .collect()
}

each_mpm! {
    fn fifty_megabytes_go_both_ways_at_once(mpm) {
        let stack = Stack::on(mpm).app("echo").run();
        let body = pattern(50 * MIB);
        let mut connection = stack.connect();
        let mut writer = connection.writer();
        let reply = std::thread::scope(|scope| {
            scope.spawn(|| writer.write_all(&Request::post("/stream", body.as_slice()).bytes()).unwrap());
            connection.reply().unwrap()
        });
        assert_eq!((reply.status, reply.whole), (200, true));
        assert!(reply.body == body, "{} bytes came back, not those that were sent", reply.body.len());
    }

    /// The client sends everything before it reads: what it is sent meanwhile has to rest somewhere.
    fn a_client_that_reads_late_is_served(mpm) {
        let stack = Stack::on(mpm).app("echo").run();
        let body = pattern(3 * MIB);
        let reply = stack.post("/whole", body.as_slice()).expect(200);
        assert!(reply.body == body);
    }

    fn a_file_is_sent_whole(mpm) {
        let content = pattern(MIB);
        let stack = Stack::on(mpm).app("file").file("htdocs/big", &content).run();
        let path = stack.place.path("htdocs/big");
        let whole = stack.get(&format!("/whole?{}", path.display())).expect(200);
        assert_eq!(whole.header("Content-Length"), Some("1048576"));
        assert!(whole.body == content);
        let offset = stack.get(&format!("/offset/1000000?{}", path.display())).expect(200);
        assert_eq!(offset.header("Content-Length"), Some("48576"));
        assert!(offset.body == content[1_000_000..]);
        let length = stack.get(&format!("/length/70000?{}", path.display())).expect(200);
        assert_eq!(length.header("Content-Length"), Some("70000"));
        assert!(length.body == content[..70_000]);
        assert_eq!(stack.get("/object").expect(200).text(), "no file, but ".repeat(1000));
    }

    /// httpd sets a file aside for a client that does not take it all at once.
    fn a_file_for_a_slow_client_is_closed_in_the_end(mpm) {
        let stack = Stack::on(mpm).app("file").file("htdocs/big", pattern(30 * MIB)).run();
        let path = stack.place.path("htdocs/big");
        let request = Request::get(&format!("/whole?{}", path.display())).header("Connection", "close");
        let mut slow: Vec<Connection> = (0..4).map(|_| stack.connect()).collect();
        for connection in &mut slow {
            connection.send(request.bytes());
            connection.read_exact(1).unwrap();
        }
        let open = || {
            let children = stack.httpd().children();
            children.iter().flat_map(|pid| descriptors(*pid)).filter(|target| *target == path).count()
        };
        until("the file to be on its way", || open() > 0);
        // What is left of each reply is its length less the byte that was read.
        slow.iter_mut().for_each(|connection| while connection.read_exact(1).is_ok_and(|_| connection.read_exact(65_536).is_ok()) {});
        drop(slow);
        until("httpd to close the file", || open() == 0);
    }

    /// A range of what the application made is as wrong as a 416 after a POST has had its effect.
    fn ranges_are_of_files_and_for_get_alone(mpm) {
        let stack = Stack::on(mpm).app("echo").run();
        for range in ["bytes=0-2", "bytes=500-"] {
            let request = Request::post("/whole", "0123456789").header("Range", range);
            assert_eq!(stack.ask(&request).expect(200).text(), "0123456789", "{range}");
        }
    }

    /// httpd answers a malformed chunk itself; what the application says to it must not follow.
    fn a_malformed_chunk_has_one_answer(mpm) {
        let stack = Stack::on(mpm).config("WSGIChunkedRequest On").app("forgiving").run();
        let ask = |chunks: &str| {
            let mut connection = stack.connect();
            let head = "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
            connection.send(format!("{head}{chunks}"));
            let first = connection.reply().unwrap();
            (first.status, connection.read_exact(1).is_err())
        };
        assert_eq!(ask("3\r\nabc\r\n0\r\n\r\n"), (200, true));
        assert_eq!(ask("3\r\nabc\r\nzz\r\n"), (400, true));
    }

    /// The chunk is malformed behind what has been read ahead of the application, which has not asked for it.
    fn a_chunk_that_is_malformed_further_on_has_one_answer_too(mpm) {
        let stack = Stack::on(mpm)
            .mount("/all", "forgiving")
            .mount("/once", "once")
            .config("WSGIDaemonProcess site request-buffer-size=0\nWSGIProcessGroup site\nWSGIChunkedRequest On")
            .run();
        let head = "HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let sizes = [64 << 10, 256 << 10, (256 + 64) << 10, (512 + 64) << 10];
        for (target, size) in ["/all", "/once"].into_iter().flat_map(|to| sizes.map(|size| (to, size))) {
            let mut connection = stack.connect();
            connection.send(format!("POST {target} {head}{size:x}\r\n{}\r\nzz\r\n", "b".repeat(size)));
            let status = connection.reply().unwrap().status;
            assert!([200, 400].contains(&status), "{status}");
            assert!(connection.read_exact(1).is_err(), "{target} has more than one answer for {size} bytes");
        }
    }

    fn a_body_without_length_needs_leave(mpm) {
        let stack = Stack::on(mpm)
            .mount("/closed", "echo")
            .mount("/open", "echo")
            .config("<Location /open>\nWSGIChunkedRequest On\n</Location>")
            .run();
        let ask = |target: &str| {
            let mut connection = stack.connect();
            let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
            connection.send(head + "5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n");
            connection.reply().unwrap()
        };
        assert_eq!(ask("/closed/whole").status, 411);
        assert_eq!(ask("/open/whole").expect(200).text(), "hello, world");
    }

    fn the_body_is_asked_for_when_it_is_wanted(mpm) {
        let stack = Stack::on(mpm).app("echo").run();
        let mut connection = stack.connect();
        let request = Request::post("/whole", "hello").header("Expect", "100-continue").bytes();
        let (head, body) = request.split_at(request.len() - 5);
        connection.send(head);
        assert_eq!(connection.reply().unwrap().status, 100);
        connection.send(body);
        assert_eq!(connection.reply().unwrap().expect(200).text(), "hello");
    }
}

#[test]
fn a_part_of_a_file_is_sent() {
    let content = pattern(100_000);
    let stack = Stack::on(Mpm::Event).app("file").file("htdocs/big", &content).run();
    let target = format!("/whole?{}", stack.place.path("htdocs/big").display());
    // Whether head, file and end reach httpd together or one by one.
    for _ in 0..30 {
        let reply = stack.ask(&Request::get(&target).header("Range", "bytes=90000-90009")).expect(206);
        assert_eq!(reply.header("Content-Range"), Some("bytes 90000-90009/100000"));
        assert_eq!(reply.body, &content[90_000..90_010]);
    }
}

#[test]
fn too_large_a_body_is_refused_before_it_is_read() {
    let stack = Stack::on(Mpm::Event).app("echo").config("LimitRequestBody 1000").run();
    let mut connection = stack.connect();
    connection.send("POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1001\r\n\r\n");
    assert_eq!(connection.reply().unwrap().status, 413);
    assert_eq!(stack.post("/whole", vec![b'x'; 1000]).expect(200).body, vec![b'x'; 1000]);
}

#[test]
fn a_client_that_breaks_off_its_body_harms_nobody() {
    let stack = Stack::on(Mpm::Event).app("echo").run();
    for sent in [0, 1, 20_000, 900_000] {
        let mut connection = stack.connect();
        connection.send("POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n");
        connection.send(vec![b'x'; sent]);
        connection.finish();
        let reply = connection.reply();
        assert!(reply.is_err() || reply.as_ref().is_ok_and(|r| r.status >= 400), "{sent}: {reply:?}");
    }
    assert_eq!(stack.post("/whole", "still here").expect(200).text(), "still here");
}

/// Slow clients wait, each on its own, and Python waits for none of them.
#[test]
fn slow_clients_hold_no_python_thread() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=1\nWSGIProcessGroup site\nWSGIApplicationGroup %{GLOBAL}")
        .app("echo")
        .run();
    let mut slow: Vec<Connection> = (0..4).map(|_| stack.connect()).collect();
    for connection in &mut slow {
        connection.send("POST /whole HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello");
    }
    assert_eq!(stack.post("/whole", "quick").expect(200).text(), "quick");
    for connection in &mut slow {
        connection.send("world");
        assert_eq!(connection.reply().unwrap().expect(200).text(), "helloworld");
    }
}

#[test]
fn a_file_that_only_the_application_may_read_is_sent() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site user=games\nWSGIProcessGroup site")
        .app("file")
        .file("secret/file", "for games alone")
        .run();
    let path = stack.place.path("secret/file");
    if nix::unistd::getuid().is_root() {
        let games = nix::unistd::User::from_name("games").unwrap().unwrap();
        std::os::unix::fs::chown(&path, Some(games.uid.as_raw()), None).unwrap();
    }
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let reply = stack.get(&format!("/whole?{}", path.display())).expect(200);
    assert_eq!(reply.text(), "for games alone");
}

each_mpm! {
    /// httpd maps such a file: touching what is gone would end the child.
    fn a_file_that_is_cut_while_it_is_sent_ends_its_connection_and_nothing_else(mpm) {
        let stack = Stack::on(mpm).app("file").run();
        let path = stack.place.path("cut.bin");
        std::fs::write(&path, vec![b'x'; 64 * MIB]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let mut connection = stack.connect();
        connection.send(Request::get(&format!("/whole?{}", path.display())).bytes());
        let head = connection.head_reply().unwrap().expect(200);
        assert_eq!(head.header("Content-Length"), Some((64 * MIB).to_string().as_str()));
        connection.read_exact(MIB).unwrap();
        let children = stack.httpd().children();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(MIB as u64).unwrap();
        let mut rest = Vec::new();
        let ended = std::io::Read::read_to_end(&mut connection.writer(), &mut rest);
        assert!(MIB + rest.len() < 64 * MIB, "all of it came: {ended:?}");
        assert!(stack.get(&format!("/whole?{}", path.display())).body.len() == MIB);
        assert!(children.iter().all(|child| stack.httpd().children().contains(child)), "a child is gone");
    }
}

each_mpm! {
    /// A body that nobody has read is no request, also where httpd answers in place of the application.
    fn a_body_behind_a_local_redirect_passes_for_no_request(mpm) {
        let stack = Stack::on(mpm)
            .config("WSGIDaemonProcess site request-buffer-size=0\nWSGIProcessGroup site\nWSGIChunkedRequest On")
            .app("redirecting")
            .run();
        let hidden = "GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let mut connection = stack.connect();
        assert_eq!(connection.ask(&Request::post("/away", hidden)).expect(200).text(), "GET /there 0\n");
        assert_eq!(connection.ask(&Request::get("/next")).expect(200).text(), "GET /next 0\n");
        connection.send(format!(
            "POST /away HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{hidden}\r\n0\r\n\r\n",
            hidden.len()
        ));
        assert_eq!(connection.reply().unwrap().expect(200).text(), "GET /there 0\n");
        assert_eq!(connection.ask(&Request::get("/next")).expect(200).text(), "GET /next 0\n");
    }

    /// HTTP/1.0 has no chunks to leave unended: the connection is not closed in order then.
    fn a_truncated_answer_to_http_1_0_ends_with_a_reset(mpm) {
        let stack = Stack::on(mpm).app("closing").run();
        let marker = stack.place.make_public_dir("markers").join("raises");
        let mut connection = stack.connect();
        connection.send(format!("GET /raises?{} HTTP/1.0\r\n\r\n", marker.display()));
        let mut said = Vec::new();
        let end = std::io::Read::read_to_end(&mut connection.writer(), &mut said);
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        connection = stack.connect();
        connection.send(format!("GET /whole?{} HTTP/1.0\r\n\r\n", marker.display()));
        assert!(std::io::Read::read_to_end(&mut connection.writer(), &mut said).is_ok());
        assert!(said.ends_with(b"a part\n"));
    }
}

/// httpd sees that the document for an error is in error itself, and stops there.
#[test]
fn an_error_document_that_is_overridden_as_well_does_not_go_round() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIErrorOverride On\nErrorDocument 404 /missing")
        .app("redirecting")
        .run();
    let reply = stack.get("/missing").expect(404);
    assert!(reply.text().contains("Additionally, a 404"), "{}", reply.text());
    assert!(!stack.log("error").contains("AH00124"));
}
