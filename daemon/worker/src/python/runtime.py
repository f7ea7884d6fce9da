"""Makes this interpreter a worker, and ends it.

Runs once on each side of a worker's life, never while a request is served.
"""

import atexit
import gc
import io
import os
import site
import sys
import threading
import time
import traceback

import _wsgid
import _wsgid_metrics as metrics
import _wsgid_modules as modules
import _wsgid_signals as signals


class Stream(io.RawIOBase):
    """What lies under sys.stdout and sys.stderr: bytes that go to the log they belong to."""

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        _wsgid.emit(data)
        return len(data)

    def flush(self):
        if not self.closed:
            _wsgid.flush()


class Text(io.TextIOWrapper):
    """sys.stdout and sys.stderr. A whole line is out at once, which is what this attribute is asked for.

    Python's own line buffering would flush, and so end, an unfinished line behind each finished one.
    """

    line_buffering = True


class Restricted:
    """What stands for a stream that is not to be used."""

    def __init__(self, name):
        object.__setattr__(self, '_name', name)

    def __getattribute__(self, attribute):
        name = object.__getattribute__(self, '_name')
        raise OSError('%s access restricted by mod_wsgi' % name)


Text.__module__, Text.__qualname__, Text.__name__ = '_io', 'TextIOWrapper', 'TextIOWrapper'
# The names that mod_wsgi's types have.
for kind, name in ((Stream, 'Log'), (Restricted, 'Restricted')):
    kind.__module__, kind.__qualname__, kind.__name__ = 'mod_wsgi', name, name


def prepare(plan, file_wrapper):
    """Everything that must be so before the first line of the application runs."""
    sys.argv = ['mod_wsgi']
    install_streams()
    for name in ('stdin', 'stdout'):
        if plan['restrict_' + name]:
            setattr(sys, name, Restricted('sys.' + name))
    modules.install(plan, file_wrapper)
    install_paths(plan['home'], plan['python_path'])
    modules.borrow_path()
    if plan['switch_interval'] > 0:
        sys.setswitchinterval(plan['switch_interval'])
    if plan['locale']:
        set_locale(plan['locale'])
    os.register_at_fork(after_in_child=after_fork_in_child)
    signals.dump_stacks_on_demand()
    if plan['threads']:
        signals.install(plan['wakeup'], plan['restrict_signal'])
    else:
        signals.leave_to_scripts()


def set_locale(name):
    import locale  # which few need

    try:
        locale.setlocale(locale.LC_ALL, name)
    except locale.Error as error:
        print('locale=%s has no effect: %s' % (name, error), file=sys.stderr)


def install_streams():
    # Written through, so that nothing waits in the wrapper; whole lines are made further down.
    for name in ('stdout', 'stderr'):
        stream = Text(Stream(), encoding='utf-8', errors='replace', write_through=True)
        stream.mode = 'w'
        setattr(sys, name, stream)
        setattr(sys, '__%s__' % name, stream)


def install_paths(home, directories):
    """As mod_wsgi: .pth files count, and what they add comes before what was there."""
    before = set(sys.path)
    for directory in directories:
        try:
            site.addsitedir(directory)
        except Exception:
            report('python-path: %s' % directory)
    added = [entry for entry in sys.path if entry not in before]
    sys.path[:] = added + [entry for entry in sys.path if entry in before]
    if home:
        sys.path.insert(0, home)


# The thread in which a template is being copied: its child is a worker.
copying = None


def settle():
    """What a template has imported is as it stays. The collector leaves it alone from now on, so that its pages
    remain shared with the copies.
    """
    gc.collect()
    gc.freeze()


def copy():
    """Forks. 0 in the copy, which is a worker of its own; what modules have registered for forks is done in it."""
    global copying
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    copying = threading.get_ident()
    try:
        return os.fork()
    finally:
        copying = None


def begin_anew(wakeup):
    """In a copy: what distinguishes it from the template."""
    signals.hear(wakeup)
    metrics.begin_anew()


