"""A service script. It holds a name that nobody else can have at the same time, until it is told to end."""

import os
import signal
import socket
import threading
import time

holder = socket.socket(socket.AF_UNIX)
holder.bind("\0" + __file__)
main = threading.current_thread() is threading.main_thread()
before = signal.getsignal(signal.SIGUSR2)
signal.signal(signal.SIGUSR2, lambda number, frame: print("signalled", os.getpid()))
usable = signal.getsignal(signal.SIGUSR2) is not before
print("begun", os.getpid(), main, usable)
try:
    while True:
        time.sleep(0.05)
except SystemExit as end:
    print("told to end", os.getpid(), end.code)
    raise
