//! Real applications from PyPI, each in a virtual environment, under the configuration that its own
//! documentation gives for mod_wsgi, with nothing but the paths filled in.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use wsgid_tests::browser::{Browser, Upload, field};
use wsgid_tests::venv::{shared, venv};
use wsgid_tests::wait::until;
use wsgid_tests::{Mpm, Plan, Request, Stack, each_mpm};

/// docs.djangoproject.com, "How to use Django with Apache and mod_wsgi": basic configuration.
const DJANGO_BASIC: &str = "
WSGIScriptAlias / @SITE@/mysite/wsgi.py
WSGIPythonHome @VENV@
WSGIPythonPath @SITE@

<Directory @SITE@/mysite>
<Files wsgi.py>
Require all granted
</Files>
</Directory>
";

/// The same page: using mod_wsgi daemon mode.
const DJANGO_DAEMON: &str = "
WSGIDaemonProcess example.com python-home=@VENV@ python-path=@SITE@
WSGIProcessGroup example.com
WSGIScriptAlias / @SITE@/mysite/wsgi.py process-group=example.com

<Directory @SITE@/mysite>
<Files wsgi.py>
Require all granted
</Files>
</Directory>
";

/// The same page: serving files. It comes before the alias for `/`.
const DJANGO_FILES: &str = "
Alias /robots.txt @SITE@/static/robots.txt

Alias /media/ @SITE@/media/
Alias /static/ @SITE@/static/

<Directory @SITE@/static>
Require all granted
</Directory>

<Directory @SITE@/media>
Require all granted
</Directory>
";

/// flask.palletsprojects.com, "mod_wsgi", as long as it described Apache's configuration.
const FLASK: &str = "
WSGIDaemonProcess yourapplication python-home=@VENV@ python-path=@SITE@ threads=5
WSGIScriptAlias / @SITE@/yourapplication.wsgi

Alias /static/ @SITE@/static/

<Directory @SITE@>
WSGIProcessGroup yourapplication
WSGIApplicationGroup %{GLOBAL}
Require all granted
</Directory>
";

const PASSWORD: &str = "corr&ct h\u{f6}rse";

fn app_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("apps").join(name)
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// What `startproject` writes, with its database, an administrator and the static files collected.
fn django_project() -> PathBuf {
    shared("django-project", |dir| {
        let venv = venv("django", &["django>=4.2,<7"]);
        fs::create_dir_all(dir.join("data")).unwrap();
        run(Command::new(venv.join("bin/django-admin")).args(["startproject", "mysite"]).arg(dir));
        for name in ["views.py", "urls.py"] {
            fs::copy(app_file("django").join(name), dir.join("mysite").join(name)).unwrap();
        }
        let settings = dir.join("mysite/settings.py");
        let local = fs::read_to_string(app_file("django/local_settings.py")).unwrap();
        fs::write(&settings, fs::read_to_string(&settings).unwrap() + &local).unwrap();
        let manage = |arguments: &[&str]| {
            let mut command = Command::new(venv.join("bin/python"));
            command.arg(dir.join("manage.py")).args(arguments).env("DJANGO_SUPERUSER_PASSWORD", PASSWORD);
            run(&mut command);
        };
        manage(&["migrate", "--verbosity=0"]);
        manage(&["createsuperuser", "--noinput", "--username=admin", "--email=a@example.org"]);
        manage(&["collectstatic", "--noinput", "--verbosity=0"]);
    })
}

/// A site of its own in the test's place: code that everybody may read, data that the web user may write.
fn bring(site: &Path, from: &Path, writable: &[&str]) {
    run(Command::new("cp").arg("-r").arg("--no-preserve=mode").arg(from.join(".")).arg(site));
    run(Command::new("chmod").args(["-R", "a+rX,u+w"]).arg(site));
    for name in writable {
        fs::create_dir_all(site.join(name)).unwrap();
        run(Command::new("chmod").args(["-R", "a+rwX"]).arg(site.join(name)));
    }
}

