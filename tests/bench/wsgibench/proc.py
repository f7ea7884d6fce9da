"""What /proc says: families of processes, CPU time, memory."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")
GONE = (FileNotFoundError, ProcessLookupError)


@dataclass(frozen=True)
class Process:
    """A line of proc_pid_stat(5)."""

    pid: int
    parent: int
    started: int
    # Seconds in user and system mode, its own and those of children it has waited for: so the CPU
    # time of a process that ended is found at its parent.
    cpu: float


def table():
    """All processes, by id."""
    processes = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                stat = Path(entry.path, "stat").read_text()
            except OSError:
                continue  # it has ended
            fields = stat.rpartition(")")[2].split()
            cpu = sum(int(field) for field in fields[11:15]) * TICK
            pid = int(entry.name)
            processes[pid] = Process(pid, int(fields[1]), int(fields[19]), cpu)
    return processes


def tree(processes, root):
    """A process and its descendants."""
    found = [root] if root in processes else []
    for pid in found:
        found += [p.pid for p in processes.values() if p.parent == pid]
    return found


def cpu(processes, pids):
    """Seconds that these have used."""
    return sum(processes[pid].cpu for pid in pids)


def busy():
    """Seconds that all of the machine's CPUs have worked, for whomever."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields[:8]
    return (user + nice + system + irq + softirq + steal) * TICK


def command(pid):
    """Its command line."""
    return _read(pid, "cmdline").replace("\0", " ")


def status_mib(pid, field):
    """VmRSS or VmHWM of proc_pid_status(5), in MiB."""
    return _kib(_read(pid, "status"), field) / 1024


def pss_mib(pid):
    """Its memory, with what it shares divided by how many share it, in MiB."""
    return _kib(_read(pid, "smaps_rollup"), "Pss") / 1024


def reset_peak(pid):
    """VmHWM counts anew from here."""
    with contextlib.suppress(*GONE):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def _read(pid, name):
    """A file of a process; nothing when that has ended."""
    with contextlib.suppress(*GONE):
        return Path(f"/proc/{pid}/{name}").read_text(errors="replace")
    return ""


def _kib(text, field):
    """A line `Field:  1234 kB`."""
    for line in text.splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    return 0


def kill_survivors(then, pids):
    """Ends those that are still the processes they were in the table of then, and not others by that id."""
    for _ in range(40):
        now = table()
        left = [pid for pid in pids if pid in now and now[pid].started == then[pid].started]
        if not left:
            return
        time.sleep(0.05)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
