"""How a request comes to its application, and what is there before it: compat 1 and 3."""

import sys

from ..ask import get
from ..expect import Expect, failed
from ..table import bare_row, row
from ..within import report, text

SCRIPTS = "@SITE@/conformance/scripts"
GROUPS = "process-group=site application-group=%{GLOBAL}"


def handled(slug, sentence, script, expect, config="", path="/some/thing"):
    """A row that a handler script answers."""
    bare_row(
        slug,
        sentence,
        "compat 1.1",
        (get(path), expect),
        server=f"WSGIHandlerScript {slug} {SCRIPTS}/{script} {GROUPS}",
        config=f"SetHandler {slug}\n{config}",
    )


handled(
    "handler-script",
    "a handler script answers for other files, by its function",
    "handler.wsgi",
    Expect(
        json={
            "handler_script": "handler.wsgi",
            "request_handler": "handler-script",
            "callable_object": "handle_request",
            "process_group": "site",
            "file": "script.wsgi",
            "path": "/row/handler-script/some/thing",
        }
    ),
)
handled(
    "handler-without-function",
    "a handler script without the function is a 500 that names it",
    "good.wsgi",
    failed("handle_request", note="WSGI0089"),
)
handled(
    "handler-path-info",
    "a handler script gets no path that its file does not take",
    "handler.wsgi",
    failed(status=404, note="WSGI0137"),
    config="AcceptPathInfo Off",
)


@row(
    "a group that WSGIRestrictProcess does not name is a 500",
    "compat 1.1",
    (get(), failed("site", note="WSGI0149")),
    config="WSGIRestrictProcess single mortal",
)
def restricted(environ, start_response):
    return text(start_response, b"leaked", headers=[("X-Leaked", "yes")])


@row(
    "and one that it names answers",
    "compat 1.1",
    (get(), Expect(body=b"allowed")),
    config="WSGIRestrictProcess single\nWSGIRestrictProcess %{GLOBAL} site",
)
def not_restricted(environ, start_response):
    return text(start_response, b"allowed")


@row(
    "the name of a group may be a variable's value, expanded once more",
    "compat 1.6",
    (get(), Expect(json=["site", ""])),
    config='SetEnv GROUP site\nSetEnv APPLICATION "%{GLOBAL}"\n'
    "WSGIProcessGroup %{ENV:GROUP}\nWSGIApplicationGroup %{ENV:APPLICATION}",
)
def groups_by_variable(environ, start_response):
    names = ("mod_wsgi.process_group", "mod_wsgi.application_group")
    return report(start_response, [environ[name] for name in names])


bare_row(
    "alias-wins",
    "what an alias says of groups comes before directives",
    "compat 3",
    (get(), Expect(200, body=b"good")),
    server=f"WSGIScriptAlias /row/alias-wins {SCRIPTS}/good.wsgi {GROUPS}",
    config="WSGIProcessGroup nosuch",
)
bare_row(
    "alias-match",
    "groups of a regular expression are put into the target",
    "compat 3",
    (get("/good/more"), Expect(200, body=b"good")),
    server=f"WSGIScriptAliasMatch ^/row/alias-match/([a-z]+) {SCRIPTS}/$1.wsgi",
)


@row(
    "a script has been imported ahead of requests",
    "compat 1.1",
    (get(), Expect(json=True)),
    server=f"WSGIImportScript {SCRIPTS}/imported.py {GROUPS}",
)
def import_script(environ, start_response):
    modules = list(sys.modules.values())
    return report(start_response, any(getattr(module, "conformance_imported", False) for module in modules))


@row(
    "Python has been started with the server's filters for warnings", "compat 1.4", (get(), Expect(json=True))
)
def warnings_filter(environ, start_response):
    return report(start_response, "ignore:conformance" in sys.warnoptions)


@row(
    "an option of one interpreter counts more than the group's",
    "compat 1.4",
    (get(), Expect(json=0.125)),
    group="narrow",
)
def interpreter_option(environ, start_response):
    return report(start_response, sys.getswitchinterval())
