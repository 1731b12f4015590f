"""What the WeCom gateway counts."""

from prometheus_client import Counter

OUTCOMES = Counter(
    "commhub_wecom_deliveries", "Deliveries handed to WeCom, by outcome", ["kind", "outcome"]
)
API_ERRORS = Counter("commhub_wecom_api_errors", "Error codes WeCom answered", ["code"])
TOKENS = Counter("commhub_wecom_tokens", "Access tokens fetched")
CALLBACKS = Counter("commhub_wecom_callbacks", "Callbacks taken in, by kind", ["kind"])
REFUSED = Counter("commhub_wecom_callbacks_refused", "Callbacks refused, by reason", ["reason"])
