"""The conformance suite: one table of behaviours, asked of a real httpd over every protocol.

A row of the table holds side by side a sentence, the clause it shows, the WSGI application, what to
ask and what has to come back. Workers import the table to run the applications (`script.wsgi`), the
runner imports the same table to ask and to compare, so nothing of a row stands in two places.

* `table`: what a row is; `ask`, `expect`: its two sides; `rows/`: the rows, a file for each topic
* `dispatch`, `within`: inside of a worker
* `setting`: the configuration that the rows need, for mod_wsgid and for mod_wsgi
* `client/`: HTTP/1 byte by byte, HTTP/2, and what both show of a reply
* `run`, `compare`, `traces`: asking, comparing, and looking at logs and marker files
* `differences`, `parity`: where mod_wsgi does otherwise and why, and the check of that list
"""
