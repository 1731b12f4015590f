"""Ports: small Protocols between the core and everything around it.

Outward (the core calls them; adapters implement them): store, decisions, channels, telephony, media, devices.
Inward (adapters call them; features implement them): inward. Wiring hands each side its other half.
"""
