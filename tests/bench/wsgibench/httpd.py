"""The httpd around every peer: one configuration for all."""

from .peers import MODULES

HTTPD = "/usr/sbin/apache2"
USER = "www-data"
CHILDREN = 2


def configuration(peer, site, port, threads, directives=""):
    """The text of a peer's httpd.conf.

    Children are as many at the end of a run as at its start (spare threads never call for one more
    or one less), and one idle thread is enough for a child to hold the largest crowd. Where httpd's
    children are the Python processes, their numbers are those of every other peer's Python.
    """
    children = site.processes if peer.embedded else CHILDREN
    threads = site.threads if peer.embedded else threads
    return f"""
ServerRoot {site.directory}
DefaultRuntimeDir {site.directory}
PidFile {site.directory}/httpd.pid
ErrorLog {site.directory}/error.log
LogLevel warn
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
# No crowd of the scenarios overflows it (the kernel's somaxconn permitting).
ListenBacklog 4096
User {USER}
Group {USER}
LoadModule mpm_event_module {MODULES}/mod_mpm_event.so
LoadModule authz_core_module {MODULES}/mod_authz_core.so
LoadModule alias_module {MODULES}/mod_alias.so

StartServers {children}
ServerLimit {children}
ThreadLimit {threads}
ThreadsPerChild {threads}
MaxRequestWorkers {children * threads}
MinSpareThreads 1
MaxSpareThreads {children * threads}
AsyncRequestWorkerFactor 2000
MaxConnectionsPerChild 0

KeepAlive On
MaxKeepAliveRequests 0
KeepAliveTimeout 120
Timeout 60
<Directory />
    AllowOverride None
    Require all granted
</Directory>
{directives}
{peer.configuration(site)}
"""
