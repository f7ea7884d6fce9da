"""Tables, for terminals and for Markdown, and what stands in them."""

from .bars import BARS
from .peers import OURS


class Table:
    """A header and rows of text; the first column is words, the others numbers."""

    def __init__(self, *header):
        self.header = header
        self.rows = []

    def row(self, *cells):
        """One more."""
        self.rows.append(cells)

    def terminal(self):
        """In columns."""
        widths = [max(len(row[column]) for row in [self.header, *self.rows]) for column in range(len(self.header))]

        def line(cells):
            rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
            return "  ".join([cells[0].ljust(widths[0]), *rest]).rstrip()

        return "\n".join(line(cells) for cells in [self.header, *self.rows])

    def markdown(self):
        """With bars."""
        rule = ["---"] + ["---:"] * (len(self.header) - 1)
        return "\n".join("| " + " | ".join(cells) + " |" for cells in [self.header, rule, *self.rows])


def scenario_table(results, scenario):
    """Every peer's medians, and ours divided by them."""
    measures = results.measures(scenario)
    header = ["peer"]
    for measure in measures:
        header += [measure.short, "ratio"]
    table = Table(*header, "errors")
    for peer in results.peers(scenario):
        cells = [peer.name]
        errors = results.errors(scenario.name, peer.name)
        for measure in measures:
            value = results.value(scenario.name, peer.name, measure.name)
            ratio = results.ratio(scenario.name, peer.name, measure.name)
            mark = " !" if errors else ""
            cells.append("–" if value is None else measure.text(value) + mark)
            cells.append("" if peer == OURS or ratio is None else f"{ratio:.2f}")
        table.row(*cells, ", ".join(f"{number} {kind}" for kind, number in errors.items()) or "0")
    return table


def bars_table(results):
    """The bars that this run could measure."""
    table = Table("scenario", "bar", "wanted", "measured", "verdict")
    for bar in BARS:
        value, peer = bar.measured(results)
        if value is None:
            continue
        title = bar.title() + (f" ({peer})" if peer not in (None, bar.against) else "")
        table.row(bar.scenario, title, f"{bar.comparison} {bar.factor:g}", f"{value:.2f}", bar.verdict(results))
    return table
