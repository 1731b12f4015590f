"""Figures of tiers, on /metrics."""

from prometheus_client import Counter

TAKEN = Counter(
    "commhub_tiers_messages_taken_total", "Durable messages of peers, by kind", ["kind"]
)
REFUSED = Counter("commhub_tiers_messages_refused_total", "Those refused, by code", ["code"])
ASKED = Counter("commhub_tiers_asks_total", "Questions of peers, by kind", ["kind"])
TOLD = Counter("commhub_tiers_tells_total", "States told by peers, by kind", ["kind"])
LINES_TOLD = Counter("commhub_tiers_lines_told_total", "Timeline lines queued for neighbours")
LINES_MERGED = Counter(
    "commhub_tiers_lines_merged_total", "Timeline lines of other hubs, repeats among them"
)
LINES_LEFT_OUT = Counter(
    "commhub_tiers_lines_left_out_total", "Lines that a neighbour brought of another one"
)
CLOCKS = Counter(
    "commhub_tiers_clocks_total", "Deadlines between hubs that were over", ["clock", "outcome"]
)
