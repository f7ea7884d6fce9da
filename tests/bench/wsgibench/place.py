"""Where things are during a run: applications, files to serve, a directory for each server."""

import itertools
import os
import shutil
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent
REPO = BENCH.parent.parent
FILE_SIZE = 100 << 20


class Place:
    """A directory that every user can read; servers serve as www-data, and the clone may be root's alone."""

    def __init__(self, root, venv):
        self.root = root
        self.venv = venv
        self.apps = root / "apps"
        self.htdocs = root / "htdocs"
        self._numbers = itertools.count(1)

    def lay_out(self):
        """Applications and the large file."""
        shutil.copytree(BENCH / "apps", self.apps)
        self.htdocs.mkdir()
        block = os.urandom(1 << 20)
        with open(self.htdocs / "100m", "wb") as file:
            for _ in range(FILE_SIZE // len(block)):
                file.write(block)
        for path in [self.apps, self.htdocs, *self.apps.iterdir(), *self.htdocs.iterdir()]:
            path.chmod(0o755)

    def server_directory(self, name):
        """A new one for a peer's configuration, sockets and logs, as short as sockets want it."""
        directory = self.root / f"{next(self._numbers)}-{name}"
        directory.mkdir(mode=0o755)
        return directory

    def staged(self, path):
        """A file of mod_wsgid's installed tree."""
        return self.root / "stage" / path
