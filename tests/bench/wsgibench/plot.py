"""A plot of a scenario: a panel for each measure, a bar for each peer, a dot for each round."""

from .peers import OURS

COLOURS = {True: "#c2410c", False: "#94a3b8"}
PANELS = 4


def scenario(results, which, output):
    """Writes NAME.svg."""
    # Here, so that --list and --help need no matplotlib.
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    # Text stays text, and the same numbers make the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "wsgibench", "font.size": 9})
    peers = results.peers(which)[::-1]
    measures = results.measures(which)[:PANELS]
    size = (3.1 * len(measures) + 0.8, 0.34 * len(peers) + 1.1)
    figure, panels = pyplot.subplots(1, len(measures), figsize=size, sharey=True, squeeze=False)
    for panel, measure in zip(panels[0], measures, strict=True):
        draw(panel, results, which, peers, measure)
    figure.suptitle(which.title)
    figure.tight_layout()
    figure.savefig(output / f"{which.name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def draw(panel, results, which, peers, measure):
    """One measure."""
    for row, peer in enumerate(peers):
        value = results.value(which.name, peer.name, measure.name)
        if value is None:
            continue
        panel.barh(row, value * measure.scale, height=0.7, color=COLOURS[peer == OURS])
        rounds = [v * measure.scale for v in results.values(which.name, peer.name, measure.name)]
        panel.plot(rounds, [row] * len(rounds), ".", color="#1e293b", markersize=3)
        # In a column at the right, where no dot is.
        place = {"xycoords": panel.get_yaxis_transform(), "textcoords": "offset points"}
        panel.annotate(measure.text(value), (1, row), (3, 0), va="center", annotation_clip=False, **place)
    better = "more is better" if measure.more_is_better else "less is better"
    panel.set_xlabel(f"{measure.title}, {measure.unit}\n({better})")
    panel.set_yticks(range(len(peers)), [peer.name for peer in peers])
    panel.set_xlim(left=0)
    panel.spines[["top", "right"]].set_visible(False)
