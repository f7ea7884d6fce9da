"""What has to come back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Unsaid:
    """Stands where a row expects nothing in particular, since None and b"" are answers."""

    def __repr__(self):
        return "anything"


UNSAID = Unsaid()


@dataclass(frozen=True)
class Line:
    """A line of the error log that contains all the parts; `level` as it stands there, as in `wsgi:error`."""

    parts: tuple[str, ...]
    level: str | None = None


@dataclass(frozen=True)
class Expect:
    """A response and its traces.

    Values of `headers` are a string, a compiled pattern for the whole value, or a list for a header
    that comes more than once. In `json` a value may also be a function that takes the `Setting`.
    """

    status: int = 200
    reason: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    absent: tuple[str, ...] = ()
    body: Any = UNSAID
    json: Any = UNSAID
    # The response ended as its framing promised.
    whole: bool = True
    interim: tuple[int, ...] = ()
    log: tuple[Line, ...] = ()
    # The message number in the note `wsgi-error`, or "" for none.
    note: str | None = None
    # Marker files that the application left: name and content.
    marks: Mapping[str, Any] = field(default_factory=dict)
    # What else has to hold of the reply; answers an objection or None.
    also: Callable[[Any], str | None] | None = None


def logged(*parts, level=None):
    """One line of the error log."""
    return (Line(parts, level),)


def failed(*parts, status=500, note=None, **more):
    """A response that Apache makes because something failed, with a line in the log that tells it and one that
    carries the message's number."""
    more.setdefault("absent", ("X-Leaked",))
    log = (logged(*parts) if parts else ()) + (logged(note) if note else ())
    return Expect(status=status, log=log, note=note, **more)
