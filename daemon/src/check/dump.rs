//! What `httpd -t -D DUMP_WSGI` prints (`mod_shim/c/dump.c`), as data.

use std::collections::HashMap;

const HEADER: &str = "mod_wsgid-dump 1";

/// A place in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// As httpd names it; for a macro it is a sentence.
    pub file: String,
    /// From 1 on.
    pub line: u32,
}

/// One directive, or a section with those inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// Where it stands.
    pub place: Place,
    /// As it is written, a section without its `<`.
    pub name: String,
    /// As they are written, a section's without the `>`.
    pub args: String,
    /// It encloses others.
    pub is_section: bool,
    /// Those it encloses.
    pub children: Vec<Directive>,
}

impl Directive {
    /// Names have no case.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The arguments, one by one.
    pub fn words(&self) -> Vec<String> {
        super::words::words(&self.args)
    }

    /// The first argument, or nothing.
    pub fn first_word(&self) -> String {
        self.words().into_iter().next().unwrap_or_default()
    }
}

/// A server as httpd has set it up: what a virtual host does not say itself is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerFact {
    /// Where its section begins; `None` is the main server.
    pub place: Option<Place>,
    /// Its `ServerName`.
    pub name: String,
}

/// What the module does about a directive of its table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Its name.
    pub name: String,
    /// Why it has no effect; empty where it has one.
    pub no_effect: String,
    /// The argument with which it says what is so anyway, if there is one.
    pub unless: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dump {
    /// Words about httpd itself.
    pub facts: HashMap<String, String>,
    /// The module's directives.
    pub commands: Vec<Command>,
    /// The servers.
    pub servers: Vec<ServerFact>,
    /// The configuration, includes and conditions resolved.
    pub tree: Vec<Directive>,
}

impl Dump {
    /// A fact that is a number.
    pub fn number(&self, name: &str) -> Option<u32> {
        self.facts.get(name)?.parse().ok()
    }
}

/// It is no dump, or not all of it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unreadable {
    /// Another program's words.
    #[error("it does not begin with '{HEADER}'")]
    Header,
    /// A record that this program does not know, or with a field too few.
    #[error("line {0} makes no sense")]
    Record(usize),
    /// The end is missing.
    #[error("it ends in the middle")]
    Cut,
}

/// Reads what was printed.
pub fn parse(text: &str) -> Result<Dump, Unreadable> {
    let mut lines = text.lines().enumerate();
    if lines.next().is_none_or(|(_, line)| line != HEADER) {
        return Err(Unreadable::Header);
    }
    let mut dump = Dump::default();
    for (number, line) in lines {
        if line == "end" {
            return Ok(dump);
        }
        let fields: Vec<String> = line.split('\t').map(unescaped).collect();
        record(&mut dump, &fields).ok_or(Unreadable::Record(number + 1))?;
    }
    Err(Unreadable::Cut)
}

fn record(dump: &mut Dump, fields: &[String]) -> Option<()> {
    let field = |n: usize| fields.get(n);
    match field(0)?.as_str() {
        "fact" => {
            dump.facts.insert(field(1)?.clone(), field(2)?.clone());
        }
        "command" => {
            let (name, no_effect) = (field(1)?.clone(), field(3)?.clone());
            let unless = Some(field(4)?.clone()).filter(|word| !word.is_empty());
            dump.commands.push(Command { name, no_effect, unless });
        }
        "server" => {
            let place = Place { file: field(1)?.clone(), line: field(2)?.parse().ok()? };
            let place = (!place.file.is_empty()).then_some(place);
            dump.servers.push(ServerFact { place, name: field(3)?.clone() });
        }
        "directive" => {
            let place = Place { file: field(2)?.clone(), line: field(3)?.parse().ok()? };
            let depth = field(1)?.parse().ok()?;
            level(&mut dump.tree, depth)?.push(directive(place, field(4)?, field(5)?));
        }
        _ => return None,
    }
    Some(())
}

/// The list at this depth that is being filled.
fn level(tree: &mut Vec<Directive>, depth: usize) -> Option<&mut Vec<Directive>> {
    match depth {
        0 => Some(tree),
        _ => level(&mut tree.last_mut()?.children, depth - 1),
    }
}

/// From the name and the arguments as httpd keeps them: of a section the `<` is with the one, the `>` with
/// the other.
pub fn directive(place: Place, name: &str, args: &str) -> Directive {
    let section = name.strip_prefix('<');
    let args = if section.is_some() { args.strip_suffix('>').unwrap_or(args) } else { args };
    Directive {
        place,
        name: section.unwrap_or(name).into(),
        args: args.trim().into(),
        is_section: section.is_some(),
        children: Vec::new(),
    }
}

/// `\xHH` back to the byte.
fn unescaped(field: &str) -> String {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        let escape = rest.get(2..4).filter(|_| rest.starts_with(b"\\x"));
        let code = escape
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &rest[4..] } else { others };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "mod_wsgid-dump 1\n\
        fact\tweb-uid\t33\n\
        command\tWSGISocketPrefix\tserver\thas nothing to do here\t\n\
        server\t\t0\tmain.example\t0\n\
        server\t/etc/a.conf\t3\tone.example\t80\n\
        directive\t0\t/etc/a.conf\t1\tUser\tweb\n\
        directive\t0\t/etc/a.conf\t3\t<VirtualHost\t*:80>\n\
        directive\t1\t/etc/a.conf\t4\t<Directory\t\"/srv/a b\">\n\
        directive\t2\t/etc/a.conf\t5\tRequire\tall\\x09granted\n\
        directive\t1\t/etc/a.conf\t7\tServerName\tone.example\n\
        end\n";

    #[test]
    fn records_become_a_tree() {
        let dump = parse(EXAMPLE).unwrap();
        assert_eq!((dump.number("web-uid"), dump.number("other")), (Some(33), None));
        assert_eq!(dump.commands[0].no_effect, "has nothing to do here");
        assert_eq!(dump.servers[0].place, None);
        assert_eq!(dump.servers[1].place.as_ref().unwrap().line, 3);
        let host = &dump.tree[1];
        assert!(host.is("virtualhost") && host.is_section && host.args == "*:80");
        assert_eq!(host.children[0].words(), ["/srv/a b"]);
        assert_eq!(host.children[0].children[0].words(), ["all", "granted"]);
        assert!(host.children[1].is("ServerName") && !host.children[1].is_section);
    }

    #[test]
    fn what_is_not_whole_is_refused() {
        assert_eq!(parse("Syntax OK"), Err(Unreadable::Header));
        assert_eq!(parse(""), Err(Unreadable::Header));
        assert_eq!(parse(EXAMPLE.strip_suffix("end\n").unwrap()), Err(Unreadable::Cut));
        assert_eq!(parse("mod_wsgid-dump 1\nnews\tx\nend\n"), Err(Unreadable::Record(2)));
        let orphan = "mod_wsgid-dump 1\ndirective\t1\tf\t1\tUser\tx\nend\n";
        assert_eq!(parse(orphan), Err(Unreadable::Record(2)));
    }
}
