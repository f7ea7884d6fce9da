"""Something did not run, in one sentence, with what the log says about it."""


class Failure(Exception):
    """Ends the benchmark."""

    def __init__(self, sentence, log=""):
        super().__init__(sentence)
        self.log = log

    def text(self):
        """For a terminal."""
        tail = "\n".join("    " + line for line in self.log.splitlines()[-25:])
        return f"{self}\n{tail}" if tail else str(self)
