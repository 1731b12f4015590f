"""What the rules count."""

from prometheus_client import Counter

DECISIONS = Counter("commhub_rules_decisions", "Decisions on reports", ["ruleset"])
DEFAULTS = Counter("commhub_rules_defaults", "Decisions that fell to a catch-all row", ["ruleset"])
REFUSED = Counter("commhub_rules_refused", "Reports or rule files refused", ["what"])
