"""A handler script: answers for other files, and says for which."""

import json


def handle_request(environ, start_response):
    names = ("SCRIPT_NAME", "PATH_INFO", "SCRIPT_FILENAME", "HTTP_AUTHORIZATION")
    answer = {name: environ.get(name) for name in names}
    for name in ("handler_script", "request_handler", "callable_object", "process_group", "application_group"):
        answer[name] = environ["mod_wsgi." + name]
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
