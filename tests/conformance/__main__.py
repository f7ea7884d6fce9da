"""`python -m conformance configuration [--theirs]`, and `python -m conformance run ...`."""

import sys

from .cli import main

sys.exit(main())
