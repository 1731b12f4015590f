"""Tiers (层级): street, district and city hubs that share incidents, people, voices and pictures."""