def after_fork_in_child():
    """A forked child has neither requests nor a supervisor, unless it is a template's copy."""
    global copying
    if copying == threading.get_ident():
        # This runs before what the application has registered. From here on a child is one of a worker's.
        copying = None
        _wsgid.end_with_template(signals.worker_pid)
        signals.become_another_process()
        return
    _wsgid.abandon()
    signals.after_fork_in_child()


def preload(load, script):
    """Imports the script that the pool is for. True if that went well."""
    signals.preloading = True
    try:
        load(script)
        return True
    finally:
        signals.preloading = False


def run_scripts(scripts, load, describe, watching):
    """Runs service scripts, in the main thread. True if none failed; SystemExit is a way to end.

    As in any Python program, threads that they leave go on, but for daemonic ones, until the word to end comes.
    """
    good = True
    if watching:
        threading.Thread(target=watch, name='wsgid-watch', daemon=True).start()
    signals.script_runs = True
    try:
        for script in scripts:
            if signals.called:
                break
            try:
                load(script)
            except Exception as failure:
                if not isinstance(failure.__cause__, SystemExit):
                    good = False
                    sys.stderr.write(describe(failure, script).decode('utf-8', 'replace'))
        joiner = joining()
        # Looks up now and then: a signal that another thread takes does not wake this one.
        while joiner.is_alive() and not signals.called:
            joiner.join(0.2)
    except SystemExit:
        pass
    finally:
        signals.script_runs = False
    return good


def start(threads, stack_size, watching):
    """Starts the request threads. Fewer than asked for is a complaint, none is an end."""
    if stack_size:
        try:
            threading.stack_size(stack_size)
        except (ValueError, RuntimeError):
            report('stack-size: %d' % stack_size)
    try:
        for number in range(1, threads + 1):
            name = 'wsgid-%d' % number
            threading.Thread(target=_wsgid.serve, args=(number,), name=name, daemon=True).start()
    except RuntimeError:
        if number == 1:
            raise
        report('only %d of %d request threads could be started' % (number - 1, threads))
    finally:
        if stack_size:
            threading.stack_size(0)
    if watching:
        threading.Thread(target=watch, name='wsgid-watch', daemon=True).start()


def watch():
    """For development: asks for a reload when a file of any module changes, or goes."""
    seen = {}
    while True:
        for module in list(sys.modules.values()):
            path = getattr(module, '__file__', None)
            if not isinstance(path, str):
                continue
            try:
                now = os.stat(path).st_mtime_ns
            except OSError:
                now = None
            if seen.setdefault(path, now) != now:
                _wsgid.want_reload('%s has changed' % path)
                return
        time.sleep(1)


def finish(seconds):
    """What an interpreter does at its end, as far as that has time: see Py_FinalizeEx."""
    joiner = joining()
    joiner.join(seconds)
    if joiner.is_alive():
        sys.stderr.write('wsgid: threads of the application are still running and are left behind\n')
    try:
        atexit._run_exitfuncs()
    except BaseException:
        report('an atexit callback raised')
    flush_streams()


def flush_streams():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass


def joining():
    """Waits for the threads of the application in a thread of its own, since they may never end; and before
    3.13, a join that a signal breaks off takes the thread for one that has ended.
    """
    joiner = threading.Thread(target=join_threads, name='wsgid-join', daemon=True)
    joiner.start()
    return joiner


def join_threads():
    # threading._shutdown() does this, but only in the main thread, where nothing bounds it. What is
    # registered there is how executors send their threads home.
    for callback in reversed(getattr(threading, '_threading_atexits', ())):
        try:
            callback()
        except BaseException:
            report('sending the threads of the application home failed')
    seen = {threading.main_thread(), threading.current_thread()}
    # Each may start others.
    while threads := {each for each in threading.enumerate() if not each.daemon} - seen:
        seen |= threads
        for thread in threads:
            thread.join()


def report(title):
    sys.stderr.write('wsgid: %s\n%s' % (title, traceback.format_exc()))
