"""Who and where it is, as JSON; with a path in the query, whether it can read that file."""

import json
import os
import sys


def content(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return type(error).__name__


def application(environ, start_response):
    answer = {
        "pid": os.getpid(),
        "uid": os.getuid(),
        "euid": os.geteuid(),
        "gid": os.getgid(),
        "egid": os.getegid(),
        "groups": sorted(os.getgroups()),
        "cwd": os.getcwd(),
        "home": os.environ.get("HOME"),
        "environment": dict(os.environ),
        "version": list(sys.version_info[:3]),
        "prefix": sys.prefix,
        "executable": sys.executable,
        "path": sys.path,
        "argv": sys.argv,
        "name": __name__,
        "file": __file__,
        "process_group": environ["mod_wsgi.process_group"],
        "application_group": environ["mod_wsgi.application_group"],
        "multiprocess": environ["wsgi.multiprocess"],
        "multithread": environ["wsgi.multithread"],
    }
    if environ["QUERY_STRING"]:
        answer["content"] = content(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
