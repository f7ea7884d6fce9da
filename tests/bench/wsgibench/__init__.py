"""The benchmark of mod_wsgid.

Every *peer* (peers.py) is a web server with Python behind it, started afresh for every *scenario*
(scenarios.py). Then come *rounds* (rounds.py): in each, every peer is loaded once, in an order that
rotates, while the others stand idle; so a disturbance of the machine meets all of them alike. A
round of a peer leaves a *sample*: what the load generator counted (load.py) and what the peer's
processes used meanwhile (proc.py). Medians of the samples are compared (results.py), set against
the *bars* (bars.py) and told (report.py, plot.py).
"""
