"""What the WebRTC edge counts."""

from prometheus_client import Counter

OFFERS = Counter(
    "commhub_webrtc_offers_total", "Offers over WHIP and WHEP, by outcome", ["protocol", "outcome"]
)
RETURNS = Counter(
    "commhub_webrtc_returns_total",
    "Legs whose audio was lost, and whether their browser came back",
    ["outcome"],
)
REFUSED_TOKENS = Counter(
    "commhub_webrtc_refused_tokens_total",
    "Tokens that let nobody in: forged or expired, or for something else",
    ["why"],
)
