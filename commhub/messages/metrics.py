"""What the messages room counts."""

from prometheus_client import Counter, Gauge

DELIVERIES = Counter(
    "commhub_messages_deliveries_total",
    "Deliveries by what became of an attempt",
    ["channel", "kind", "state"],
)
IN_FLIGHT = Gauge("commhub_messages_in_flight", "Deliveries being sent", ["channel"])
ACKS = Counter("commhub_messages_acks_total", "Answers by their effect", ["channel", "effect"])
REPEATED_EVENTS = Counter(
    "commhub_messages_repeated_events_total", "Events a channel delivered again", ["channel"]
)
FAILED_EVENTS = Counter(
    "commhub_messages_failed_events_total", "Events set aside with an error", ["channel"]
)
