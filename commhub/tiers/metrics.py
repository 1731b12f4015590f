"""Figures of tiers, on /metrics."""

from prometheus_client import Counter

TAKEN = Counter(
    "commhub_tiers_messages_taken_total", "Durable messages of peers, by kind", ["kind"]
)
REFUSED = Counter("commhub_tiers_messages_refused_total", "Those refused, by code", ["code"])
ASKED = Counter("commhub_tiers_asks_total", "Questions of peers, by kind", ["kind"])
TOLD = Counter("commhub_tiers_tells_total", "States told by peers, by kind", ["kind"])
