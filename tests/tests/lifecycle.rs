//! Three lives that do not depend on one another: Apache's, the daemon's, the application's.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use std::path::{Path, PathBuf};
use wsgid_tests::board::PoolBoard;
use wsgid_tests::wait::{PATIENCE, until};
use wsgid_tests::{Connection, Mpm, Plan, Request, Stack, each_mpm, eventually};

const SITE: &str = "WSGIDaemonProcess site threads=2 connect-timeout=2\nWSGIProcessGroup site\n\
                    WSGIApplicationGroup %{GLOBAL}";

each_mpm! {
    fn httpd_may_start_before_the_daemon(mpm) {
        let mut stack = Stack::on(mpm).config(SITE).app("hello").without_daemon().run();
        let reply = stack.get("/").expect(503);
        assert!(reply.text().contains("Service Unavailable"), "{}", reply.text());
        stack.logged("error", &["[wsgi:", "wsgid"]);
        let httpd = stack.httpd().pid();
        stack.start_daemon();
        eventually(PATIENCE, "a served page", || match stack.get("/") {
            reply if reply.status == 200 => Ok(()),
            reply => Err(reply.head),
        });
        assert_eq!(stack.httpd().pid(), httpd);
        assert_eq!(stack.log("error").matches("resuming normal operations").count(), 1);
    }

    fn the_daemon_may_restart_under_a_running_httpd(mpm) {
        let mut stack = Stack::on(mpm).config(SITE.replace("=2", "=20").as_str()).app("whoami").run();
        let before = stack.get("/").expect(200).json()["pid"].clone();
        stack.stop_daemon();
        // A request in the gap waits for the daemon to come back.
        let mut waiting = stack.connect();
        waiting.send(Request::get("/").bytes());
        stack.start_daemon();
        let after = waiting.reply().unwrap().expect(200).json()["pid"].clone();
        assert_ne!(before, after);
        stack.get("/").expect(200);
    }

    fn a_killed_daemon_is_replaced_by_the_next(mpm) {
        let mut stack = Stack::on(mpm).config(SITE.replace("=2", "=20").as_str()).app("hello").run();
        stack.get("/").expect(200);
        stack.kill_daemon();
        stack.start_daemon();
        eventually(PATIENCE, "a served page", || match stack.get("/") {
            reply if reply.status == 200 => Ok(()),
            reply => Err(reply.head),
        });
    }

    fn a_graceful_restart_keeps_the_workers(mpm) {
        let stack = Stack::on(mpm).config(&SITE.replace("site ", "site processes=2 ")).app("whoami").run();
        stack.get("/").expect(200);
        let before = workers(&stack, "site", 2);
        for _ in 0..2 {
            stack.graceful();
            for _ in 0..10 {
                let pid = stack.get("/").expect(200).json()["pid"].as_u64().unwrap();
                assert!(before.contains(&(pid as u32)), "{pid} is not one of {before:?}");
            }
        }
        assert_eq!(stack.daemon().ready_workers("site"), before);
    }

    fn a_graceful_restart_loses_no_request(mpm) {
        let stack = Stack::on(mpm).config(SITE).app("waiting").run();
        let (mut connection, name) = begin(&stack, "/", "a");
        stack.graceful();
        go(&name);
        assert_eq!(connection.reply().unwrap().expect(200).text(), "waited\n");
    }

    fn a_changed_group_rolls_and_the_others_stay(mpm) {
        let mut stack = Stack::on(mpm)
            .config("WSGIDaemonProcess one threads=2\nWSGIDaemonProcess two threads=2")
            .bring("whoami")
            .config("WSGIScriptAlias /one @APPS@/whoami.wsgi process-group=one application-group=%{GLOBAL}")
            .config("WSGIScriptAlias /two @APPS@/whoami.wsgi process-group=two application-group=%{GLOBAL}")
            .run();
        let pid = |stack: &Stack, path: &str| stack.get(path).expect(200).json()["pid"].clone();
        let (one, two) = (pid(&stack, "/one"), pid(&stack, "/two"));
        stack.reconfigure("WSGIDaemonProcess one threads=2", "WSGIDaemonProcess one threads=3");
        until("the changed group has a new worker", || pid(&stack, "/one") != one);
        assert_eq!(pid(&stack, "/two"), two);
        gone(&one);
    }

    fn a_request_survives_the_roll_of_its_group(mpm) {
        let mut stack = Stack::on(mpm).config(&format!("{SITE}\nWSGIScriptReloading On")).app("waiting").run();
        let (mut connection, name) = begin(&stack, "/", "a");
        let old = std::fs::read_to_string(name.with_extension("begun")).unwrap();
        stack.reconfigure("threads=2", "threads=3");
        until("a new worker is there", || {
            let ready = stack.daemon().ready_workers("site");
            ready.len() == 1 && ready[0].to_string() != old
        });
        go(&name);
        assert_eq!(connection.reply().unwrap().expect(200).text(), "waited\n");
    }

    fn a_removed_group_ends(mpm) {
        let mut stack = Stack::on(mpm)
            .config("WSGIDaemonProcess gone\nWSGIDaemonProcess stays")
            .bring("whoami")
            .config("WSGIScriptAlias /gone @APPS@/whoami.wsgi process-group=gone")
            .config("WSGIScriptAlias /stays @APPS@/whoami.wsgi process-group=stays")
            .run();
        let pid = stack.get("/gone").expect(200).json()["pid"].clone();
        let stays = stack.get("/stays").expect(200).json()["pid"].clone();
        stack.reconfigure("WSGIDaemonProcess gone\n", "");
        gone(&pid);
        stack.get("/gone").expect(500);
        assert_eq!(stack.get("/stays").expect(200).json()["pid"], stays);
    }

    fn a_touched_script_is_loaded_again_and_no_request_fails(mpm) {
        let stack = Stack::on(mpm).config(SITE).config("WSGIScriptAlias / @ROOT@/code/app.wsgi").config(CODE)
            .file("code/app.wsgi", saying("old")).run();
        assert_eq!(stack.get("/").expect(200).text(), "old");
        rewrite(&stack.place.path("code/app.wsgi"), &saying("new"));
        until("the new code", || stack.get("/").expect(200).text() == "new");
        // And once new, always new.
        for _ in 0..20 {
            assert_eq!(stack.get("/").expect(200).text(), "new");
        }
    }
}

