"""What the links count."""

from prometheus_client import Counter, Gauge

FRAMES = Counter("commhub_tiers_frames_total", "Frames on links", ["way", "kind"])
UP = Gauge("commhub_tiers_link_up", "1 while the link to the neighbour is up", ["peer"])
REFUSED = Counter("commhub_tiers_links_refused_total", "Links refused, by code", ["code"])
