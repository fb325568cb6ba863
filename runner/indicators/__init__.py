"""Indicators beside those of the load: read on a schedule, every failure a sample that says so."""

from runner.indicators.expected import ask_expected
from runner.indicators.sampler import Sampler

__all__ = ["Sampler", "ask_expected"]
