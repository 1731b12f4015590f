"""Calls: bridged calls of unlike endpoints, as the desk and the phones see them."""
