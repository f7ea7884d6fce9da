"""What an application under mod_wsgid, or under mod_wsgi from 6.0 on, is told about itself."""

import logging
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...

# Called with the event's name and its payload as keywords; a dict is merged into the payload.
_Callback = TypeVar("_Callback", bound=Callable[..., Any])

version: tuple[int, int, int]
process_group: str
application_group: str
maximum_processes: int
"""Processes of this group, and request threads of each."""
threads_per_process: int

event_callbacks: list[Callable[..., Any]]
shutdown_callbacks: list[Callable[..., Any]]
signal_callbacks: list[Callable[..., Any]]
active_requests: dict[str, dict[Any, Any]]
"""The data of each request under way, by ``environ["mod_wsgi.request_id"]``."""

class FileWrapper:
    """``wsgi.file_wrapper``."""

    filelike: _Readable
    blksize: int
    def __init__(self, filelike: _Readable, blksize: int = 8192) -> None: ...
    def __iter__(self) -> Iterator[bytes]: ...
    def __next__(self) -> bytes: ...
    def close(self) -> None: ...

class RequestTimeout(BaseException):
    """Raised in a request that takes longer than ``request-timeout``."""

class LogHandler(logging.Handler):
    """Log records with their own level and place in Apache's error log."""

def request_data() -> dict[Any, Any]:
    """A dict of the request that this thread serves; RuntimeError without one."""

def subscribe_events(callback: _Callback, /) -> _Callback:
    """request_started, response_started, request_exception, request_finished, process_stopping and
    process_signal."""

def subscribe_shutdown(callback: _Callback, /) -> _Callback:
    """process_stopping, with ``shutdown_reason``."""

def subscribe_signals(callback: _Callback, /) -> _Callback:
    """process_signal, with ``signame`` and ``signum``: SIGHUP and SIGUSR2."""

def start_recording_metrics() -> None:
    """Until then the metrics are None."""

def request_metrics() -> dict[str, Any] | None:
    """What happened since the last call."""

def process_metrics() -> dict[str, Any] | None:
    """This process since it began."""

def server_metrics() -> dict[str, Any] | None:
    """httpd's scoreboard, where ``WSGIServerMetrics`` or ``server-metrics`` is on."""
