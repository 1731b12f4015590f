"""What the incidents room counts."""

from prometheus_client import Counter

REGISTERED = Counter("commhub_incidents_registered_total", "Incidents opened", ["drill"])
DISPATCHED = Counter("commhub_incidents_tasks_dispatched_total", "Tasks given to responders")
ATTENTION = Counter(
    "commhub_incidents_attention_total", "Times an incident was put before a person", ["code"]
)
CLOCKS = Counter(
    "commhub_incidents_clocks_total", "Timers by what became of them", ["clock", "outcome"]
)
RANKING_FAILED = Counter(
    "commhub_incidents_ranking_failed_total", "Rankings that raised; the duty leader was asked"
)
