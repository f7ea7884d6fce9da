"""mod_wsgi.request_metrics() and mod_wsgi.process_metrics(): what `metrics.rs` has counted, in the words and
units that monitoring code expects.
"""

import os
import resource
import time

import _wsgid

born = time.time()
# A template measures nothing, and its workers do from their beginning.
wanted = False
PAGE = resource.getpagesize()

# The stages of a request, and what goes on across them.
PHASES = ('server', 'queue', 'daemon', 'application', 'request', 'input_read', 'output_write', 'gil_wait')


def start_recording_metrics():
    """From now on requests are measured; until then the other functions return None."""
    global wanted
    wanted = True
    _wsgid.start_recording(cpu())


def begin_anew():
    """This process is a copy, which has not done what is counted of it."""
    global born
    born = time.time()
    if wanted:
        start_recording_metrics()


def request_metrics():
    """What happened since the last call, or since the recording began."""
    drained = _wsgid.drain_metrics(cpu())
    if drained is None:
        return None
    period = max(drained['stop_time'] - drained['start_time'], 1e-6)
    metrics = {
        'pid': os.getpid(),
        'start_time': drained['start_time'],
        'stop_time': drained['stop_time'],
        'sample_period': period,
        'request_count': drained['request_count'],
        'request_throughput': drained['request_count'] / period,
        'capacity_utilization': drained['busy_time'] / period / drained['threads'],
        'request_threads_maximum': drained['threads'],
        'request_threads_started': drained['threads'],
        **drained['counts'],
        **memory(),
    }
    for kind, seconds in zip(('user', 'system', None), split(drained['cpu_time'])):
        name = 'cpu_%s_' % kind if kind else 'cpu_'
        # A share of the time, also under the name that it had when it was one by mistake.
        metrics[name + 'utilization'] = metrics[name + 'time'] = seconds / period
    add_threads(metrics, drained['laps'])
    for name, phase in zip(PHASES, drained['phases']):
        add_phase(metrics, name + '_time', phase, drained['samples'])
    return metrics


def add_threads(metrics, laps):
    completed, busy, processor, elapsed, longest = map(list, zip(*laps))
    metrics['request_threads_active'] = sum(1 for lap in laps if lap[0] or lap[3])
    metrics['request_threads_completed'] = completed
    metrics['request_threads_buckets'] = list(completed)
    metrics['request_threads_busy_time'] = busy
    metrics['request_threads_cpu_time'] = processor
    metrics['request_threads_current_elapsed'] = elapsed
    metrics['request_threads_max_duration'] = longest


def add_phase(metrics, name, phase, samples):
    total, least, most, buckets = phase
    metrics[name] = total / samples if samples else 0.0
    metrics[name + '_min_us'] = least
    metrics[name + '_max_us'] = most
    metrics[name + '_buckets'] = buckets


def process_metrics():
    """This process since it began; its requests' busy time since the recording did."""
    totals = _wsgid.process_totals()
    if totals is None:
        return None
    user, system, both = split(cpu())
    now = time.time()
    return {
        'pid': os.getpid(),
        'restart_time': born,
        'current_time': now,
        'running_time': int(now - born),
        'cpu_user_time': user,
        'cpu_system_time': system,
        'cpu_time': both,
        **totals,
        **memory(),
    }


def server_metrics():
    """The web server's scoreboard, where that is handed out: see WSGIServerMetrics."""
    return _wsgid.server_metrics()


def cpu():
    """Seconds of this process, in itself and in the kernel."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime, usage.ru_stime


def split(usage):
    user, system = usage
    return user, system, user + system


def memory():
    """Bytes, at most and now."""
    with open('/proc/self/statm', 'rb') as file:
        now = int(file.read().split()[1]) * PAGE
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {'memory_max_rss': max(most, now), 'memory_rss': now}
