"""Squall: break a service on purpose, under load, and say whether it held."""

__version__ = "0.1.0"
