"""Forks while a thread waits for the request's body: once QUERY.go is there. Answers how the child ended."""

import os
import sys
import threading
import time


def child(environ):
    """None of the request's streams is the child's, and it must not wait for a thread that it lacks."""
    try:
        for touch in (lambda: environ["wsgi.errors"].write("forked\n"), lambda: environ["wsgi.input"].read(1)):
            try:
                touch()
                os._exit(1)
            except RuntimeError:
                pass
        print("printed by the child", file=sys.stderr)
        os._exit(0)
    finally:
        os._exit(2)


def application(environ, start_response):
    name = environ["QUERY_STRING"]
    reader = threading.Thread(target=environ["wsgi.input"].read)
    reader.start()
    while not os.path.exists(name + ".go"):
        time.sleep(0.005)
    pid = os.fork()
    if pid == 0:
        child(environ)
    status = os.waitpid(pid, 0)[1]
    with open(name + ".ended", "w") as file:
        file.write(str(status))
    reader.join()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d\n" % status]