/// A directory for code that changes.
const CODE: &str = "<Directory @ROOT@/code>\nRequire all granted\n</Directory>";

fn saying(word: &str) -> String {
    format!(
        "def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{word}']\n"
    )
}

/// Writes a file with another time than before, however coarse the clock of the file system.
fn rewrite(path: &Path, content: &str) {
    let before = std::fs::metadata(path).unwrap().modified().unwrap();
    std::fs::write(path, content).unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(before + std::time::Duration::from_secs(10)).unwrap();
}

/// Waits until a group has that many ready workers.
fn workers(stack: &Stack, group: &str, number: usize) -> Vec<u32> {
    eventually(PATIENCE, "ready workers", || match stack.daemon().ready_workers(group) {
        ready if ready.len() == number => Ok(ready),
        ready => Err(format!("{ready:?}")),
    })
}

/// Begins a request to waiting.wsgi and waits until the application has it.
fn begin(stack: &Stack, path: &str, name: &str) -> (Connection, PathBuf) {
    let name = stack.place.make_public_dir("markers").join(name);
    let mut connection = stack.connect();
    connection.send(Request::get(&format!("{path}?{}", name.display())).bytes());
    until("the application has begun", || name.with_extension("begun").exists());
    (connection, name)
}

/// Lets it end.
fn go(name: &Path) {
    std::fs::write(name.with_extension("go"), "").unwrap();
}

fn gone(pid: &serde_json::Value) {
    let pid = Pid::from_raw(pid.as_i64().unwrap() as i32);
    until("the old worker ends", || kill(pid, None).is_err());
}

