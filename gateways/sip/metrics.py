"""Counters of the SIP edge. Sources are never label values: an attacker could make millions of them."""

from functools import lru_cache

from prometheus_client import Counter, Gauge


@lru_cache(maxsize=512)
def series(counter: Counter, *labels: str) -> Counter:
    """The series of these labels, found faster than the library does; for what is counted at every message."""
    return counter.labels(*labels)


REQUESTS = Counter("commhub_sip_requests_total", "Requests received", ["method"])
RESPONSES = Counter("commhub_sip_responses_total", "Final responses sent", ["method", "status"])
MALFORMED = Counter("commhub_sip_malformed_total", "Messages that are no SIP", ["outcome"])
RETRANSMISSIONS = Counter("commhub_sip_retransmissions_total", "Messages sent again", ["kind"])
ABSORBED = Counter(
    "commhub_sip_absorbed_total", "Retransmissions received and answered from memory"
)
STRAYS = Counter("commhub_sip_strays_total", "Messages that belong to nothing we know", ["kind"])
AUTH_FAILURES = Counter("commhub_sip_auth_failures_total", "Wrong digests", ["method"])
AUTH_THROTTLED = Counter(
    "commhub_sip_auth_throttled_total", "Requests refused because their source guessed too often"
)
AUTH_LOCKOUTS = Counter(
    "commhub_sip_auth_lockouts_total", "Doors closed after too many wrong digests", ["whose"]
)
AUTH_REPLAYS = Counter("commhub_sip_auth_replays_total", "Digests seen before (RFC 7616 nc)")
THROTTLED = Counter(
    "commhub_sip_throttled_total",
    "Messages dropped unread because their source says too much",
    ["who"],
)
THROTTLED_SOURCES = Gauge("commhub_sip_throttled_sources", "Sources that are dropped from now")
GUESTS = Counter("commhub_sip_guests_total", "Calls of other hubs to users made for them")
CHALLENGED = Counter(
    "commhub_sip_challenged_total",
    "Requests without credentials, answered without state",
    ["method"],
)
SHED = Counter("commhub_sip_shed_total", "Calls turned away while the hub was behind its work")
OVERLOADED = Counter("commhub_sip_overloaded_total", "Requests refused with 503")
LEGS_ENDED = Counter("commhub_sip_legs_ended_total", "Legs ended", ["cause"])
CORE_FAILURES = Counter(
    "commhub_sip_core_failures_total", "Reports the core could not take", ["report"]
)
DIGITS = Counter("commhub_sip_digits_total", "Keys pressed that came as INFO", ["outcome"])
EARLY_MEDIA = Counter("commhub_sip_early_media_total", "Legs that were heard before they answered")
WATCHES = Gauge("commhub_sip_watches", "Subscriptions to other phones' calls")
NOTIFIES = Counter("commhub_sip_notifies_total", "States told to watchers", ["outcome"])
TEXTS = Counter("commhub_sip_texts_total", "MESSAGE requests", ["outcome"])
TEXTS_SENT = Counter("commhub_sip_texts_sent_total", "Texts to phones, by outcome", ["outcome"])
LEGS = Gauge("commhub_sip_legs", "Legs this edge carries now")
CONNECTIONS = Gauge("commhub_sip_connections", "Stream connections open now", ["transport"])
CONNECTIONS_REFUSED = Counter(
    "commhub_sip_connections_refused_total", "Connections not accepted", ["reason"]
)
CONNECTIONS_DROPPED = Counter(
    "commhub_sip_connections_dropped_total", "Connections we ended for a fault", ["reason"]
)
CONNECT_FAILURES = Counter(
    "commhub_sip_connect_failures_total", "Connections we could not open", ["transport"]
)
TLS_HANDSHAKES_FAILED = Counter(
    "commhub_sip_tls_handshakes_failed_total", "Peers that did not come through a handshake"
)
TLS_RELOADS = Counter("commhub_sip_tls_reloads_total", "Certificates read again", ["outcome"])
TLS_EXPIRES = Gauge(
    "commhub_sip_tls_certificate_expires_seconds",
    "When our certificate ends, in seconds since 1970",
)

PICTURES = Gauge("commhub_sip_pictures", "Legs with a picture in a room")
PICTURES_FAILED = Counter(
    "commhub_sip_pictures_failed_total", "Pictures that could not be had; their calls went on"
)
