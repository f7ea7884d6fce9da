"""The memory of a peer's processes, by what they are for."""

from . import proc


def roles(server):
    """Process ids by role: httpd, child, supervisor, worker. Embedded, the child is the worker as well."""
    table = proc.table()
    found = {"httpd": [server.httpd], "child": [], "supervisor": [], "worker": []}
    for pid in proc.tree(table, server.httpd)[1:]:
        # mod_wsgi's daemon processes are httpd's children by descent, and say otherwise by name.
        found["worker" if proc.command(pid).startswith("(wsgi:") else "child"].append(pid)
    if server.program:
        found["supervisor"].append(server.program)
        descendants = proc.tree(table, server.program)[1:]
        # Python's multiprocessing keeps one beside granian's workers, which serves nothing.
        found["worker"] += [pid for pid in descendants if "resource_tracker" not in proc.command(pid)]
    return found


def at_rest(server):
    """MiB: PSS and RSS of the largest process of each role, and the PSS of all together."""
    sample = {}
    everyone = []
    for role, pids in roles(server).items():
        if pids:
            weights = [proc.pss_mib(pid) for pid in pids]
            everyone += weights
            sample[f"pss_{role}"] = max(weights)
            sample[f"rss_{role}"] = max(proc.status_mib(pid, "VmRSS") for pid in pids)
    sample["pss_all"] = sum(everyone)
    return sample


class Growth:
    """How far httpd's children and the workers grow, from before the first load to the highest point of each."""

    def __init__(self, server):
        self._pids = {role: pids for role, pids in roles(server).items() if role in ("child", "worker")}
        self._before = {pid: proc.status_mib(pid, "VmRSS") for pids in self._pids.values() for pid in pids}

    def begin(self):
        """A round begins."""
        for pid in self._before:
            proc.reset_peak(pid)

    def end(self):
        """It is over: MiB of the process that grew most, by role."""
        return {
            f"grown_{role}": max(proc.status_mib(pid, "VmHWM") - self._before[pid] for pid in pids)
            for role, pids in self._pids.items()
            if pids
        }