each_mpm! {
    /// However it ends, and however often: the next request waits for the next worker.
    fn an_application_that_ends_its_process_is_started_again(mpm) {
        let stack = Stack::on(mpm).app("exiting").run();
        let mut pids = vec![stack.get("/").expect(200).text()];
        for how in ["0", "1", "term", "3"] {
            let expected = if how == "term" { 200 } else { 502 };
            stack.get(&format!("/exit?{how}")).expect(expected);
            until("another worker", || {
                let pid = stack.get("/").expect(200).text();
                let new = !pids.contains(&pid);
                pids.push(pid);
                new
            });
        }
    }

    fn a_worker_that_is_killed_costs_its_request_alone(mpm) {
        let stack = Stack::on(mpm).config(&SITE.replace("site ", "site processes=2 ")).app("waiting").run();
        let (mut victim, name) = begin(&stack, "/", "a");
        let pid = std::fs::read_to_string(name.with_extension("begun")).unwrap();
        kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
        let reply = victim.reply().unwrap();
        assert_eq!((reply.status, reply.reason.as_str()), (502, "Bad Gateway"));
        stack.logged("error", &["[client 127.0.0.1:", "'site'", "SIGKILL"]);
        stack.logged("wsgid", &[&format!("pid={pid}"), "worker was ended by SIGKILL"]);
        // Others are served meanwhile, and the place of the dead one is filled.
        for n in 0..10 {
            let (mut connection, name) = begin(&stack, "/", &format!("b{n}"));
            go(&name);
            assert_eq!(connection.reply().unwrap().expect(200).text(), "waited\n");
        }
        assert!(!workers(&stack, "site", 2).contains(&pid.parse().unwrap()));
    }

    fn an_answer_cut_off_by_a_death_is_not_made_to_look_whole(mpm) {
        let stack = Stack::on(mpm).config(SITE).app("waiting").run();
        let name = stack.place.make_public_dir("markers").join("a");
        let mut connection = stack.connect();
        connection.send(Request::get(&format!("/streamed?{}", name.display())).bytes());
        assert_eq!(connection.head_reply().unwrap().status, 200);
        assert_eq!(connection.chunk().unwrap(), b"before\n");
        until("the application waits", || name.with_extension("begun").exists());
        let pid = std::fs::read_to_string(name.with_extension("begun")).unwrap();
        kill(Pid::from_raw(pid.parse().unwrap()), Signal::SIGKILL).unwrap();
        let rest = connection.chunk();
        assert!(rest.is_err(), "a final chunk came: {rest:?}");
    }
}

fn limits(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap()
}

/// Whatever becomes of the daemon, without the least to be noticed by anybody.
fn workers_outlive(mpm: Mpm, deed: impl Fn(&mut Stack, &mut Connection)) {
    let mut stack = Stack::on(mpm)
        .config("WSGIDaemonProcess site processes=2 threads=2 maximum-requests=1000\nWSGIDaemonProcess other")
        .bring("waiting")
        .bring("whoami")
        .config("WSGIScriptAlias /waiting @APPS@/waiting.wsgi process-group=site application-group=%{GLOBAL}")
        .config("WSGIScriptAlias / @APPS@/whoami.wsgi process-group=other")
        .run();
    let before = workers(&stack, "site", 2);
    let limits = limits(before[0]);
    // One child of httpd's knows the way to both applications.
    let mut kept = stack.connect();
    let other = kept.ask(&Request::get("/")).expect(200).json()["pid"].clone();
    let (mut connection, name) = begin(&stack, "/waiting", "a");
    deed(&mut stack, &mut kept);
    assert_eq!(stack.get("/").expect(200).json()["pid"], other);
    until("the workers are taken over", || stack.daemon().ready_workers("site") == before);
    until("and those of the other", || stack.daemon().ready_workers("other").len() == 1);
    go(&name);
    assert_eq!(connection.reply().unwrap().expect(200).text(), "waited\n");
    // They are looked after as before: replaced when they die, and heard.
    kill(Pid::from_raw(before[0] as i32), Signal::SIGKILL).unwrap();
    until("a dead one is replaced", || {
        let ready = stack.daemon().ready_workers("site");
        ready.len() == 2 && !ready.contains(&before[0])
    });
    stack.wsgictl(&["reload", "site"]);
    until("the others are replaced", || {
        let ready = stack.daemon().ready_workers("site");
        ready.len() == 2 && !ready.contains(&before[1])
    });
    assert_eq!(self::limits(stack.daemon().ready_workers("site")[0]), limits);
    assert_eq!(stack.get("/").expect(200).json()["pid"], other);
}

each_mpm! {
    fn workers_outlive_a_daemon_that_is_killed(mpm) {
        workers_outlive(mpm, |stack, kept| {
            stack.kill_daemon();
            kept.ask(&Request::get("/")).expect(200); // no request needs it
            stack.start_daemon();
        });
    }

    fn workers_outlive_a_restart_by_the_service_manager(mpm) {
        workers_outlive(mpm, |stack, kept| {
            stack.have_daemon_leave();
            kept.ask(&Request::get("/")).expect(200);
            stack.start_daemon();
        });
    }

    fn workers_outlive_the_renewal_of_the_daemon(mpm) {
        workers_outlive(mpm, |stack, _| {
            stack.daemon().signal(Signal::SIGHUP);
            until("it has begun anew", || stack.log("wsgid").matches(" is ready").count() > 4);
            until("it answers", || wsgid_tests::daemon::query(&stack.place.path("run/control.sock")).is_ok());
        });
    }
}

