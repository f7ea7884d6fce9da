"""Events: whom an application wants to be told of its requests and of its process, and what they are told.

Nothing here runs for a request that nobody is subscribed to: `watch.rs` looks at the list first.
"""

import signal
import sys
import traceback

import _wsgid

event_callbacks = []
shutdown_callbacks = []
signal_callbacks = []
# The data of every request that is under way, by its id. Filled by serving.rs.
active_requests = {}

# What stays the same from the start of a request to its end.
FACTS = ('request_id', 'thread_id', 'server_pid')
STARTS = ('request_start', 'queue_start', 'daemon_start', 'application_start')


def subscribe_events(callback, /):
    """Calls `callback(name, **payload)` for every event from now on; returns it, to be used as a decorator."""
    event_callbacks.append(callback)
    return callback


def subscribe_shutdown(callback, /):
    """The same for the event process_stopping alone."""
    shutdown_callbacks.append(callback)
    return callback


def subscribe_signals(callback, /):
    """The same for the event process_signal alone: SIGHUP and SIGUSR2."""
    signal_callbacks.append(callback)
    return callback


def publish(name, payload, more=()):
    """Tells everybody; a dict that one of them returns is there for those who follow."""
    for callbacks in (event_callbacks, more):
        for callback in list(callbacks):
            try:
                said = callback(name, **payload)
                if isinstance(said, dict):
                    payload.update(said)
            except BaseException:
                title = 'Exception occurred in a callback for the event %r; it is ignored.' % name
                sys.stderr.write('%s\n%s' % (title, traceback.format_exc()))


def with_data(payload):
    try:
        payload['request_data'] = _wsgid.request_data()
    except RuntimeError:
        pass  # start_response() in a thread of the application's
    return payload


def request_started(environ, application, connects, restarts):
    """What later events of the request repeat, and the application that is to be called."""
    facts = {name: environ['mod_wsgi.' + name] for name in FACTS + STARTS if 'mod_wsgi.' + name in environ}
    facts['server_pid'] = int(facts.get('server_pid', 0))
    payload = dict(
        facts,
        daemon_connects=connects,
        daemon_restarts=restarts,
        application_object=application,
        callable_object=environ.get('mod_wsgi.callable_object', ''),
        request_environ=environ,
    )
    publish('request_started', with_data(payload))
    return facts, payload['application_object']


def about(facts):
    return {name: facts[name] for name in ('request_id',) if name in facts}


def response_started(facts, status, headers, exc_info):
    payload = about(facts)
    payload.update(response_status=status, response_headers=headers, exception_info=exc_info)
    publish('response_started', with_data(payload))


def request_exception(facts, error):
    payload = about(facts)
    payload['exception_info'] = (type(error), error, error.__traceback__)
    publish('request_exception', with_data(payload))


def request_finished(facts, measured):
    publish('request_finished', with_data(dict(facts, **measured)))


def process_stopping(reason):
    publish('process_stopping', {'shutdown_reason': reason}, shutdown_callbacks)


def process_signal(number):
    publish('process_signal', {'signame': signal.Signals(number).name, 'signum': number}, signal_callbacks)
