"""What http/ counts."""

from prometheus_client import Counter

FAULTS = Counter("commhub_http_faults_total", "Requests that ended in a fault of the hub (500)")
REFUSED_BODIES = Counter(
    "commhub_http_refused_bodies_total", "Request bodies over the limit or no text we can store"
)
REPLAYS = Counter(
    "commhub_http_replays_total", "Requests answered from an Idempotency-Key seen before"
)
