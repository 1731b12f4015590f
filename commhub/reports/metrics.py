"""What the reports room counts."""

from prometheus_client import Counter

RECEIVED = Counter("commhub_reports_received_total", "Reports committed", ["source"])
REPEATED = Counter("commhub_reports_repeated_total", "Reports that were there already", ["source"])
DOUBTFUL = Counter(
    "commhub_reports_doubtful_total",
    "Reports the rules could not decide on; registered for a person",
)
QUARANTINED = Counter("commhub_reports_quarantined_total", "Reports that failed for themselves")
