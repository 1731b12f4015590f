"""Alembic's scripts, part of the wheel. A revision stands by itself: it never imports today's tables."""
