"""Incidents (事件): registered, dispatched and followed until somebody has them. The service is in `service`."""
