"""What web/ counts. Routes are labelled by their template, so that ids never become labels."""

from prometheus_client import Counter, Histogram

REQUESTS = Counter("commhub_web_requests_total", "Requests answered", ["method", "route", "status"])
SECONDS = Histogram(
    "commhub_web_request_seconds",
    "Time from a request's first byte here to its answer's last",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
