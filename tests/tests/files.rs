//! `wsgi.file_wrapper`: which of an application's files Apache sends itself, and that whatever else it is
//! given comes out as if it were iterated.

use serde_json::json;
use wsgid_tests::{Mpm, Plan, Reply, Request, Stack, each_mpm};

const CONTENT: &str = "ein L\u{e4}cheln\r\nder zweiten Zeile\r\nund Schlu\u{df}\n";

fn serving(plan: Plan) -> (Stack, String) {
    let stack = plan.app("wrapped").file("htdocs/content", CONTENT).run();
    let path = stack.place.path("htdocs/content").display().to_string();
    (stack, path)
}

/// A reply, and whether it can have parts: those of files that httpd has, alone.
fn ask(stack: &Stack, target: &str) -> (Reply, bool) {
    let part = stack.ask(&Request::get(target).header("Range", "bytes=1-3"));
    (stack.get(target).expect(200), part.status == 206)
}

/// Of no size, or of another than what is read.
#[test]
fn files_that_the_kernel_makes_up_are_iterated() {
    let app = "def application(environ, start_response):\n    start_response('200 OK', [])\n    \
               return environ['wsgi.file_wrapper'](open(environ['PATH_INFO'], 'rb'))\n";
    let stack = Stack::on(Mpm::Event)
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi")
        .config("<Directory @ROOT@/code>\nRequire all granted\n</Directory>")
        .file("code/app.wsgi", app)
        .run();
    for path in ["/proc/sys/kernel/ostype", "/sys/kernel/mm/transparent_hugepage/enabled"] {
        let Ok(content) = std::fs::read(path) else { continue };
        assert_eq!(stack.get(path).expect(200).body, content, "{path}");
    }
}

each_mpm! {
    fn a_file_is_sent_as_it_is_stored(mpm) {
        let (stack, path) = serving(Stack::on(mpm));
        let line = CONTENT.find("der").unwrap();
        for (how, rest) in
            [("text", 0), ("text-line", line), ("seek", 3), ("temporary", 0), ("plain", 0), ("kept", 5)]
        {
            let (reply, by_httpd) = ask(&stack, &format!("/{how}?{path}"));
            assert!(by_httpd, "{how} is not sent by httpd");
            assert_eq!(reply.body, &CONTENT.as_bytes()[rest..], "{how}");
            assert_eq!(reply.header("Content-Length"), Some((CONTENT.len() - rest).to_string().as_str()));
        }
    }

    fn what_is_no_file_of_bytes_is_iterated(mpm) {
        let (stack, path) = serving(Stack::on(mpm));
        let stepped: Vec<u8> = CONTENT.as_bytes().chunks(4).flat_map(|four| [four, b"|"].concat()).collect();
        let (shouted, written) = (CONTENT.as_bytes().to_ascii_uppercase(), ["written, ", CONTENT].concat());
        for (how, due) in [
            ("only-read", CONTENT.as_bytes()),
            ("pipe", CONTENT.as_bytes()),
            ("zipped", CONTENT.as_bytes()),
            ("written", written.as_bytes()),
            ("shouting", &shouted),
            ("stepping", &stepped),
        ] {
            let (reply, by_httpd) = ask(&stack, &format!("/{how}?{path}"));
            assert_eq!((reply.body.as_slice(), by_httpd), (due, false), "{how}");
        }
    }

    fn a_status_or_method_without_a_body_has_none(mpm) {
        let (stack, path) = serving(Stack::on(mpm));
        let mut connection = stack.connect();
        for status in [204, 304] {
            connection.ask(&Request::get(&format!("/{status}?{path}"))).expect(status);
        }
        let head = connection.ask(&Request::new("HEAD", &format!("/text?{path}"))).expect(200);
        assert_eq!(head.header("Content-Length"), Some(CONTENT.len().to_string().as_str()));
        // Were there a body, it would be taken for the next reply's head.
        assert_eq!(connection.ask(&Request::get(&format!("/text?{path}"))).expect(200).text(), CONTENT);
    }
}

#[test]
fn what_gives_no_bytes_fails_and_says_so() {
    let (stack, path) = serving(Stack::on(Mpm::Event));
    for (how, told) in [
        ("closed", "ValueError: read of closed file"),
        ("string", "TypeError: sequence of byte string values expected, value of type str found"),
    ] {
        stack.get(&format!("/{how}?{path}")).expect(500);
        stack.logged("error", &["[client 127.0.0.1:", told]);
    }
}

/// httpd reads such a file by seeking in it.
#[test]
fn a_file_that_is_sent_stays_where_it_was() {
    let (stack, path) = serving(Stack::on(Mpm::Event).config("EnableSendfile Off\nEnableMMAP Off"));
    for _ in 0..3 {
        assert_eq!(stack.get(&format!("/kept?{path}")).expect(200).body, &CONTENT.as_bytes()[5..]);
        assert_eq!(stack.get("/position").expect(200).text(), "5");
    }
}

#[test]
fn a_length_that_the_file_does_not_have_is_never_made_up_for() {
    let stack = Stack::on(Mpm::Event).app("file").file("htdocs/content", CONTENT).run();
    let ask = |length: usize| {
        let target = format!("/length/{length}?{}", stack.place.path("htdocs/content").display());
        stack.connect().ask(&Request::get(&target))
    };
    let fewer = ask(7);
    assert_eq!((fewer.status, fewer.whole, fewer.body.as_slice()), (200, true, &CONTENT.as_bytes()[..7]));
    let more = ask(CONTENT.len() + 1);
    assert_eq!((more.status, more.whole, more.text().as_str()), (200, false, CONTENT));
    stack.logged("error", &[&format!("promised {} bytes and sent {}", CONTENT.len() + 1, CONTENT.len())]);
}

#[test]
fn a_wrapper_shows_what_it_was_given() {
    let (stack, path) = serving(Stack::on(Mpm::Event));
    assert_eq!(stack.get(&format!("/attributes?{path}")).expect(200).json(), json!([true, 8192, 7, true]));
}

/// Bytes that httpd's children have read so far, as the kernel counts them: what sendfile sends has been read, and
/// what is sent from a mapping has not.
fn read_by_httpd(stack: &Stack) -> u64 {
    let read = |pid: i32| {
        let counts = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
        counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse::<u64>().unwrap()
    };
    stack.httpd().children().into_iter().map(read).sum()
}

#[test]
fn files_are_sent_by_sendfile_where_that_is_on() {
    const SIZE: usize = 4 << 20;
    let stack = Stack::on(Mpm::Event)
        .app("wrapped")
        .config("EnableSendfile Off\n<Location /plain>\nWSGIEnableSendfile On\n</Location>")
        .file("htdocs/large", vec![b'x'; SIZE])
        .run();
    let path = stack.place.path("htdocs/large").display().to_string();
    for (how, due) in [("plain", true), ("text", false)] {
        let before = read_by_httpd(&stack);
        assert_eq!(stack.get(&format!("/{how}?{path}")).expect(200).body.len(), SIZE);
        let read = read_by_httpd(&stack) - before;
        assert_eq!(read > SIZE as u64 / 2, due, "/{how}: {read} bytes");
    }
}
