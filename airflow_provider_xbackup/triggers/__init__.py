"""Triggers: what waits in the triggerer. Primitives and connection ids only."""
