"""What the store counts."""

from prometheus_client import Counter, Histogram

TRANSACTIONS = Counter(
    "commhub_db_transactions_total",
    "Write transactions by how they ended: committed, rolled_back, failed (by the database)",
    ["outcome"],
)
ENDED = {how: TRANSACTIONS.labels(how) for how in ("committed", "rolled_back", "failed")}
WRITE_SECONDS = Histogram(
    "commhub_db_write_seconds",
    "From asking for a write transaction to its end on disk",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
GROUPED_TURNS = Histogram(
    "commhub_db_grouped_turns",
    "Turns that shared one SQLite commit",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
