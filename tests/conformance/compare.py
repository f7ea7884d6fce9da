"""Expected beside given: each aspect on its own, so that a difference says what differs."""

import re
from dataclasses import dataclass

from .client.reply import bodiless
from .expect import UNSAID
from .protocols import DELIMITED, FRAMED, HTTP_1_0


@dataclass(frozen=True)
class Mismatch:
    """One aspect of a row that is not as it should be."""

    aspect: str
    expected: str
    got: str

    def __str__(self):
        return f"{self.aspect}: expected {self.expected}, got {self.got}"


def replies(expect, reply, method, setting):
    """What a reply lacks."""
    found = []
    if not expect.whole and setting.protocol in FRAMED and not reply.status and "stream reset" in reply.ended:
        return []  # Reset before its head was sent: what follows can't be mistaken for a response.

    def compare(aspect, expected, got):
        if not matches(expected, got, setting):
            found.append(Mismatch(aspect, shown(expected, setting), shown(got, setting)))

    compare("status", expect.status, reply.status)
    if expect.reason is not None and setting.protocol not in FRAMED:
        compare("reason", expect.reason, reply.reason)
    for name, value in expect.headers.items():
        given = reply.all(name)
        compare(f"header {name}", value if isinstance(value, list) else [value], given)
    for name in expect.absent:
        compare(f"header {name}", [], reply.all(name))
    if expect.body is not UNSAID:
        compare("body", cut(expect, reply, setting), reply.body)
    if expect.json is not UNSAID:
        compare("json", expect.json, reply.json())
    compare("interim", list(expect.interim), reply.interim)
    found += wholes(expect, reply, method, setting)
    objection = expect.also(reply) if expect.also else None
    if objection:
        found.append(Mismatch("reply", "otherwise", objection))
    return found


def cut(expect, reply, setting):
    """The body to expect: what a stream had under way when it was reset need not have arrived."""
    lost = not expect.whole and "stream reset" in reply.ended and setting.protocol in FRAMED
    return expect.body[: len(reply.body)] if lost else expect.body


def wholes(expect, reply, method, setting):
    """Whole, or visibly not. HTTP/1.0 without a length shows no truncation but by a reset (RFC 9112, 8)."""
    if reply.ended == "silent":
        return [Mismatch("whole", "an end", "silence after a part")]
    if bodiless(method, reply.status):
        return [] if reply.whole else [Mismatch("whole", "a whole reply", f"ended: {reply.ended}")]
    unseen = setting.protocol == HTTP_1_0 and reply.header("Content-Length") is None
    if reply.whole == expect.whole or (unseen and not expect.whole and reply.ended == "closed"):
        return []
    if setting.protocol not in DELIMITED and not expect.whole and reply.ended != "closed":
        return []
    words = {True: "a whole reply", False: "a reply that is visibly cut off"}
    return [
        Mismatch("whole", words[expect.whole], f"{words[reply.whole]} (ended: {reply.ended or 'in order'})")
    ]


def matches(expected, got, setting):
    """Values, patterns and functions of the setting, also inside of lists and mappings."""
    if callable(expected):
        expected = expected(setting)
    if isinstance(expected, re.Pattern):
        flat = got.decode("latin-1") if isinstance(got, bytes) else got
        return isinstance(flat, str) and expected.fullmatch(flat) is not None
    if isinstance(expected, dict):
        same = isinstance(got, dict) and expected.keys() == got.keys()
        return same and all(matches(value, got[name], setting) for name, value in expected.items())
    if isinstance(expected, (list, tuple)):
        same = isinstance(got, (list, tuple)) and len(expected) == len(got)
        return same and all(matches(a, b, setting) for a, b in zip(expected, got))
    return type(expected) is type(got) and expected == got


def shown(value, setting, limit=160):
    """For a line of a report."""
    if callable(value):
        value = value(setting)
    if isinstance(value, re.Pattern):
        return f"/{value.pattern}/"
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
