"""The web server in front of an application."""

version: tuple[int, int, int]
"""Of httpd."""
description: str
"""With its modules, as in ``Apache/2.4.62 (Debian) OpenSSL/3.0.15``."""
mpm_name: str
build_date: str
maximum_processes: int
"""The most children that httpd may have, and the threads of each."""
threads_per_process: int
