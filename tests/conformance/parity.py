"""Compares what mod_wsgi does with the table and with the list of differences.

A row on which mod_wsgi differs has to be on the list, and a row on the list has to differ: a list that
is longer than the truth is as wrong as one that is shorter.
"""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from .differences import DIFFERENCES, NOTE


@dataclass
class Verdict:
    """What was listed and occurred, what was not listed, what did not occur."""

    protocol: str
    listed: list
    unlisted: list
    vanished: list
    rows: int

    @property
    def agreed(self):
        """Is the list the truth?"""
        return self.rows > 0 and not self.unlisted and not self.vanished

    def __str__(self):
        lines = [f"== mod_wsgi over {self.protocol}"]
        for difference, slugs in self.listed:
            rows = ", ".join(slugs) or f"{', '.join(difference.rows)} (not this time)"
            lines.append(f"{rows}: {difference.theirs} Here: {difference.why}")
        for result in self.unlisted:
            told = "; ".join(str(mismatch) for mismatch in result.mismatches)
            lines.append(f"NOT LISTED {result.slug}: {result.sentence}: {told}")
        for difference, slug in self.vanished:
            lines.append(f"DOES NOT OCCUR {slug}: {difference.theirs}")
        differing = sum(len(slugs) for _, slugs in self.listed)
        count = f"{self.rows} rows, {differing} listed differences"
        return "\n".join(
            [*lines, f"{count}, {len(self.unlisted)} not listed, {len(self.vanished)} do not occur"]
        )


def parity(results, protocol):
    """The verdict on what mod_wsgi did."""
    results = list(results)
    noted = [result.slug for result in results if any(m.aspect == "note" for m in result.mismatches)]
    differing = {
        result.slug: result for result in results if any(m.aspect != "note" for m in result.mismatches)
    }
    listed, vanished, covered = (
        [(NOTE, noted)] if noted else [],
        [] if noted else [(NOTE, "every row")],
        set(),
    )
    for difference in DIFFERENCES:
        if protocol not in difference.protocols:
            continue
        for pattern in difference.rows:
            asked = [result.slug for result in results if fnmatchcase(result.slug, pattern)]
            absent = [slug for slug in asked if slug not in differing]
            if difference.always or not asked:
                vanished += [(difference, slug) for slug in absent or ([] if asked else [pattern])]
            covered.update(asked)
        slugs = [slug for slug in differing if any(fnmatchcase(slug, pattern) for pattern in difference.rows)]
        listed.append((difference, slugs))
    unlisted = [result for slug, result in differing.items() if slug not in covered]
    return Verdict(protocol, listed, unlisted, vanished, len(results))
