//! What a test says of the stack it wants, and the httpd configuration this becomes.

use crate::httpd::{Identity, Mpm, modules, web_user};
use crate::place::Place;
use crate::stack::Stack;
use crate::stage;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// The words between `Stack::on(mpm)` and `run()`. Configuration appears in the order it is said.
/// In it `@ROOT@` is the place, `@APPS@` its applications, `@PORT@` the port, `@TLS_PORT@` another free one;
/// see [`Plan::with`].
#[derive(Debug)]
pub struct Plan {
    pub(crate) mpm: Mpm,
    pub(crate) apps: Vec<String>,
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) words: Vec<(String, String)>,
    pub(crate) config: String,
    pub(crate) daemon: Household,
    pub(crate) identity: Identity,
    pub(crate) modules: Vec<&'static str>,
    pub(crate) module: Option<PathBuf>,
}

/// What httpd listens on, so far as the configuration says so.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ports {
    pub(crate) plain: u16,
    pub(crate) tls: u16,
}

/// Which daemon serves the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Household {
    /// One of its own.
    Own,
    /// One of its own, that the test starts later.
    Later,
    /// Another stack's, by its control socket.
    Shared(PathBuf),
    /// None: the module does without.
    Needless,
}

impl Plan {
    pub(crate) fn new(mpm: Mpm) -> Self {
        Self {
            mpm,
            apps: Vec::new(),
            files: Vec::new(),
            words: Vec::new(),
            config: String::new(),
            daemon: Household::Own,
            identity: None,
            module: None,
            modules: vec!["authz_core", "dir", "alias", "mime", "env", "setenvif", "rewrite", "log_config"],
        }
    }

    /// The application of this name at `/`, in the implicit group.
    pub fn app(self, name: &str) -> Self {
        self.mount("/", name)
    }

    /// The application of this name at a path.
    pub fn mount(self, path: &str, name: &str) -> Self {
        self.bring(name).config(&format!("WSGIScriptAlias {path} @APPS@/{name}.wsgi"))
    }

    /// The application of this name as `@APPS@/name.wsgi`, mounted nowhere.
    pub fn bring(mut self, name: &str) -> Self {
        self.apps.push(name.into());
        self
    }

    /// Lines of configuration.
    pub fn config(mut self, text: &str) -> Self {
        self.config.push_str(text);
        self.config.push('\n');
        self
    }

    /// A name-based virtual host with an error log of its own, `logs/NAME.log`.
    pub fn site(self, name: &str, text: &str) -> Self {
        self.config(&format!(
            "<VirtualHost 127.0.0.1:@PORT@>\nServerName {name}\nErrorLog logs/{name}.log\n{text}\n</VirtualHost>"
        ))
    }

    /// `@NAME@` in the configuration and in files is `value`.
    pub fn with(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.words.push((name.into(), value.as_ref().to_str().unwrap().into()));
        self
    }

    /// A file below the root.
    pub fn file(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.files.push((name.into(), content.as_ref().to_vec()));
        self
    }

    /// One more of httpd's modules.
    pub fn module(mut self, name: &'static str) -> Self {
        self.modules.push(name);
        self
    }

    /// The daemon is not there yet.
    pub fn without_daemon(mut self) -> Self {
        self.daemon = Household::Later;
        self
    }

    /// Another `wsgi_module` in place of ours, which needs no daemon.
    pub fn served_by(mut self, module: PathBuf) -> Self {
        self.module = Some(module);
        self.daemon = Household::Needless;
        self
    }

    /// Served by another stack's daemon.
    pub fn sharing_daemon_of(mut self, other: &Stack) -> Self {
        self.daemon = Household::Shared(other.place.path("run/control.sock"));
        self
    }

    /// Everything runs as this user, as if it had been started by them.
    pub fn as_user(mut self, name: &str) -> Self {
        if nix::unistd::getuid().is_root() {
            let user = nix::unistd::User::from_name(name).unwrap().expect("no such user");
            self.identity = Some((user.uid.as_raw(), user.gid.as_raw()));
        }
        self
    }

