#!/usr/bin/python3
"""Stands in for a group's Python: speaks a worker's side of the control socket and serves nothing.

What it does is written in the script it is to preload: "ok", "broken" (its import fails), "crash",
"mute" (never ready) or "stubborn" (does not end when it is told to).
"""
import json, os, select, struct, sys

READY, RELOAD_WANTED, RETIRE = 80, 81, 82
CONTROL, BOARD, PLAN = 4, 6, 7


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def fields(data):
    found, at = {}, 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        elif key & 7 == 1:
            value, at = data[at:at + 8], at + 8
        else:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        found.setdefault(key >> 3, value)
    return found


def say(kind, payload=b""):
    os.write(CONTROL, struct.pack("<IB", len(payload), kind) + payload)


def content(script):
    try:
        with open(script) as file:
            return file.read().strip(), os.stat(script).st_mtime_ns
    except OSError:
        return "ok", 0


def facts():
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\t" in line)
    return {
        "uid": os.getuid(), "gid": os.getgid(), "groups": sorted(os.getgroups()), "sid": os.getsid(0),
        "pid": os.getpid(), "cwd": os.getcwd(), "environment": dict(os.environ), "argv": sys.argv,
        "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")),
        "capabilities": status["CapEff"].strip() + status["CapPrm"].strip(),
        "bounding": status["CapBnd"].strip(), "no_new_privileges": status["NoNewPrivs"].strip(),
        "nice": os.nice(0), "umask": status["Umask"].strip(), "ignored": status["SigIgn"].strip(),
        "board": os.fstat(BOARD).st_size,
    }


def main():
    plan = fields(os.pread(PLAN, 1 << 20, 0)[5:])
    script = plan.get(12, b"").decode()
    what, stamp = content(script)
    directory = os.environ.get("TEST_FACTS")
    if directory:
        known = facts()
        with open(f"{directory}/{os.getpid()}.json", "w") as file:
            json.dump(known, file)
    print("the application says hello", flush=True)
    if what == "crash":
        sys.exit("crashed, as was asked for")
    if what != "mute":
        say(READY, b"" if what == "broken" else b"\x08\x01")
    asked = False
    while True:
        readable, _, _ = select.select([CONTROL], [], [], 0.02)
        if readable:
            header = os.read(CONTROL, 5)
            if not header or (header[4] == RETIRE and what != "stubborn"):
                return
        if not asked and stamp and what != "broken" and content(script)[1] != stamp:
            asked = True
            say(RELOAD_WANTED, b"\x0a\x06script")


main()
