"""What WSGIScriptAlias names: the package stands beside this file."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance.dispatch import application  # noqa: E402

__all__ = ["application"]
