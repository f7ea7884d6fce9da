"""How its interpreter was started, as JSON."""

import json
import os
import sys


def application(environ, start_response):
    answer = {
        "optimize": sys.flags.optimize,
        "warnings": sys.warnoptions,
        "bytecode": not sys.dont_write_bytecode,
        "hash_randomization": sys.flags.hash_randomization,
        "hash": hash("seed"),
        "seed": os.environ.get("PYTHONHASHSEED"),
        "switch_interval": sys.getswitchinterval(),
        "path": sys.path,
        "pid": os.getpid(),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
