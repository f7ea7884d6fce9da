"""What is answered when something is wrong: compat 7.2; and the note wsgi-error that says which message."""

import os
import re

from ..ask import get
from ..expect import Expect, failed
from ..protocols import ONE
from ..table import bare_row, row
from ..within import await_mark, mark, text

MAP = "compat 7.2"
SCRIPTS = "@SITE@/conformance/scripts"


def script(slug, sentence, file, expect, config=""):
    """A row for a script of its own."""
    bare_row(
        slug,
        sentence,
        MAP,
        (get(), expect),
        server=f"WSGIScriptAlias /row/{slug} {SCRIPTS}/{file}",
        config=config,
    )


script(
    "import-error",
    "a script that does not import is a 500 with its traceback",
    "import_error.wsgi",
    failed("RuntimeError: the import fails on purpose", note="WSGI0109"),
)
script("syntax-error", "so is one that is no Python", "syntax_error.wsgi", failed("SyntaxError"))
script("import-exits", "so is one that exits while it is imported", "exits.wsgi", failed("SystemExit"))
script(
    "no-callable",
    "a callable that is missing is a 500 that names it",
    "no_callable.wsgi",
    failed("no_callable.wsgi", "application", note="WSGI0089"),
)
script(
    "other-callable",
    "WSGICallableObject names another",
    "no_callable.wsgi",
    Expect(200, body=b"by another name"),
    config="WSGICallableObject app",
)
script(
    "script-missing",
    "a script that is missing is a 404",
    "missing.wsgi",
    failed("missing.wsgi", status=404, note="WSGI0135"),
)
script(
    "path-info-off",
    "AcceptPathInfo Off is a 404 with more path than the script's",
    "good.wsgi/more",
    failed(status=404, note="WSGI0137"),
    config="AcceptPathInfo Off",
)
script(
    "path-info-unused",
    "and changes nothing without",
    "good.wsgi",
    Expect(200, body=b"good"),
    config="AcceptPathInfo Off",
)
bare_row(
    "directory-target",
    "a directory as the target is a 403",
    MAP,
    (get("/"), failed("scripts", status=403, note="WSGI0136")),
    server=f"WSGIScriptAlias /row/directory-target {SCRIPTS}",
)
bare_row(
    "directory-member",
    "a script of it is named by the path",
    "compat 3",
    (get("/good.wsgi/x"), Expect(200, body=b"good")),
    server=f"WSGIScriptAlias /row/directory-member {SCRIPTS}",
)


@row(
    "an unknown process group is a 500 that names it",
    MAP,
    (get(), failed("nosuch", note="WSGI0151")),
    config="WSGIProcessGroup nosuch",
)
def unknown_group(environ, start_response):
    return text(start_response, b"leaked", headers=[("X-Leaked", "yes")])


HANDLER = "SetHandler wsgi-script\nWSGIProcessGroup site\n"
for name, sentence, options, expect in (
    (
        "exec-cgi-off",
        "a handler without ExecCGI is a 403",
        "-ExecCGI",
        failed("ExecCGI", status=403, note="WSGI0134"),
    ),
    ("exec-cgi-on", "and with it the script is run", "+ExecCGI", Expect(200, body=b"good")),
):
    bare_row(
        name,
        sentence,
        "compat 3",
        (get(), expect),
        server=f"Alias /row/{name} {SCRIPTS}/good.wsgi",
        config=f"{HANDLER}Options {options}",
    )


@row("a good response has no note", MAP, (get(), Expect(200, body=b"good", note="")))
def no_note(environ, start_response):
    return text(start_response, b"good")


@row("an error status of the application's own has no note", MAP, (get(), Expect(500, body=b"mine", note="")))
def own_error(environ, start_response):
    return text(start_response, b"mine", status="500 Mine")


@row(
    "a worker that is killed before it answers is a 502",
    MAP,
    (get(), failed("mortal", status=502, note="WSGI0146")),
    group="mortal",
)
def killed(environ, start_response):
    os.kill(os.getpid(), 9)


@row(
    "so is one that ends itself", MAP, (get(), failed("mortal", status=502, note="WSGI0146")), group="mortal"
)
def ended(environ, start_response):
    os._exit(3)


# --- Waiting ---------------------------------------------------------------------------------------


def holding(environ, start_response):
    """Holds its thread until it is let go; /quick does not."""
    if environ["PATH_INFO"].endswith("/quick"):
        return text(start_response, b"quick")
    mark(environ, "held")
    await_mark(environ, "go")
    return text(start_response, b"held")


def refused(expect):
    """A play: one request holds the only thread, a second is refused, the first is served in the end."""

    def play(scene):
        first = scene.begin(get())
        scene.check("mark held", True, scene.marked("held"))
        token = f"{scene.token}.second"
        traces = scene.watch(token)
        scene.compare(expect, scene.begin(get("/quick"), token=token).reply())
        scene.leaves(expect, traces)
        scene.mark("go")
        scene.compare(Expect(200, body=b"held"), first.reply())

    return play


row(
    "a request that waits longer than queue-timeout is a 504",
    MAP,
    slug="queue-timeout",
    play=refused(failed("impatient", status=504, note="WSGI0084")),
    protocols=ONE,
    group="impatient",
)(holding)
row(
    "a request beyond queue-size is a 503 with Retry-After",
    "design 5",
    slug="queue-full",
    play=refused(failed("narrow", status=503, note="WSGI8009", headers={"Retry-After": re.compile(r"\d+")})),
    protocols=ONE,
    group="narrow",
)(holding)


def silence(scene):
    """The worker says nothing for longer than socket-timeout."""
    expect = failed("silent", status=504, note="WSGI0145")
    scene.compare(expect, scene.begin(get()).reply())
    scene.leaves(expect)
    scene.mark("go")


row(
    "a worker that is silent for longer than socket-timeout is a 504",
    MAP,
    slug="socket-timeout",
    play=silence,
    protocols=ONE,
    group="silent",
)(holding)


@row(
    "mod_wsgi.RequestTimeout is a 504, and no traceback",
    MAP,
    (get(), failed("Request interrupted by RequestTimeout; thread recovered.", status=504)),
)
def raised_timeout(environ, start_response):
    import mod_wsgi

    start_response("200 OK", [("X-Leaked", "yes")])
    raise mod_wsgi.RequestTimeout("nobody is told this")
