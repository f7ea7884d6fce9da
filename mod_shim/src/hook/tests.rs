use super::*;
use crate::relay::tests::Notes;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use wsgid_proto::frame;
use wsgid_proto::response::{AbortCause, Level, ResponseWriter};

const PATIENCE: Duration = Duration::from_secs(5);

/// Hears what a worker has written, which then closes its end.
fn heard(hook: Hook, written: &[Vec<u8>], door: &mut Notes) -> Result<Option<Verdict>, Fault> {
    let (ours, mut worker) = UnixStream::pair().unwrap();
    worker.write_all(&written.concat()).unwrap();
    worker.shutdown(std::net::Shutdown::Write).unwrap();
    let mut channel = Channel::over(ours, PATIENCE).unwrap();
    let group = ProcessGroup::named("");
    Hearing { channel: &mut channel, group: &group, limit: Limit::of(PATIENCE), hook, door }.run()
}

fn framed(kind: Kind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame::put(&mut bytes, kind, payload);
    bytes
}

fn question(hook: Hook) -> Question<'static> {
    let ask = Ask { script: b"/srv/auth.py", ..Default::default() };
    Question { ask, hook, arguments: vec![], target: b"/srv/page", wanted: vec![], quiet: false }
}

#[test]
fn a_verdict_comes_behind_its_log_lines() {
    let log = Log { level: Level::Error, text: "looked up".into(), site: None }.frame();
    let mut door = Notes::default();
    let verdict = heard(Hook::Access, &[log, Verdict::Undecided.frame()], &mut door);
    assert_eq!(verdict.unwrap(), Some(Verdict::Undecided));
    assert_eq!(door.said, ["log Error 0 looked up"]);
}

#[test]
fn a_question_is_answered_but_not_about_the_scoreboard_unless_that_is_allowed() {
    let asks = [hook::Ask::IsHttps, hook::Ask::ServerMetrics].map(|ask| ask.frame());
    let (ours, mut worker) = UnixStream::pair().unwrap();
    let mut channel = Channel::over(ours, PATIENCE).unwrap();
    for (allowed, second) in [(false, None), (true, Some("known".into()))] {
        worker.write_all(&asks.concat()).unwrap();
        worker.write_all(&Verdict::Granted.frame()).unwrap();
        let group = ProcessGroup { server_metrics: allowed, ..ProcessGroup::named("") };
        let mut door = Notes::default();
        let (hook, limit) = (Hook::Access, Limit::of(PATIENCE));
        Hearing { channel: &mut channel, group: &group, limit, hook, door: &mut door }.run().unwrap();
        let due = [Answer { value: Some("known".into()) }.frame(), Answer { value: second }.frame()].concat();
        let mut got = vec![0; due.len()];
        worker.read_exact(&mut got).unwrap();
        assert_eq!(got, due);
    }
}

/// Nothing that a worker says, or leaves unsaid, is taken for leave.
#[test]
fn garbage_is_no_verdict() {
    let good = Verdict::Granted.frame();
    let mut forged = good.clone();
    forged[frame::HEADER + 1] = 77;
    let head = framed(Kind::ResponseHead, ResponseWriter::new(Vec::new(), 200, b"OK").payload());
    let abort = Abort { cause: AbortCause::Application, detail: "it raised".into() }.frame();
    for written in [
        vec![],
        vec![good[..good.len() - 1].to_vec()],
        vec![forged],
        vec![head, framed(Kind::End, b"")],
        vec![framed(Kind::End, b""), good.clone()],
        vec![abort, good.clone()],
        vec![b"HTTP/1.1 200 OK\r\n\r\n".to_vec()],
        vec![b"\xff\xff\xff\xff\x17".to_vec()],
    ] {
        assert!(heard(Hook::Access, &written, &mut Notes::default()).is_err(), "{written:?}");
    }
    for hook in [Hook::RealmHash, Hook::Groups, Hook::Dispatch] {
        assert!(heard(hook, std::slice::from_ref(&good), &mut Notes::default()).is_err(), "{hook:?}");
    }
}