#[test]
fn workers_of_a_group_that_has_changed_meanwhile_finish_and_others_come() {
    let mut stack = Stack::on(Mpm::Event).config(SITE.replace("=2", "=20").as_str()).app("whoami").run();
    let before = stack.get("/").expect(200).json()["pid"].clone();
    stack.kill_daemon();
    stack.reconfigure("threads=20", "threads=21");
    stack.start_daemon();
    until("another worker answers", || stack.get("/").expect(200).json()["pid"] != before);
    gone(&before);
}

#[test]
fn nobody_else_is_taken_over() {
    use std::io::{Read, Write};
    use wsgid_proto::{Message, launch::Attach};
    let mut stack = Stack::on(Mpm::Event).config(SITE).app("whoami").run();
    let before = stack.get("/").expect(200).json()["pid"].clone();
    stack.kill_daemon();
    stack.start_daemon();
    let path = stack.place.path("run/attach.sock");
    for bytes in [Attach { pool: 1, serial: 1, loaded: true }.frame(), b"GET / HTTP/1.0\r\n\r\n".to_vec()] {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let _ = stream.write_all(&bytes); // it may have been turned away already, for what process it is
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"", "without a board and a pulse nobody is a worker");
    }
    assert_eq!(stack.get("/").expect(200).json()["pid"], before);
}

#[test]
fn the_daemon_lets_its_workers_finish() {
    let mut stack = Stack::on(Mpm::Event).config(SITE).app("waiting").run();
    let (mut connection, name) = begin(&stack, "/", "a");
    stack.daemon().signal(Signal::SIGTERM);
    go(&name);
    assert_eq!(connection.reply().unwrap().expect(200).text(), "waited\n");
    stack.stop_daemon();
}

/// A disk that was full, or a directory that was removed and made anew, may have cost the record.
#[test]
fn a_worker_that_the_next_daemon_does_not_know_of_finishes_and_ends() {
    let mut stack = Stack::on(Mpm::Event).config(SITE).app("waiting").run();
    let (mut connection, name) = begin(&stack, "/", "a");
    let worker = stack.daemon().ready_workers("site")[0];
    stack.kill_daemon();
    let records = std::fs::read_dir(stack.place.path("run/w")).unwrap().map(|entry| entry.unwrap().path());
    let records: Vec<_> =
        records.filter(|path| path.extension().is_some_and(|suffix| suffix == "worker")).collect();
    assert!(!records.is_empty());
    records.iter().for_each(|record| std::fs::remove_file(record).unwrap());
    stack.start_daemon();
    go(&name);
    assert_eq!(connection.reply().unwrap().expect(200).text(), "waited\n");
    gone(&serde_json::json!(worker));
}

#[test]
fn a_reload_just_after_a_start_is_one_of_all_workers() {
    let mut stack = Stack::on(Mpm::Event)
        .config(SITE.replace("threads", "processes=2 threads").as_str())
        .app("whoami")
        .run();
    let before = workers(&stack, "site", 2);
    let late = Pid::from_raw(before[1] as i32);
    stack.kill_daemon();
    kill(late, Signal::SIGSTOP).unwrap();
    stack.start_daemon();
    stack.logged("wsgid", &["worker is taken over", &before[0].to_string()]);
    std::thread::scope(|scope| {
        let reload = scope.spawn(|| stack.wsgictl(&["reload", "site"]));
        stack.logged("wsgid", &["an order to reload waits"]);
        kill(late, Signal::SIGCONT).unwrap();
        reload.join().unwrap();
    });
    until("both are replaced", || {
        let now = stack.daemon().ready_workers("site");
        now.len() == 2 && !now.iter().any(|pid| before.contains(pid))
    });
}

