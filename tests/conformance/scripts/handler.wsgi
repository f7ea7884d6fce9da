"""Answers for a handler, whatever file is asked for."""

import json
import os


def handle_request(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    names = ("handler_script", "request_handler", "callable_object", "process_group")
    seen = {name: environ["mod_wsgi." + name] for name in names}
    seen["handler_script"] = os.path.basename(seen["handler_script"])
    seen["file"] = os.path.basename(environ["SCRIPT_FILENAME"])
    seen["path"] = environ["SCRIPT_NAME"] + environ["PATH_INFO"]
    return [json.dumps(seen).encode()]