fn django(mpm: Mpm, config: &str) -> Stack {
    let plan: Plan = Stack::on(mpm)
        .with("VENV", venv("django", &["django>=4.2,<7"]))
        .with("SITE", "@ROOT@/site")
        .config(DJANGO_FILES)
        .config(config)
        .file("site/static/robots.txt", "User-agent: *\n")
        .without_daemon();
    let mut stack = plan.run();
    bring(&stack.place.path("site"), &django_project(), &["data", "media"]);
    stack.start_daemon();
    wsgid_tests::eventually(wsgid_tests::wait::PATIENCE, "Django", || match stack.get("/where/") {
        reply if reply.status == 200 => Ok(()),
        reply => Err(reply.head),
    });
    stack
}

/// KiB that a process has to itself: proc_pid_smaps(5).
fn private_memory(pid: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let of = |line: &str| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
    rollup.lines().filter(|line| line.starts_with("Private_")).map(of).sum()
}

/// Five workers that all have served, in ascending order of what each has to itself, and the stack they belong to.
fn private_memory_of_workers(options: &str) -> (Vec<u64>, Stack) {
    let config = DJANGO_DAEMON.replace("example.com python-home", options);
    let known = "process-group=example.com application-group=%{GLOBAL}";
    let stack = django(Mpm::Event, &config.replace("process-group=example.com", known));
    until("all are there", || stack.daemon().ready_workers("example.com").len() == 5);
    // One thread each, so that of as many requests at a time none goes to a worker that has one.
    let mut connections: Vec<_> = (0..5).map(|_| stack.connect()).collect();
    for _ in 0..20 {
        connections.iter_mut().for_each(|one| one.send(Request::get("/where/").bytes()));
        connections.iter_mut().for_each(|one| drop(one.reply().unwrap().expect(200)));
    }
    let workers = stack.daemon().ready_workers("example.com");
    let mut private: Vec<u64> = workers.into_iter().map(private_memory).collect();
    private.sort_unstable();
    (private, stack)
}

/// Prints what `preload=on` is for. That copies share memory is checked, how fast they come is not.
#[test]
fn copies_of_a_django_project_share_its_memory() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("only root can look into another user's processes");
    }
    let options = |preload: &str| format!("example.com processes=5 threads=1 preload={preload} python-home");
    let (alone, _) = private_memory_of_workers(&options("off"));
    let (shared, stack) = private_memory_of_workers(&options("on"));
    println!("KiB that each of five workers has to itself: {alone:?}, with preload=on {shared:?}");
    assert!(shared[2] * 2 < alone[2], "{alone:?} {shared:?}");

    let before = stack.daemon().ready_workers("example.com");
    let asked = Instant::now();
    stack.wsgictl(&["reload", "example.com"]);
    let fresh = |pids: Vec<u32>| pids.iter().filter(|pid| !before.contains(pid)).count();
    until("there are new ones", || fresh(stack.daemon().ready_workers("example.com")) == 5);
    println!("a reload, with its import: {:?}", asked.elapsed());

    let before = stack.daemon().ready_workers("example.com");
    let asked = Instant::now();
    before.iter().for_each(|pid| kill(Pid::from_raw(*pid as i32), Signal::SIGUSR1).unwrap());
    let fresh = |pids: Vec<u32>| pids.iter().filter(|pid| !before.contains(pid)).count();
    until("there are new ones", || fresh(stack.daemon().ready_workers("example.com")) == 5);
    println!("five workers from a template that is there: {:?}", asked.elapsed());
}

fn log_in(browser: &mut Browser) {
    let page = browser.get("/admin/login/").expect(200).text();
    let token = field(&page, "csrfmiddlewaretoken").unwrap();
    let fields = [("username", "admin"), ("password", PASSWORD), ("next", "/admin/")];
    let without_token = browser.submit("/admin/login/", &fields);
    assert_eq!(without_token.status, 403, "CSRF protection is off");
    let wrong = [("csrfmiddlewaretoken", token.as_str()), ("username", "admin"), ("password", "wrong")];
    browser.submit("/admin/login/", &wrong).expect(200);
    assert_eq!(browser.cookie("sessionid"), None);
    let right = [&[("csrfmiddlewaretoken", token.as_str())], &fields[..]].concat();
    let reply = browser.submit("/admin/login/", &right).expect(302);
    assert_eq!(reply.header("Location"), Some("/admin/"));
}

