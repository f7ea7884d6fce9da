"""Signals: those that end a worker, those that become events, and signal.signal() in applications."""

import faulthandler
import os
import signal
import sys
import traceback

import _wsgid

# What ends a worker from outside, beside a word of the supervisor; the last two once another is in its place.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGXCPU)
# What applications may subscribe to.
EVENTS = (signal.SIGHUP, signal.SIGUSR2)

set_signal = signal.signal
worker_pid = os.getpid()
INFO = 6
preloading = False
# Of a service script: it has the main thread, and it has been told to end.
script_runs = False
called = False


def install(wakeup, restricted):
    # The handler in C writes to the pipe, whichever thread the signal hits: that wakes the main thread
    # out of its poll. The handlers in Python are there only so that there is one in C.
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    for number in ENDING:
        set_signal(number, on_ending)
    for number in EVENTS:
        set_signal(number, on_event)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING + EVENTS)
    if restricted:
        signal.signal = SignalIntercept()


def be_deaf():
    """The pipe is another process's."""
    signal.set_wakeup_fd(-1)


def become_another_process():
    """This one is a copy of the one that has done all the above."""
    global worker_pid
    worker_pid = os.getpid()
    be_deaf()


def hear(wakeup):
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)


def dump_stacks_on_demand():
    """SIGQUIT writes the stacks of all threads to the log, also where one of them never gives the lock back:
    what writes them is C, and takes none. Without a GIL each thread has to write its own: the one that SIGQUIT
    hits does, and wakes the main thread, which asks those that have requests; see watched.rs.
    """
    gil = getattr(sys, '_is_gil_enabled', lambda: True)()
    try:
        if not gil:
            set_signal(signal.SIGQUIT, on_event)
            faulthandler.register(signal.SIGRTMAX, file=2, all_threads=False)
        faulthandler.register(signal.SIGQUIT, file=2, all_threads=gil, chain=not gil)
    except (AttributeError, OSError, RuntimeError, ValueError):
        return
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGQUIT,))


def leave_to_scripts():
    """Signals are a service script's own. Unless it has them otherwise, those that end a worker end it, and
    those that are events for others are nothing to it.
    """
    for number in ENDING:
        set_signal(number, end_script)
    for number in EVENTS:
        set_signal(number, on_event)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING + EVENTS)


def end_script(number, frame):
    global called
    called = True
    if script_runs:
        raise SystemExit(0)


def on_ending(number, frame):
    if preloading:
        raise SystemExit('ended by a signal before it was ready')


def on_event(number, frame):
    """Does nothing here: the main thread has what follows from it done, see `heed` in life.rs."""


class SignalIntercept:
    """Stands in for signal.signal(): signals belong to the worker, not to the application."""

    def __call__(self, signalnum, handler):
        if os.getpid() != worker_pid:
            return set_signal(signalnum, handler)
        text = 'The handler that the application sets for signal %d is ignored: signals are the worker\'s.'
        stack = traceback.extract_stack()[:-1]
        lines = ''.join(traceback.format_list(stack))
        place = stack[-1] if stack else None
        file, line = (place.filename, place.lineno) if place else ('', 0)
        _wsgid.record(INFO, '%s\n%s' % (text % signalnum, lines), file, line)
        return handler


SignalIntercept.__module__ = 'mod_wsgi'


def after_fork_in_child():
    if isinstance(signal.signal, SignalIntercept):
        signal.signal = set_signal
    be_deaf()
    for number in ENDING + EVENTS:
        if signal.getsignal(number) in (on_ending, on_event, end_script):
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            set_signal(number, default)
