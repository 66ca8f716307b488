"""Sensors: what waits for a vendor."""
