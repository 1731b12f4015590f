"""What accounts/ counts."""

from prometheus_client import Counter

LOGINS = Counter("commhub_accounts_logins_total", "Attempts to sign in", ["outcome"])
