"""Says that it has begun by writing its process id to QUERY.begun, and ends when QUERY.go is there.
/streamed sends a first part before it waits."""

import os
import time


def wait_for(name):
    with open(name + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(name + ".new", name + ".begun")
    while not os.path.exists(name + ".go"):
        time.sleep(0.005)


def streamed(name):
    yield b"before\n"
    wait_for(name)
    yield b"after\n"


def application(environ, start_response):
    name = environ["QUERY_STRING"]
    if environ["PATH_INFO"] == "/streamed":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return streamed(name)
    wait_for(name)
    body = b"waited\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
