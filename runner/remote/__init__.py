"""Engines and clusters, spoken to by the standard library alone: hands must stay light."""