/// A script without requests goes on, too. That it is never there twice is told by a name that it alone may have.
#[test]
fn a_service_outlives_its_daemon_and_ends_before_its_successor_begins() {
    let mut stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=0 umask=022")
        .bring("service")
        .config("WSGIImportScript @APPS@/service.wsgi process-group=site application-group=%{GLOBAL}")
        .run();
    let begun = |stack: &Stack| stack.log("wsgid").matches("] begun ").count();
    until("the service has begun", || begun(&stack) == 1);
    let service = workers(&stack, "site", 1)[0];
    let deeds: [fn(&mut Stack); 3] = [
        |stack| {
            stack.have_daemon_leave();
            stack.start_daemon();
        },
        |stack| {
            stack.kill_daemon();
            stack.start_daemon();
        },
        |stack| stack.daemon().signal(Signal::SIGHUP),
    ];
    for (number, deed) in deeds.iter().enumerate() {
        deed(&mut stack);
        until("it is taken over", || {
            stack.log("wsgid").matches("worker is taken over").count() == number + 1
        });
        assert_eq!((workers(&stack, "site", 1), begun(&stack)), (vec![service], 1));
    }

    // The next daemon is told of the change before the service comes to it.
    stack.kill_daemon();
    kill(Pid::from_raw(service as i32), Signal::SIGSTOP).unwrap();
    stack.start_daemon();
    stack.reconfigure("umask=022", "umask=027");
    kill(Pid::from_raw(service as i32), Signal::SIGCONT).unwrap();
    until("its successor has begun", || begun(&stack) == 2);
    let log = stack.log("wsgid");
    assert!(!log.contains("is not taken over"), "{log}");
    assert!(log.contains(&format!("told to end {service}")), "{log}");
    assert!(!log.contains("Address already in use"), "{log}");
    assert_ne!(workers(&stack, "site", 1), [service]);
}

/// The service manager removes the runtime directory of what it stops.
#[test]
fn workers_that_were_left_finish_and_end_when_there_will_be_no_daemon() {
    let mut stack = Stack::on(Mpm::Event).config(SITE).app("waiting").run();
    let (mut connection, name) = begin(&stack, "/", "a");
    let worker = stack.daemon().ready_workers("site")[0];
    stack.have_daemon_leave();
    std::fs::remove_dir_all(stack.place.path("run")).unwrap();
    // Told apart by what it still does: it waits for its request, and then for nothing.
    assert!(wsgid_tests::family::Process::find(worker as i32).is_some());
    go(&name);
    assert_eq!(connection.reply().unwrap().expect(200).text(), "waited\n");
    gone(&serde_json::json!(worker));
    stack.get("/").expect(503);
    stack.start_daemon();
    until("it serves again", || stack.daemon().ready_workers("site").len() == 1);
}

#[test]
fn new_code_that_does_not_import_leaves_the_old_in_service() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site")
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config(CODE)
        .file("code/app.wsgi", saying("old"))
        .run();
    assert_eq!(stack.get("/").expect(200).text(), "old");
    rewrite(&stack.place.path("code/app.wsgi"), "raise RuntimeError('broken on purpose')\n");
    until("the traceback is in a log", || {
        assert_eq!(stack.get("/").expect(200).text(), "old");
        (stack.log("wsgid") + &stack.log("error")).contains("RuntimeError: broken on purpose")
    });
    for _ in 0..20 {
        assert_eq!(stack.get("/").expect(200).text(), "old");
    }
    for line in [
        "trouble: the code on disk does not import",
        "Traceback (most recent call last)",
        "RuntimeError: broken on purpose",
    ] {
        // The daemon hears of it a moment after the log.
        until(line, || stack.wsgictl(&["status"]).lines().any(|shown| shown.trim_start().starts_with(line)));
    }
    rewrite(&stack.place.path("code/app.wsgi"), &saying("mended"));
    until("the mended code", || stack.get("/").expect(200).text() == "mended");
    until("the trouble is over", || !stack.wsgictl(&["status"]).contains("trouble"));
}

#[test]
fn what_kills_workers_when_it_is_half_answered_is_refused_too() {
    let stack = Stack::on(Mpm::Event).config("ServerLimit 1\nStartServers 1").app("exiting").run();
    for _ in 0..2 {
        let reply = stack.connect().ask(&Request::get("/half?1"));
        assert_eq!((reply.status, reply.whole), (200, false));
    }
    stack.get("/half?1").expect(502);
    stack.logged("error", &["WSGI8015", "refused for"]);
}

#[test]
fn what_kills_workers_again_and_again_is_refused() {
    // One child of httpd's, so that one list is all there are.
    let stack = Stack::on(Mpm::Event).config("ServerLimit 1\nStartServers 1").app("exiting").run();
    let first = stack.get("/").expect(200).text();
    for _ in 0..2 {
        stack.get("/exit?1").expect(502);
    }
    until("another worker", || stack.get("/").expect(200).text() != first);
    let pid = stack.get("/").expect(200).text();
    stack.get("/exit?1").expect(502);
    stack.logged("error", &["WSGI8015", "refused for"]);
    assert_eq!(stack.get("/").expect(200).text(), pid, "and it has cost no worker");
    stack.get("/exit?3").expect(502);
    until("what is another request does, though", || stack.get("/").expect(200).text() != pid);
}

