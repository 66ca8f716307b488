"""Transfers: from a vendor into a vault."""
