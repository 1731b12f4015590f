"""What fleet/ counts."""

from prometheus_client import Counter

STRANGERS = Counter(
    "commhub_fleet_strangers_total", "Messages of devices that are unknown or revoked", ["verb"]
)
STALE = Counter("commhub_fleet_stale_total", "Messages older than what is known", ["verb"])
COMMANDS = Counter("commhub_fleet_commands_total", "Commands by the state they reached", ["state"])
