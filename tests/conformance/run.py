"""Runs the table, or a part of it, over one protocol."""

import os
import traceback
from dataclasses import dataclass

from .compare import Mismatch
from .scene import Scene
from .table import load


@dataclass(frozen=True)
class Result:
    """A row that has been tried."""

    slug: str
    sentence: str
    clause: str
    mismatches: list

    @property
    def passed(self):
        """Is all as expected?"""
        return not self.mismatches


def run(setting, only=()):
    """Tries every row that this protocol can show."""
    for row in load().values():
        if setting.protocol not in row.protocols or (row.root and os.geteuid() != 0):
            continue
        for slug, mount in mounts(row):
            if not only or slug in only:
                yield Result(slug, row.sentence, row.clause, tried(row, slug, mount, setting))


def mounts(row):
    """Where a row is asked: at its own path, and under wsgiref.validate where it is valid."""
    yield row.slug, row.mount
    if row.valid:
        yield f"{row.slug}+validator", f"/valid/{row.slug}"


def tried(row, slug, mount, setting):
    """One row's mismatches."""
    token = f"{slug}.{setting.protocol}.{os.getpid()}".replace("+", "-")
    try:
        scene = Scene(row, setting, token, mount)
        try:
            (row.play or Scene.exchange)(scene)
        finally:
            scene.close()
        return scene.found
    except Exception as error:  # The row has failed, the others are to be tried all the same.
        at = traceback.extract_tb(error.__traceback__)[-1]
        return [
            Mismatch("exchange", "an end", f"{type(error).__name__}: {error} ({at.name}, line {at.lineno})")
        ]