/// A group with these options, and one application.
fn scripted(options: &str, app: &str) -> Plan {
    Stack::on(Mpm::Event)
        .config(&format!("WSGIDaemonProcess site {options}"))
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config(CODE)
        .file("code/app.wsgi", app)
}

/// Kills so many workers in turn, each with as many requests of one address in it as it has threads, and then has
/// that address answered, as it has to be.
fn is_not_refused_after(deaths: usize, signal: Signal) {
    let app = "\
import os, time
def application(environ, start_response):
    while not os.path.exists(environ['QUERY_STRING']):
        time.sleep(0.005)
    start_response('200 OK', [])
    return [b'there']
";
    // One child of httpd's, so that one list is all there are.
    let stack = scripted("threads=8", app).config("ServerLimit 1\nStartServers 1").run();
    let go = stack.place.path("go");
    let request = Request::get(&format!("/?{}", go.display()));
    for _ in 0..deaths {
        let mut held: Vec<Connection> = (0..8).map(|_| stack.connect()).collect();
        held.iter_mut().for_each(|connection| connection.send(request.bytes()));
        let board = PoolBoard::of(&stack, "site");
        until("all of them are in it", || board.active() == 8);
        kill(Pid::from_raw(workers(&stack, "site", 1)[0] as i32), signal).unwrap();
        held.iter_mut().for_each(|connection| drop(connection.reply().unwrap().expect(502)));
    }
    std::fs::write(&go, "").unwrap();
    assert_eq!(stack.ask(&request).expect(200).text(), "there");
}

/// An application of one address, as many are, must not be refused for one death.
#[test]
fn many_requests_in_a_worker_that_crashes_are_one_death() {
    is_not_refused_after(1, Signal::SIGABRT);
}

#[test]
fn no_request_is_to_blame_for_workers_that_somebody_kills() {
    is_not_refused_after(3, Signal::SIGKILL);
}

/// In mod_wsgi a request that comes while the application is imported waits as long as for any answer.
#[test]
fn an_import_may_take_longer_than_a_connection() {
    let app = format!("import time\ntime.sleep(4)\n{}", saying("imported"));
    assert_eq!(scripted("connect-timeout=1", &app).run().get("/").expect(200).text(), "imported");
}

/// It is ready, and gone: nobody waits for the next that will do the same, and the log of the site says why.
#[test]
fn an_application_that_never_stays_up_is_not_waited_for() {
    let ending = "import os, threading\nthreading.Timer(0.1, os._exit, [7]).start()\n";
    let stack = scripted("", &format!("{ending}{}", saying("soon gone"))).run();
    let failing = || stack.daemon().pools("site").iter().any(|pool| pool.workers.is_empty());
    until("it is given up for a while", || failing() && stack.get("/").status == 503);
    stack.logged("error", &["WSGI8007", "a worker exited with status 7"]);
}

/// As Python sees it, and not only in the environment.
#[test]
fn a_locale_is_set_and_one_that_is_unknown_is_told() {
    let app = "import locale\n\
               def application(environ, start_response):\n    start_response('200 OK', [])\n    \
               return [locale.setlocale(locale.LC_TIME).encode()]\n";
    assert_eq!(scripted("locale=C.UTF-8", app).run().get("/").expect(200).text(), "C.UTF-8");
    let stack = scripted("locale=xx_NOWHERE", app).run();
    assert_eq!(stack.get("/").expect(200).text(), "C");
    stack.logged("wsgid", &["locale=xx_NOWHERE has no effect"]);
}

#[test]
fn a_changed_group_takes_over_with_all_its_workers() {
    let mut stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site processes=3 threads=2\nWSGIProcessGroup site\nWSGIApplicationGroup %{GLOBAL}")
        .app("whoami")
        .run();
    let before = workers(&stack, "site", 3);
    stack.reconfigure("threads=2", "threads=3");
    until("they are replaced", || {
        let ready = stack.daemon().ready_workers("site");
        assert!(ready.len() >= 3, "{ready:?}");
        ready.len() == 3 && !ready.iter().any(|pid| before.contains(pid))
    });
}

#[test]
fn a_daemon_may_be_told_to_begin_anew_while_it_does() {
    let stack = Stack::on(Mpm::Event).config(SITE).app("whoami").run();
    let before = workers(&stack, "site", 1);
    for _ in 0..20 {
        let readied = stack.log("wsgid").matches(" is ready").count();
        until("it has begun anew", || {
            stack.daemon().signal(Signal::SIGHUP);
            stack.log("wsgid").matches(" is ready").count() > readied
        });
    }
    until("its worker is taken over", || {
        wsgid_tests::daemon::query(&stack.place.path("run/control.sock")).is_ok()
            && stack.daemon().ready_workers("site") == before
    });
}

