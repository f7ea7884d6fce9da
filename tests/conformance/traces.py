"""What a request leaves behind: lines of the virtual host's error log, its line of the access log, markers."""

import time

from .compare import Mismatch, matches, shown

PAUSE = 0.002
NUDGES = 0.1


def eventually(patience, probe, nudge=None):
    """The probe's first true answer; its last one when patience has ended. A nudge now and then may help."""
    begun = nudged = time.monotonic()
    while True:
        answer = probe()
        now = time.monotonic()
        if answer or now > begun + patience:
            return answer
        if nudge and now > nudged + NUDGES:
            nudge()
            nudged = now
        time.sleep(PAUSE)


class Traces:
    """Of one request, from the moment this is made."""

    def __init__(self, setting, token):
        self.setting, self.token = setting, token
        self.log_start = size(setting.error_log)
        self.trace_start = size(setting.trace_log)

    def log(self):
        """What the error log has got since."""
        return since(self.setting.error_log, self.log_start)

    def mismatches(self, expect, nudge=None):
        """What is missing, after looking for a while; httpd may need a nudge to write its access log."""
        found = [self.line(line) for line in expect.log]
        found += [self.mark(name, content) for name, content in expect.marks.items()]
        if expect.note is not None:
            found.append(self.note(expect.note, nudge))
        return [mismatch for mismatch in found if mismatch]

    def line(self, wanted):
        """A line of the error log."""
        need = (*wanted.parts, *([f"[{wanted.level}]"] if wanted.level else []))

        def found():
            return any(all(part in line for part in need) for line in self.log().splitlines())

        if eventually(self.setting.trace_patience, found):
            return None
        return Mismatch("log", f"a line with {need}", repr(self.log()[-1500:]))

    def note(self, wanted, nudge=None):
        """The note wsgi-error."""
        line = eventually(self.setting.trace_patience, self.trace, nudge)
        got = line.split(" ")[2] if line else "no line in the access log"
        return None if got == (wanted or "-") else Mismatch("note", wanted or "-", got)

    def trace(self):
        """The request's own line of the access log."""
        lines = since(self.setting.trace_log, self.trace_start).splitlines(keepends=True)
        own = [line for line in lines if line.startswith(self.token + " ") and line.endswith("\n")]
        return own[0].strip() if own else None

    def mark(self, name, wanted):
        """A marker of the application."""
        path = self.marker(name)
        if not eventually(self.setting.trace_patience, path.exists):
            return Mismatch(f"mark {name}", shown(wanted, self.setting), "no such marker")
        got = path.read_text(encoding="utf-8")
        return (
            None if matches(wanted, got, self.setting) else Mismatch(f"mark {name}", repr(wanted), repr(got))
        )

    def marker(self, name):
        """The path of a marker."""
        return self.setting.root / "markers" / f"{self.token}.{name}"


def size(path):
    """How long a log is."""
    return path.stat().st_size if path.exists() else 0


def since(path, start):
    """What a log has got since it was so long."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(start)
        return file.read().decode("latin-1")
