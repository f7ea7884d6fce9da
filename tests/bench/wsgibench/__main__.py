"""`python -m wsgibench`; tests/bench/run prepares what it needs."""

import sys

from .cli import main

sys.exit(main())