/// Everything that people do with a Django site.
fn exercise_django(stack: &mut Stack) {
    let mut browser = Browser::of(stack);
    browser.get("/admin/").expect(302);
    log_in(&mut browser);
    assert!(browser.cookie("sessionid").is_some());
    let page = browser.get("/admin/auth/user/").expect(200).text();
    assert!(page.contains("a@example.org"), "{page}");

    let token = browser.get("/upload/").expect(200).text();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 + n / 251) as u8).collect();
    let file = Upload { field: "document", name: "upload.bin", content: &content };
    let fields = [("csrfmiddlewaretoken", token.as_str()), ("title", "a \u{fc}mlaut")];
    let reply = browser.upload("/upload/", &fields, &file).expect(200);
    assert_eq!(reply.text(), "upload.bin 3000000 a \u{fc}mlaut");
    assert!(browser.get("/media/upload.bin").expect(200).body == content, "Apache serves something else");
    assert!(browser.get("/file/upload.bin").expect(200).body == content, "Django serves something else");

    let download = browser.get("/download/200000/").expect(200);
    let lines: String = (0..200_000).map(|n| format!("line {n:07}\n")).collect();
    assert!(download.whole && download.text() == lines);
    assert_eq!(stack.get("/where/?a=b").expect(200).text(), "http://localhost/where/?a=b");
    stack.get("/broken/").expect(500);
    stack.logged("error", &["RuntimeError: the view fails on purpose"]);
    files_need_no_daemon(stack, &["/robots.txt", "/static/admin/css/base.css", "/media/upload.bin"]);
}

/// Apache serves these by itself.
fn files_need_no_daemon(stack: &mut Stack, files: &[&str]) {
    stack.stop_daemon();
    for file in files {
        let on_disk = fs::read(stack.place.path("site").join(&file[1..]));
        let on_disk =
            on_disk.or_else(|_| fs::read(stack.place.path("site/static").join(&file[1..]))).unwrap();
        assert!(stack.get(file).expect(200).body == on_disk, "{file}");
    }
}

each_mpm! {
    fn django_as_its_documentation_has_it(mpm) {
        let mut stack = django(mpm, DJANGO_BASIC);
        exercise_django(&mut stack);
    }

    fn django_in_daemon_mode(mpm) {
        let mut stack = django(mpm, DJANGO_DAEMON);
        exercise_django(&mut stack);
    }

    fn flask_as_its_documentation_has_it(mpm) {
        let mut stack = flask(mpm);
        exercise_flask(&mut stack);
    }
}

fn flask(mpm: Mpm) -> Stack {
    let mut stack = Stack::on(mpm)
        .with("VENV", venv("flask", &["flask>=3,<4", "flask-wtf>=1.2"]))
        .with("SITE", "@ROOT@/site")
        .config(FLASK)
        .file("site/static/style.css", "body { margin: 0 }\n")
        .without_daemon()
        .run();
    bring(&stack.place.path("site"), &app_file("flask"), &["uploads"]);
    fs::set_permissions(stack.place.path("site"), fs::Permissions::from_mode(0o755)).unwrap();
    stack.start_daemon();
    wsgid_tests::eventually(wsgid_tests::wait::PATIENCE, "Flask", || match stack.get("/me") {
        reply if reply.status == 200 => Ok(()),
        reply => Err(reply.head),
    });
    stack
}

fn exercise_flask(stack: &mut Stack) {
    let mut browser = Browser::of(stack);
    assert_eq!(browser.get("/me").expect(200).text(), "nobody");
    browser.submit("/login", &[("user", "ada")]).expect(400);
    let token = browser.get("/token").expect(200).text();
    let token = ("csrf_token", token.as_str());
    assert_eq!(browser.submit("/login", &[token, ("user", "ada")]).expect(200).text(), "welcome");
    assert_eq!(browser.get("/me").expect(200).text(), "ada");

    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 11 + n / 253) as u8).collect();
    let file = Upload { field: "document", name: "upload.bin", content: &content };
    let reply = browser.upload("/upload", &[token, ("title", "a title")], &file).expect(200);
    assert_eq!(reply.text(), "upload.bin a title");
    assert!(browser.get("/file/upload.bin").expect(200).body == content);

    let download = browser.get("/download/200000").expect(200);
    let lines: String = (0..200_000).map(|n| format!("line {n:07}\n")).collect();
    assert!(download.whole && download.text() == lines);
    stack.get("/broken").expect(500);
    stack.logged("error", &["RuntimeError: the view fails on purpose"]);
    files_need_no_daemon(stack, &["/static/style.css"]);
}
