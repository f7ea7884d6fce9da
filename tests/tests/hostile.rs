//! Garbage, oversized and untimely frames, idle connections and strangers on every socket of the
//! daemon and of its workers: the connection ends, and nothing else is disturbed.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use wsgid_proto::control::StatusQuery;
use wsgid_proto::frame::{Kind, put};
use wsgid_proto::request::{HeadFields, HeadWriter};
use wsgid_proto::{Message, broker::OpenPool};
use wsgid_tests::wait::PATIENCE;
use wsgid_tests::{Mpm, Stack, each_mpm};

/// What no peer should ever send, by name.
fn attacks() -> Vec<(String, Vec<u8>)> {
    let mut list = vec![
        ("an HTTP request".to_string(), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("zeros".into(), vec![0; 4096]),
        ("ones".into(), vec![0xff; 4096]),
        ("half a header".into(), vec![1, 0]),
    ];
    for kind in (0..=255).filter_map(Kind::from_number) {
        let mut oversize = (kind.bound() as u32 + 1).to_le_bytes().to_vec();
        oversize.push(kind as u8);
        list.push((format!("an oversized {kind:?}"), oversize));
        let mut huge = u32::MAX.to_le_bytes().to_vec();
        huge.push(kind as u8);
        list.push((format!("a huge {kind:?}"), huge));
        let mut malformed = Vec::new();
        put(&mut malformed, kind, &[0xff; 64]);
        list.push((format!("a malformed {kind:?}"), malformed));
        let mut cut = Vec::new();
        put(&mut cut, kind, &[0x0a; 64]);
        cut.truncate(40);
        list.push((format!("a cut {kind:?}"), cut));
    }
    list
}

/// Sends bytes and reads until the other side ends the connection, which it has to.
fn attack(socket: &Path, name: &str, bytes: &[u8]) {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(e) => panic!("{}: {e}", socket.display()),
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(bytes); // it may be closed in our face
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        Err(e) => panic!("{}: {name} does not end the connection: {e}", socket.display()),
    }
    assert!(answer.len() < 4096, "{}: {name} is answered with {} bytes", socket.display(), answer.len());
}

/// Every socket below the runtime directory.
fn sockets(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(sockets(&entry.path()));
        } else if kind.is_socket() {
            found.push(entry.path());
        }
    }
    found
}

const SITE: &str = "WSGIDaemonProcess site threads=2\nWSGIProcessGroup site\nWSGIApplicationGroup %{GLOBAL}";

/// The stack serves, from the same processes as before.
#[track_caller]
fn undisturbed(stack: &Stack, pid: &serde_json::Value) {
    assert_eq!(stack.get("/").expect(200).json()["pid"], *pid);
    assert_eq!(serde_json::json!(stack.daemon().ready_workers("site")), serde_json::json!([pid]));
}

each_mpm! {
    fn garbage_ends_its_connection_and_disturbs_nothing(mpm) {
        let stack = Stack::on(mpm).config(SITE).app("whoami").run();
        let pid = stack.get("/").expect(200).json()["pid"].clone();
        let sockets = sockets(&stack.place.path("run"));
        assert!(sockets.len() >= 3, "control, broker and worker: {sockets:?}");
        for socket in &sockets {
            for (name, bytes) in attacks() {
                attack(socket, &name, &bytes);
            }
            undisturbed(&stack, &pid);
        }
    }

    fn silent_connections_keep_nobody_waiting(mpm) {
        let stack = Stack::on(mpm).config(SITE).app("whoami").run();
        let pid = stack.get("/").expect(200).json()["pid"].clone();
        let mut silent = Vec::new();
        for socket in sockets(&stack.place.path("run")) {
            for n in 0..40 {
                let mut stream = UnixStream::connect(&socket).unwrap();
                // Some say nothing, some begin a frame and stop.
                let _ = stream.write_all(&[1, 0, 0, 0, 64][..n % 5]);
                silent.push(stream);
            }
        }
        for _ in 0..10 {
            undisturbed(&stack, &pid);
        }
        drop(silent);
        undisturbed(&stack, &pid);
    }
}

/// Connects as another user, sends bytes, and answers how many came back.
fn ask_as(user: &str, socket: &Path, bytes: &[u8]) -> String {
    let user = nix::unistd::User::from_name(user).unwrap().unwrap();
    let script = "import socket, sys\n\
        s = socket.socket(socket.AF_UNIX); s.settimeout(20)\n\
        try:\n    s.connect(sys.argv[1]); s.sendall(bytes.fromhex(sys.argv[2])); s.shutdown(1)\n\
        \x20   print('kind', (s.recv(4096) + bytes(5))[4])\n\
        except OSError as e: print(type(e).__name__)\n";
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut command = Command::new("/usr/bin/python3");
    command.args(["-I", "-c", script]).arg(socket).arg(hex);
    command.uid(user.uid.as_raw()).gid(user.gid.as_raw()).current_dir("/");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

/// Nobody but the kernel says who is calling, and only those who must be are answered.
#[test]
fn strangers_are_told_nothing() {
    if !nix::unistd::getuid().is_root() {
        eprintln!("not run: being somebody else needs root");
        return;
    }
    let stack = Stack::on(Mpm::Event).config(SITE).app("whoami").run();
    let pid = stack.get("/").expect(200).json()["pid"].clone();
    let open = OpenPool {
        instance: stack.daemon().pools("site")[0].instance.clone(),
        process_group: "site".into(),
        ..Default::default()
    };
    let refused = |answer: String, kind: Kind| {
        let refusals = ["kind 0", "ConnectionResetError", "BrokenPipeError", "PermissionError"];
        assert_ne!(answer, format!("kind {}", kind as u8), "a stranger was answered");
        assert!(
            refusals.contains(&answer.as_str()) || answer == format!("kind {}", Kind::PoolRefused as u8),
            "{answer}"
        );
    };
    let web = wsgid_tests::httpd::web_user();
    let run = stack.place.path("run");
    for socket in sockets(&run) {
        if socket.ends_with("control.sock") {
            assert_eq!(
                ask_as("root", &socket, &StatusQuery {}.frame()),
                format!("kind {}", Kind::Status as u8)
            );
            refused(ask_as(web, &socket, &StatusQuery {}.frame()), Kind::Status);
            refused(ask_as("games", &socket, &StatusQuery {}.frame()), Kind::Status);
        } else if socket.ends_with("broker.sock") {
            assert_eq!(ask_as(web, &socket, &open.frame()), format!("kind {}", Kind::PoolOpened as u8));
            refused(ask_as("games", &socket, &open.frame()), Kind::PoolOpened);
        } else {
            refused(ask_as("games", &socket, &request_head()), Kind::ResponseHead);
        }
    }
    undisturbed(&stack, &pid);
}

/// A request as the module would send it.
fn request_head() -> Vec<u8> {
    let fields = HeadFields {
        script: b"/nonexistent.wsgi",
        callable: b"application",
        body_complete: true,
        ..Default::default()
    };
    HeadWriter::new(Vec::new()).finish(&fields).unwrap()
}
