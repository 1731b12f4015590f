"""What the lines count. Numbers and callers are never label values; lines are few and named in the settings."""

from prometheus_client import Counter, Gauge

UP = Gauge("commhub_sip_trunk_up", "Whether a line answers (1) or not (0)", ["trunk"])
REGISTERED = Gauge(
    "commhub_sip_trunk_registered", "Whether the hub is registered at a line", ["trunk"]
)
CALLS = Gauge("commhub_sip_trunk_calls", "Calls on a line now", ["trunk", "direction"])
ATTEMPTS = Counter(
    "commhub_sip_trunk_attempts_total",
    "Calls tried over a line, by what came of it",
    ["trunk", "outcome"],
)
REFUSED = Counter(
    "commhub_sip_numbers_refused_total", "Outside calls that were not placed, by reason", ["reason"]
)
EMERGENCIES = Counter(
    "commhub_sip_emergency_calls_total", "Emergency calls, by outcome", ["outcome"]
)
ALARMS = Counter("commhub_sip_line_alarms_total", "Alarms about lines told to the desk", ["alarm"])
SPENT = Gauge("commhub_sip_spent_today", "What today's outside calls cost by the rules' prices")
