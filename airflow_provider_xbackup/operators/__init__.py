"""Operators: what starts something at a vendor."""
