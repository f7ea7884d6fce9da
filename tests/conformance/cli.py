"""The command line: prints the configuration, or tries the table on a server that has it."""

import argparse
import json
from pathlib import Path

from .parity import parity
from .protocols import ALL
from .run import run
from .setting import Setting, configuration


def main():
    """The exit status."""
    options = parser().parse_args()
    if options.command == "configuration":
        print(configuration(options.theirs))
        return 0
    setting = Setting(
        options.root,
        options.port,
        options.tls_port,
        options.protocol,
        options.patience,
        options.trace_patience,
    )
    if options.command == "parity":
        verdict = parity(run(setting), setting.protocol)
        print(verdict)
        return 0 if verdict.agreed else 1
    results = list(run(setting, frozenset(options.only)))
    print(as_json(results) if options.json else as_text(results))
    return 0 if results and all(result.passed for result in results) else 1


def parser():
    """What may be said."""
    whole = argparse.ArgumentParser(prog="conformance", description=__doc__)
    commands = whole.add_subparsers(dest="command", required=True)
    text = commands.add_parser("configuration", help="httpd's configuration for the rows")
    text.add_argument("--theirs", action="store_true", help="for mod_wsgi")
    rows = commands.add_parser("run", help="ask and compare")
    where(rows)
    rows.add_argument("--json", action="store_true")
    rows.add_argument("only", nargs="*", help="slugs of rows; all by default")
    where(commands.add_parser("parity", help="ask mod_wsgi, and compare what differs with the list"))
    return whole


def where(rows):
    """How to reach the server."""
    rows.add_argument("--root", type=Path, required=True, help="the server root, with its logs")
    rows.add_argument("--port", type=int, required=True)
    rows.add_argument("--tls-port", type=int, required=True)
    rows.add_argument("--protocol", choices=ALL, required=True)
    rows.add_argument("--patience", type=float, default=10.0, help="seconds to wait for a reply")
    rows.add_argument(
        "--trace-patience", type=float, default=5.0, help="seconds to wait for lines and markers"
    )


def as_text(results):
    """A line for each row that failed, and the count."""
    lines = []
    for result in results:
        if not result.passed:
            told = "; ".join(str(mismatch) for mismatch in result.mismatches)
            lines.append(f"FAILED {result.slug}: {result.sentence} ({result.clause}): {told}")
    passed = sum(result.passed for result in results)
    return "\n".join([*lines, f"{passed} rows passed, {len(results) - passed} failed"])


def as_json(results):
    """All of it."""
    rows = [
        {
            "row": result.slug,
            "sentence": result.sentence,
            "clause": result.clause,
            "mismatches": [vars(mismatch) for mismatch in result.mismatches],
        }
        for result in results
    ]
    return json.dumps(rows, indent=1)