#[test]
fn a_worker_that_never_decides_is_not_waited_for() {
    let (ours, _worker) = UnixStream::pair().unwrap();
    let mut channel = Channel::over(ours, PATIENCE).unwrap();
    let (group, mut door) = (ProcessGroup::named(""), Notes::default());
    let limit = Limit::of(Duration::from_millis(50));
    let fault =
        Hearing { channel: &mut channel, group: &group, limit, hook: Hook::Access, door: &mut door }.run();
    assert!(matches!(fault, Err(Fault::HookTimeout(0))), "{fault:?}");
}

#[test]
fn a_worker_that_did_not_read_the_head_leaves_it_for_another() {
    let (ours, worker) = UnixStream::pair().unwrap();
    let mut channel = Channel::over(ours, PATIENCE).unwrap();
    channel.send(b"head").unwrap();
    drop(worker);
    let (group, mut door) = (ProcessGroup::named(""), Notes::default());
    let limit = Limit::of(PATIENCE);
    let heard =
        Hearing { channel: &mut channel, group: &group, limit, hook: Hook::Access, door: &mut door }.run();
    assert!(matches!(heard, Ok(None)));
}

/// Without a daemon, a configuration or a script there is no leave.
#[test]
fn what_can_not_be_asked_is_closed() {
    let nowhere = tempfile::tempdir().unwrap();
    let configuration = wsgid_proto::control::Configure::default();
    let groups = std::collections::HashMap::from([(
        String::new(),
        crate::runtime::DeclaredGroup { options: ProcessGroup::named(""), server: None, script_owner: None },
    )]);
    let runtime = Runtime::new(nowhere.path().join("control.sock"), configuration.clone(), groups, true);
    let bare = Runtime::new(nowhere.path().join("control.sock"), configuration, Default::default(), true);
    for (hook, decision, number) in [
        (Hook::Access, Decision::Denied, "WSGI0054"),
        (Hook::Password, Decision::Fault, "WSGI0042"),
        (Hook::RealmHash, Decision::Fault, "WSGI0045"),
        (Hook::Groups, Decision::Fault, "WSGI0048"),
        (Hook::Dispatch, Decision::Fault, "WSGI0086"),
    ] {
        for runtime in [&runtime, &bare] {
            let mut door = Notes::default();
            assert_eq!(decide(runtime, &question(hook), &mut door), decision, "{hook:?}");
            assert_eq!(door.said[0], format!("note {number}"));
            assert!(door.said[1].contains("'/srv/auth.py' could not be asked"), "{:?}", door.said);
        }
    }
    for (hook, number) in
        [(Hook::Password, "WSGI0041"), (Hook::RealmHash, "WSGI0044"), (Hook::Groups, "WSGI0058")]
    {
        let mut question = question(hook);
        question.ask.script = b"";
        let mut door = Notes::default();
        assert_ne!(decide(&runtime, &question, &mut door), Decision::Granted(None));
        assert_eq!(door.said[0], format!("note {number}"));
    }
}

#[test]
fn one_group_is_enough_and_none_is_not() {
    let mut question = question(Hook::Groups);
    question.arguments = vec![b"ann"];
    for (wanted, groups, decision, told) in [
        (vec![&b"staff"[..], b"admin"], vec!["admin"], Decision::Granted(None), None),
        (vec![b"staff"], vec!["Staff", "staf"], Decision::Denied, Some("WSGI0060")),
        (vec![b"staff"], vec![], Decision::Denied, Some("WSGI0059")),
        (vec![], vec!["staff"], Decision::Denied, Some("WSGI0060")),
    ] {
        question.wanted = wanted;
        let groups: Vec<bytes::Bytes> = groups.into_iter().map(bytes::Bytes::from).collect();
        let mut door = Notes::default();
        assert_eq!(of_groups(&question, &groups, &mut door), decision);
        assert!(told.is_none_or(|told| door.said[0].contains(told) && door.said[0].contains("'ann'")));
        assert!(!door.said.iter().any(|said| said.starts_with("note")), "{:?}", door.said);
    }
}