/// As in mod_wsgi, of each process of a group.
#[test]
fn with_immediate_reloads_no_request_sees_the_old_code() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site processes=3 threads=2 reload=immediate")
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config(CODE)
        .file("code/app.wsgi", saying("code 0"))
        .run();
    let path = stack.place.path("code/app.wsgi");
    assert_eq!(stack.get("/").expect(200).text(), "code 0");
    for turn in 1..6 {
        workers(&stack, "site", 3);
        rewrite(&path, &saying(&format!("code {turn}")));
        for _ in 0..10 {
            assert_eq!(stack.post("/", "a body").expect(200).text(), format!("code {turn}"));
        }
    }
    rewrite(&path, "raise RuntimeError('broken on purpose')\n");
    stack.get("/").expect(500);
    rewrite(&path, &saying("mended"));
    until("the mended code", || stack.get("/").text() == "mended");
}

/// Wants to be loaded anew when a file of its name has come or gone. Tells what it found when it was loaded, and
/// how often the request was sent to a worker, and given back by one.
const WILFUL: &str = "\
import json, os, mod_wsgi
def wish():
    return os.path.exists(__file__ + '.wish')
then = wish()
def reload_required(resource):
    return wish() != then
@mod_wsgi.subscribe_events
def heard(name, **event):
    if name == 'request_started':
        event['request_data']['tries'] = [event['daemon_connects'], event['daemon_restarts']]
def application(environ, start_response):
    body = environ['wsgi.input'].read().decode()
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [json.dumps([then, body, *mod_wsgi.request_data()['tries']]).encode()]
";

#[test]
fn with_immediate_reloads_a_script_that_wants_to_be_loaded_anew_has_its_way_at_once() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=2 reload=immediate request-buffer-size=0")
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config(CODE)
        .file("code/app.wsgi", WILFUL)
        .run();
    let wish = stack.place.path("code/app.wsgi.wish");
    let ask = || stack.post("/", "a body").expect(200).json();
    assert_eq!(ask(), json!([false, "a body", 1, 0]));
    std::fs::write(&wish, "").unwrap();
    assert_eq!(ask(), json!([true, "a body", 2, 1]), "the very request that found out");
    assert_eq!(ask(), json!([true, "a body", 1, 0]));
    std::fs::remove_file(&wish).unwrap();
    assert_eq!(ask(), json!([false, "a body", 2, 1]));
}

#[test]
fn the_events_tell_how_often_a_request_was_sent() {
    let app = "import os, signal\n".to_string()
        + WILFUL
        + "inner = application\ndef application(environ, start_response):\n"
        + "    if environ['QUERY_STRING'] and mod_wsgi.request_data()['tries'][0] == 1:\n"
        + "        os.kill(os.getpid(), signal.SIGKILL)\n"
        + "    return inner(environ, start_response)\n";
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site threads=2 replay=On")
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .config(CODE)
        .file("code/app.wsgi", app)
        .run();
    assert_eq!(stack.get("/").expect(200).json(), json!([false, "", 1, 0]));
    assert_eq!(stack.get("/?die").expect(200).json(), json!([false, "", 2, 0]));
}

#[test]
fn reloading_can_be_switched_off() {
    let stack = Stack::on(Mpm::Event)
        .config(SITE)
        .config("WSGIScriptReloading Off\nWSGIScriptAlias / @ROOT@/code/app.wsgi")
        .config(CODE)
        .file("code/app.wsgi", saying("old"))
        .run();
    assert_eq!(stack.get("/").expect(200).text(), "old");
    let before = stack.daemon().ready_workers("site");
    rewrite(&stack.place.path("code/app.wsgi"), &saying("new"));
    for _ in 0..50 {
        assert_eq!(stack.get("/").expect(200).text(), "old");
    }
    assert_eq!(stack.daemon().ready_workers("site"), before);
}

#[test]
fn a_worker_that_dies_idle_is_replaced() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site")
        .bring("whoami")
        .config("WSGIScriptAlias / @APPS@/whoami.wsgi process-group=site application-group=%{GLOBAL}")
        .run();
    let before = workers(&stack, "site", 1);
    kill(Pid::from_raw(before[0] as i32), Signal::SIGKILL).unwrap();
    let pid = stack.get("/").expect(200).json()["pid"].as_u64().unwrap();
    assert_ne!(pid, u64::from(before[0]));
}

