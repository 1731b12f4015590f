"""Browsers as legs: WHIP (RFC 9725) and WHEP over HTTP, and the driver of `desk:` endpoints, a dispatcher's own ear.

HTTP only carries the offer and the answer; ICE, DTLS and sound are the media worker's (`bridges/transport`).
"""
