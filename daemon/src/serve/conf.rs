//! The configuration of a site's httpd, as text.

use super::httpd::Httpd;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A value that a configuration file can't hold.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "httpd's configuration can't hold the path '{0}': it has a quote, a backslash, a control character or ${{"
)]
pub struct Unwritable(String);

/// What goes into it.
#[derive(Debug, Clone)]
pub struct Conf<'a> {
    /// The temporary directory.
    pub root: &'a Path,
    /// `Listen`.
    pub listen: String,
    /// The web server.
    pub httpd: &'a Httpd,
    /// `mod_wsgid.so`.
    pub module: &'a Path,
    /// `User` and group id, where root starts it.
    pub web: Option<(String, u32)>,
    /// The script that is served.
    pub script: &'a Path,
    /// Its callable.
    pub callable: &'a str,
    /// Options of the process group.
    pub options: Vec<(&'static str, String)>,
}

/// Apache's access log, without what is the same in every line of a site with one visitor.
const ACCESS: &str = r#"%h \"%r\" %>s %B"#;

impl Conf<'_> {
    /// The daemon's runtime directory, whose control socket the module is told.
    pub fn runtime_directory(root: &Path) -> PathBuf {
        root.join("run")
    }

    /// The text.
    pub fn text(&self) -> Result<String, Unwritable> {
        let mut text = String::new();
        let mut line = |words: String| {
            let _ = writeln!(text, "{words}"); // a String takes everything
        };
        let root = quoted(&self.root.to_string_lossy())?;
        line(format!("ServerRoot {root}\nDefaultRuntimeDir {root}\nServerName {}", self.listen));
        line(format!("PidFile {}", quoted(&self.root.join("httpd.pid").to_string_lossy())?));
        line(format!("Listen {}", self.listen));
        for (name, file) in &self.httpd.load {
            line(format!("LoadModule {name} {}", quoted(&file.to_string_lossy())?));
        }
        line(format!("LoadModule wsgi_module {}", quoted(&self.module.to_string_lossy())?));
        if let Some((user, group)) = &self.web {
            line(format!("User {}\nGroup #{group}", quoted(user)?));
        }
        line(format!(
            "ErrorLog /proc/self/fd/2\nErrorLogFormat \"[%l] %M\"\nLogLevel warn\nLogFormat \"{ACCESS}\" served"
        ));
        line("CustomLog /proc/self/fd/1 served".into());
        let control = Self::runtime_directory(self.root).join(crate::sockets::control::SOCKET);
        line(format!("WSGIDaemonSocket {}", quoted(&control.to_string_lossy())?));
        line(format!("WSGIDaemonProcess serve{}", self.group_options()?));
        line("WSGIPassAuthorization On\nWSGIChunkedRequest On".into());
        line(format!(
            "WSGIScriptAlias / {} process-group=serve application-group=%{{GLOBAL}} callable-object={}",
            quoted(&self.script.to_string_lossy())?,
            self.callable
        ));
        let directory = self.script.parent().unwrap_or(Path::new("/"));
        line(format!(
            "<Directory {}>\n  Require all granted\n</Directory>",
            quoted(&directory.to_string_lossy())?
        ));
        Ok(text)
    }

    fn group_options(&self) -> Result<String, Unwritable> {
        let option = |(name, value): &(&str, String)| {
            let quoted = quoted(value)?;
            let plain = !value.is_empty() && !value.contains(|c: char| c.is_whitespace() || c == '\'');
            Ok(format!(" {name}={}", if plain { value } else { &quoted }))
        };
        self.options.iter().map(option).collect()
    }
}

fn quoted(value: &str) -> Result<String, Unwritable> {
    let bad = |c: char| c.is_control() || matches!(c, '"' | '\\' | '\u{fffd}');
    if value.contains(bad) || value.contains("${") {
        return Err(Unwritable(value.into()));
    }
    Ok(format!("\"{value}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_or_refused() {
        let httpd = Httpd { program: "/usr/sbin/httpd".into(), load: vec![("a_module", "/m/a.so".into())] };
        let conf = |script: &'static str| Conf {
            root: Path::new("/tmp/x y"),
            listen: "127.0.0.1:8000".into(),
            httpd: &httpd,
            module: Path::new("/m/mod_wsgid.so"),
            web: Some(("www-data".into(), 33)),
            script: Path::new(script),
            callable: "application",
            options: vec![("threads", "5".into()), ("home", "/srv/a b".into())],
        };
        let text = conf("/srv/a b/app.wsgi").text().unwrap();
        for line in [
            "WSGIDaemonProcess serve threads=5 home=\"/srv/a b\"\n",
            "WSGIScriptAlias / \"/srv/a b/app.wsgi\" process-group=serve application-group=%{GLOBAL} callable-object=application\n",
            "WSGIDaemonSocket \"/tmp/x y/run/control.sock\"\n",
            "<Directory \"/srv/a b\">\n",
            "User \"www-data\"\nGroup #33\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        for script in ["/a\"b", "/a\\b", "/a\nb", "/${a}"] {
            assert!(conf(script).text().is_err(), "{script}");
        }
    }
}