#[test]
fn a_script_with_both_groups_is_imported_before_the_first_request() {
    let stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site processes=2")
        .file(
            "code/app.wsgi",
            "import os\nopen('@ROOT@/markers/%d' % os.getpid(), 'w').close()\n".to_string() + &saying("x"),
        )
        .config(CODE)
        .config("WSGIScriptAlias / @ROOT@/code/app.wsgi process-group=site application-group=%{GLOBAL}")
        .without_daemon();
    let mut stack = stack.run();
    let markers = stack.place.make_public_dir("markers");
    stack.start_daemon();
    let imported = || std::fs::read_dir(&markers).unwrap().count();
    until("both workers have imported it, unasked", || imported() == 2);
    assert_eq!(workers(&stack, "site", 2).len(), 2);
}

#[test]
fn two_servers_share_a_daemon_and_not_their_groups() {
    let plan = || Stack::on(Mpm::Event).config(SITE).app("whoami");
    let one = plan().run();
    let two = plan().sharing_daemon_of(&one).run();
    let pid = |stack: &Stack| stack.get("/").expect(200).json()["pid"].clone();
    let (of_one, of_two) = (pid(&one), pid(&two));
    assert_ne!(of_one, of_two);
    two.graceful();
    assert_eq!((pid(&one), pid(&two)), (of_one.clone(), of_two));
    let mut two = two;
    two.reconfigure("threads=2", "threads=3");
    assert_eq!(pid(&one), of_one);
}

#[test]
fn wsgictl_shows_and_reloads() {
    let stack = Stack::on(Mpm::Event).config(SITE).app("whoami").run();
    let pid = stack.get("/").expect(200).json()["pid"].clone();
    let wsgictl = |arguments: &[&str]| {
        let mut command = std::process::Command::new(wsgid_tests::stage::staged("usr/bin/wsgictl"));
        command.arg("--socket").arg(stack.place.path("run/control.sock")).args(arguments);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said.into_owned())
    };
    let (good, said) = wsgictl(&["status"]);
    assert!(good && said.contains("site") && said.contains(&pid.to_string()), "{said}");
    let (good, said) = wsgictl(&["reload", "site"]);
    assert!(good, "{said}");
    until("another worker answers", || stack.get("/").expect(200).json()["pid"] != pid);
    let (good, said) = wsgictl(&["reload", "nosuch"]);
    assert!(!good && said.contains("nosuch"), "{said}");
}

const ENDLESS: &str = "import atexit, threading
atexit.register(threading.Event().wait)
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'served']
";

#[test]
fn a_worker_has_shutdown_timeout_to_end_in() {
    let mut stack = Stack::on(Mpm::Event)
        .config("WSGIDaemonProcess site shutdown-timeout=1\nWSGIProcessGroup site")
        .config("WSGIScriptAlias / @APPS@/endless.wsgi")
        .file("apps/endless.wsgi", ENDLESS)
        .run();
    assert_eq!(stack.get("/").expect(200).text(), "served");
    stack.stop_daemon();
    stack.logged("wsgid", &["[site ", "the time to end is up"]);
}

/// Says when it is told that it ends, and when its interpreter does.
const ENDING: &str = "\
import atexit, mod_wsgi, os
group = mod_wsgi.process_group
atexit.register(print, 'atexit', group)
@mod_wsgi.subscribe_shutdown
def stopping(name, **facts):
    print('stopping', group, flush=True)
def application(environ, start_response):
    start_response('200 OK', [])
    return [str(os.getpid()).encode()]
";

#[test]
fn a_worker_may_end_without_the_end_of_its_interpreter() {
    let stack = Stack::on(Mpm::Event)
        .file("apps/ending.wsgi", ENDING)
        .config("WSGIDestroyInterpreter Off")
        .config("WSGIDaemonProcess bare\nWSGIDaemonProcess whole destroy-interpreter=On")
        .config("WSGIScriptAlias /bare @APPS@/ending.wsgi process-group=bare")
        .config("WSGIScriptAlias /whole @APPS@/ending.wsgi process-group=whole")
        .run();
    let pids = ["/bare", "/whole"].map(|at| stack.get(at).expect(200).text());
    stack.wsgictl(&["reload", "--all"]);
    until("both have ended", || pids.iter().all(|pid| !std::path::Path::new("/proc").join(pid).exists()));
    for said in ["stopping bare", "stopping whole", "atexit whole"] {
        stack.logged("wsgid", &[said]);
    }
    assert!(!stack.log("wsgid").contains("atexit bare"), "{}", stack.log("wsgid"));
}
