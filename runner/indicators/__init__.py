"""Indicators beside those of the load: read on a schedule, every failure a sample that says so."""

from runner.indicators.sampler import Sampler

__all__ = ["Sampler"]
