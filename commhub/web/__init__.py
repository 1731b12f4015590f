"""The hub's HTTP application and its server: routers in, one address out. The built console is in static/."""
