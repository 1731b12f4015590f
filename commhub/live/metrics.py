"""What live/ counts."""

from prometheus_client import Counter, Gauge

DESKS = Gauge("commhub_live_desks", "Live sockets that are open")
OPS = Counter("commhub_live_ops_total", "Changes put into the log of all desks", ["op"])
SNAPSHOTS = Counter("commhub_live_snapshots_total", "Whole states sent to desks")
CLOSED = Counter("commhub_live_closed_total", "Live sockets closed by the hub", ["reason"])
