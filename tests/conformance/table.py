"""What a row is, and the table that the modules of `rows/` fill when they are imported."""

from collections.abc import Callable
from dataclasses import dataclass

from .ask import Ask
from .expect import Expect
from .protocols import ALL


@dataclass(frozen=True)
class Row:
    """A behaviour.

    `exchanges` are made one after the other on one connection as far as that stays open. `play` is for
    rows that need more than this: a function that takes a `Scene` and asserts.
    """

    slug: str
    sentence: str
    clause: str
    application: Callable | None
    exchanges: tuple[tuple[Ask, Expect], ...]
    play: Callable | None = None
    protocols: tuple[str, ...] = ALL
    # Directives for the row's own <Location>, and the process group it runs in.
    config: str = ""
    # Lines for the virtual host, before the table's own mounts.
    server: str = ""
    group: str = "site"
    # A valid application: there is a twin of the row under wsgiref.validate.
    valid: bool = False
    # Root alone can arrange it.
    root: bool = False

    @property
    def mount(self):
        """The row's path; its twin's under /valid."""
        return f"/row/{self.slug}"


TABLE: dict[str, Row] = {}


def row(sentence, clause, *exchanges, slug=None, **more):
    """A row whose application is the function that follows; its name is the slug unless one is given."""

    def enter(application):
        enter_row(
            slug or application.__name__.replace("_", "-"), sentence, clause, application, exchanges, **more
        )
        return application

    return enter


def bare_row(slug, sentence, clause, *exchanges, **more):
    """A row that no application of the table answers."""
    enter_row(slug, sentence, clause, None, exchanges, **more)


def enter_row(slug, sentence, clause, application, exchanges, **more):
    """Enters it, once."""
    if slug in TABLE:
        raise ValueError(f"two rows are called {slug}")
    new = Row(slug, sentence, clause, application, exchanges, **more)
    if not exchanges and new.play is None:
        raise ValueError(f"{slug} asks for nothing")
    TABLE[slug] = new


def load():
    """The whole table."""
    from . import rows  # The rows import this module.

    rows.enter()
    return TABLE
