"""Stands still where the query says, with its process id in MARK.begun, until MARK.go is there: ?PHASE=MARK.

called     before start_response
started    behind it
answering  between two blocks of the body
reading    between two parts of the request's body
closing    in close(), behind the last block
"""

import os
import time


def stand(mark):
    with open(mark + ".new", "w") as file:
        file.write(str(os.getpid()))
    os.rename(mark + ".new", mark + ".begun")
    while not os.path.exists(mark + ".go"):
        time.sleep(0.005)


class Blocks:
    def __init__(self, pause):
        self.pause = pause

    def __iter__(self):
        yield b"one\n"
        self.pause("answering")
        yield b"two\n"

    def close(self):
        self.pause("closing")


def application(environ, start_response):
    phase, _, mark = environ["QUERY_STRING"].partition("=")

    def pause(at):
        if at == phase:
            stand(mark)

    pause("called")
    if phase == "reading":
        environ["wsgi.input"].read(1)
        stand(mark)
    environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "text/plain")])
    pause("started")
    return Blocks(pause)
