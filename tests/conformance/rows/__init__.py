"""The rows, a module for each topic."""

import importlib
import pkgutil


def enter():
    """Imports every topic, which enters its rows into the table; a second time does nothing."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
