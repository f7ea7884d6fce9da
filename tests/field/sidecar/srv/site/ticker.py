"""Counts its starts, and works until it is told to stop: the process is this script's alone."""

import os
import signal
import threading

PLACE = "@ROOT@/markers"
stopping = threading.Event()


def mark(name):
    """Leaves a file with this process's number, whole or not at all."""
    new = os.path.join(PLACE, name + ".new")
    with open(new, "w") as file:
        file.write(str(os.getpid()))
    os.rename(new, os.path.join(PLACE, name))


def on_usr2(number, frame):
    stopping.set()


signal.signal(signal.SIGUSR2, on_usr2)
mark("ticking-%d" % os.getpid())
try:
    while not stopping.wait(0.05):
        pass
except SystemExit:
    mark("told-to-end")
    raise
