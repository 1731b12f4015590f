"""Edges to people and other networks, one package a protocol; none knows another."""
