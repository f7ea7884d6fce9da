"""Scripts of access control and dispatch: compat 5, and WSGIDispatchScript of 1.1."""

import re
from hashlib import md5

from ..ask import get
from ..expect import Expect, failed
from ..table import bare_row, row
from ..within import report, text

CLAUSE = "compat 5"
SCRIPT = "@SITE@/conformance/scripts/decides.py"
ACCESS = f"WSGIAccessScript {SCRIPT}"
BASIC = f"AuthType Basic\nAuthName site\nAuthBasicProvider wsgi\nWSGIAuthUserScript {SCRIPT}\n"
USER = f"{BASIC}Require valid-user"
GROUP = f'{BASIC}WSGIAuthGroupScript {SCRIPT}\nRequire wsgi-group admin "the staff"'
DIGEST = (
    f"AuthType Digest\nAuthName site\nAuthDigestProvider wsgi\nWSGIAuthUserScript {SCRIPT}\nRequire valid-user"
)
DISPATCH = f"WSGIDispatchScript {SCRIPT}"
# user:secret
LOGIN = ("Authorization", "Basic dXNlcjpzZWNyZXQ=")


def enter(slug, sentence, clause, *exchanges, **more):
    """A row whose application tells who asked for it and where it runs."""

    @row(sentence, clause, *exchanges, slug=slug, **more)
    def application(environ, start_response):
        shown = ("REMOTE_USER", "AUTH_TYPE", "mod_wsgi.process_group", "mod_wsgi.callable_object")
        return report(start_response, [environ.get(name) for name in shown])


def access(slug, sentence, answer, expect):
    """A row for an answer of allow_access."""
    enter(f"access-{slug}", sentence, CLAUSE, (get("", ("X-Answer", answer)), expect), config=ACCESS)


LET_IN = Expect(200, json=[None, None, "site", "application"])
DENIED = "Client denied by server configuration"
access("true", "True from allow_access lets the client in", "True", LET_IN)
access("none", "None leaves it to httpd's other modules", "None", LET_IN)
access("false", "False is a 403", "False", failed(DENIED, status=403, note="WSGI0057"))
access(
    "number",
    "so is 1, which is not True",
    "1",
    failed("must be a boolean or None", status=403, note="WSGI0055"),
)
access("raises", "so is an exception, with its traceback", "1/0", failed("ZeroDivisionError", status=403))
access("host", "the host is the client's address", "host == environ['REMOTE_ADDR'] == '127.0.0.1'", LET_IN)
access("types", "the environ is one of strings", "type(environ['REQUEST_METHOD']) is str", LET_IN)
access(
    "less",
    "which has no body, no variables of SetEnv and no script's file",
    "not {'wsgi.input', 'conformance.root', 'SCRIPT_FILENAME'} & set(environ)",
    LET_IN,
)
access(
    "more",
    "and has the server's signature, the log and mod_wsgi's place",
    "environ['SERVER_SIGNATURE'] is not None and environ['wsgi.errors'].write('looked up\\n') is not None "
    "and environ['mod_wsgi.process_group'] == environ['mod_wsgi.application_group'] == ''",
    Expect(200, log=failed("looked up").log),
)
access(
    "tls",
    "mod_ssl is asked by two functions of the environ",
    "environ['mod_ssl.var_lookup']('SSL_PROTOCOL').startswith('TLS') if environ['mod_ssl.is_https']() "
    "else environ['SERVER_NAME'] != ''",
    LET_IN,
)
access(
    "tls-name",
    "whose name is a string of ISO 8859-1",
    "environ['mod_ssl.var_lookup'](1)",
    failed("TypeError", status=403),
)


def password(slug, sentence, answer, expect):
    """A row for an answer of check_password."""
    enter(f"password-{slug}", sentence, CLAUSE, (get("", LOGIN, ("X-Answer", answer)), expect), config=USER)


def known(user):
    """The response to a user who was let in."""
    return Expect(200, json=[user, "Basic", "site", "application"])


password("true", "True from check_password is the right password", "True", known("user"))
password("given", "it is given user and password", "(user, password) == ('user', 'secret')", known("user"))
password("hidden", "and no header with them", "'HTTP_AUTHORIZATION' not in environ", known("user"))
password("false", "False is a 401", "False", failed(status=401))
password("none", "so is None, if no other provider knows the user", "None", failed(status=401))
password("name", "a string is the user's name from then on", "'ann'", known("ann"))
password("empty", "unless it is empty: a 500", "''", failed("empty user name", note="WSGI0176"))
password("number", "as is a number", "1", failed("must return True", note="WSGI0177"))
password("bytes", "and bytes", "b'ann'", failed("must return True", note="WSGI0177"))
password("nul", "and a name with a NUL in it", "'root\\0x'", failed(note="WSGI0177"))
password("raises", "and an exception", "1/0", failed("ZeroDivisionError"))


def credentials(scene, ask):
    """What a browser sends once it has been told how (RFC 7616) and has asked user for its secret."""
    challenge = scene.begin(ask, token=f"before-{scene.token}").reply().header("WWW-Authenticate")
    told = dict(re.findall(r'(\w+)="?([^",]+)', challenge))
    target, count = scene.target(ask), "00000001"
    asked = hashed(f"{ask.method}:{target}")
    answer = ":".join((hashed("user:site:secret"), told["nonce"], count, "once", "auth", asked))
    said = f'username="user", realm="site", nonce="{told["nonce"]}", uri="{target}", qop=auth, nc={count}'
    return "Authorization", f'Digest {said}, cnonce="once", response="{hashed(answer)}"'


