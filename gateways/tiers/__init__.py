"""Tiers (层级): the links between neighbouring hubs. `docs/protocols/tiers.md` is the wire, `commhub/ports/tiers.py` what the core sees of it.

`keys` proves who a hub is, `frames` is what is written, `link` one connection, `dialling` keeps those we make, `door` takes those made
to us, and `links` is the face of all of it.
"""