    /// Starts it.
    #[track_caller]
    pub fn run(self) -> Stack {
        Stack::start(self)
    }

    /// Prepares the place with its configuration and starts nothing.
    pub fn lay_out(&self) -> Place {
        let place = Place::new(self.identity);
        for app in &self.apps {
            place.install_app(app);
        }
        for (name, content) in &self.files {
            match std::str::from_utf8(content) {
                Ok(text) => place.write(name, self.fill_in(text, &place, Ports::default())),
                Err(_) => place.write(name, content),
            };
        }
        self.write_config(&place, Ports { plain: 1, tls: 2 });
        place
    }

    pub(crate) fn write_config(&self, place: &Place, ports: Ports) {
        let text = self.base() + &self.config;
        place.write("httpd.conf", self.fill_in(&text, place, ports));
    }

    fn fill_in(&self, text: &str, place: &Place, ports: Ports) -> String {
        let root = place.root().to_str().unwrap();
        let mut text = text.to_string();
        for (name, value) in &self.words {
            text = text.replace(&format!("@{name}@"), value);
        }
        text.replace("@APPS@", "@ROOT@/apps")
            .replace("@ROOT@", root)
            .replace("@PORT@", &ports.plain.to_string())
            .replace("@TLS_PORT@", &ports.tls.to_string())
    }

    /// The Python that serves where a test names none; see `tests/run --free-threaded`.
    fn python() -> String {
        let Some(home) = std::env::var_os("WSGID_SERVED_BY") else { return String::new() };
        format!("WSGIPythonHome {}\nWSGIFreeThreading On\n", Path::new(&home).display())
    }

    fn base(&self) -> String {
        let mut text = String::from("ServerRoot @ROOT@\nDefaultRuntimeDir @ROOT@/run\n");
        text.push_str("PidFile @ROOT@/run/httpd.pid\nErrorLog logs/error.log\nLogLevel info\n");
        text.push_str("ServerName localhost\nServerAdmin admin@localhost\nListen 127.0.0.1:@PORT@\n");
        text.push_str("DocumentRoot @ROOT@/htdocs\n");
        for module in self.modules.iter().copied().chain([self.mpm.name(), "unixd"]) {
            let file = modules().join(format!("mod_{module}.so"));
            let _ = writeln!(
                text,
                "<IfModule !{module}_module>\nLoadModule {module}_module {}\n</IfModule>",
                file.display()
            );
        }
        let module = self.module.clone().unwrap_or_else(stage::module);
        let _ = writeln!(text, "LoadModule wsgi_module {}", module.display());
        let socket = match &self.daemon {
            Household::Shared(socket) => socket.to_str(),
            Household::Own | Household::Later => Some("@ROOT@/run/control.sock"),
            Household::Needless => None,
        };
        if let Some(socket) = socket {
            let _ = writeln!(text, "WSGIDaemonSocket {socket}");
        }
        if nix::unistd::getuid().is_root() && self.identity.is_none() {
            let user = web_user();
            let _ = writeln!(text, "User {user}\nGroup {user}");
        }
        if self.module.is_none() {
            text += &Self::python();
        }
        text.push_str(PROCESSES);
        text.push_str("TypesConfig /etc/mime.types\n");
        text.push_str("<Directory />\nAllowOverride None\nRequire all denied\n</Directory>\n");
        text.push_str("<Directory @APPS@>\nRequire all granted\n</Directory>\n");
        text.push_str("<Directory @ROOT@/htdocs>\nRequire all granted\n</Directory>\n");
        text
    }
}

/// Two processes from the start, so that what must hold between them is tried.
const PROCESSES: &str = "\
<IfModule !mpm_prefork_module>
StartServers 2
ThreadsPerChild 16
MinSpareThreads 8
MaxSpareThreads 64
MaxRequestWorkers 32
</IfModule>
<IfModule mpm_prefork_module>
StartServers 2
MinSpareServers 2
MaxSpareServers 6
MaxRequestWorkers 32
</IfModule>
";