def hashed(text):
    """In the digits of a digest."""
    return md5(text.encode()).hexdigest()


def digest(slug, sentence, answer, expect, config=DIGEST):
    """A row for an answer of get_realm_hash, to a client that knows the secret."""

    def play(scene):
        ask = get("", ("X-Answer", answer))
        scene.compare(expect, scene.begin(ask.with_headers(credentials(scene, ask))).reply())
        scene.leaves(expect)

    enter(f"digest-{slug}", sentence, CLAUSE, play=play, config=config)


DIGESTED = Expect(200, json=["user", "Digest", "site", "application"])
digest("right", "get_realm_hash says what user, realm and password come to", "secret(user, realm)", DIGESTED)
digest("bytes", "also in bytes", "secret(user, realm).encode()", DIGESTED)
digest("wrong", "another hash is another password's, and a 401", "'0' * 32", failed(status=401))
digest("none", "so is None", "None", failed(status=401))
digest("empty", "an empty one is a 500", "''", failed("empty realm hash", note="WSGI0178"))
digest("number", "as is a number", "1", failed("None or string object", note="WSGI0179"))
digest("raises", "and an exception", "1/0", failed("ZeroDivisionError"))
digest(
    "missing",
    "and a script without the function",
    "None",
    failed("does not provide", note="WSGI0046"),
    DIGEST.replace("decides.py", "good.wsgi"),
)


def groups(slug, sentence, answer, expect):
    """A row for an answer of groups_for_user."""
    enter(f"groups-{slug}", sentence, CLAUSE, (get("", LOGIN, ("X-Groups", answer)), expect), config=GROUP)


groups("one", "one of the groups is enough", "['guests', 'admin']", known("user"))
groups("bytes", "also in bytes, of any iterable", "iter((b'the staff',))", known("user"))
groups(
    "user", "groups_for_user is given the user", "[user, 'admin'] if user == 'user' else []", known("user")
)
groups(
    "others",
    "other groups are not",
    "['Admins', 'the']",
    failed("not a member of designated groups", status=401),
)
groups("none", "no groups are not", "[]", failed("not a member of any groups", status=401))
groups(
    "number",
    "a number among them is none of them",
    "['admin', 1]",
    failed("groups_for_user", status=401, note="WSGI0050"),
)
groups("nothing", "None is no list of groups", "None", failed("not iterable", status=401, note="WSGI0051"))
groups("torn", "nor does a list that fails midway", "torn()", failed("can't be read", status=401))


def dispatch(slug, sentence, what, answer, expect, more=""):
    """A row for an answer of a dispatch script."""
    headers = (("X-What", what), ("X-Answer", answer))
    enter(f"dispatch-{slug}", sentence, "compat 1.1", (get("", *headers), expect), config=DISPATCH + more)


def placed(group="site", callable_object="application"):
    """The response of an application in this process group."""
    return Expect(200, json=[None, None, group, callable_object])


dispatch("none", "None from a dispatch script keeps what is configured", "process", "None", placed())
dispatch("group", "a string is the process group", "process", "'single'", placed("single"))
dispatch("group-bytes", "bytes as well", "process", "b'single'", placed("single"))
dispatch("group-unknown", "it has to be known", "process", "'nosuch'", failed("nosuch", note="WSGI0151"))
dispatch("callable", "a string is the callable", "callable", "'application'", placed())
dispatch(
    "callable-unknown", "which has to be there", "callable", "'nosuch'", failed("nosuch", note="WSGI0089")
)
dispatch(
    "https",
    "it is told of https by HTTPS",
    "process",
    "'single' if environ.get('HTTPS') else None",
    placed("single"),
    "\nSetEnv HTTPS on",
)
dispatch("number", "a number is a 500", "process", "1", failed())
dispatch("raises", "an exception is a 500", "process", "1/0", failed("ZeroDivisionError"))


def unloadable(slug, sentence, config, status, *headers):
    """A row for a script that can't be asked."""

    @row(
        sentence,
        CLAUSE,
        (get("", *headers), failed("broken on purpose", status=status)),
        slug=slug,
        config=config,
    )
    def application(environ, start_response):
        return text(start_response, b"leaked", headers=[("X-Leaked", "yes")])


def broken(config):
    """The same configuration with a script that does not load."""
    return config.replace("decides.py", "broken.py")


unloadable("access-broken", "an access script that does not load is a 403", broken(ACCESS), 403)
unloadable("password-broken", "such a script for users is a 500", broken(USER), 500, LOGIN)
unloadable("dispatch-broken", "so is such a dispatch script", broken(DISPATCH), 500)
bare_row(
    "access-static",
    "an access script guards files of httpd's own as well",
    CLAUSE,
    (get("/decides.py", ("X-Answer", "True")), Expect(200, note="")),
    (get("/decides.py", ("X-Answer", "False")), failed(DENIED, status=403, note="WSGI0057")),
    server="Alias /row/access-static @SITE@/conformance/scripts",
    config=ACCESS,
)
