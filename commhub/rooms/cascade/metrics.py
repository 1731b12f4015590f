"""Figures of joined rooms, on /metrics."""

from prometheus_client import Counter, Gauge

SOURCES_REFUSED = Counter(
    "commhub_cascade_sources_refused_total",
    "Pictures of neighbours that were refused, by why",
    ["code"],
)
FETCHES = Counter(
    "commhub_cascade_fetches_total", "Pictures asked of neighbours, by what came of it", ["outcome"]
)
PUSHES = Counter(
    "commhub_cascade_pushes_total", "Pictures sent onward, by what came of it", ["outcome"]
)
SENDING = Gauge("commhub_cascade_sending", "Pictures sent onward now, by where to", ["to"])
