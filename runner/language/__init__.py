"""The language: scenario and environment files become frozen values, or one line that says what is wrong."""

from runner.language.environment import read_environment
from runner.language.grammar import parse_assertion
from runner.language.remote_targets import usual_engine, usual_kubeconfig
from runner.language.scenario import read_scenario
from runner.language.schema import environment_schema, schema

__all__ = [
    "environment_schema",
    "parse_assertion",
    "read_environment",
    "read_scenario",
    "schema",
    "usual_engine",
    "usual_kubeconfig",
]
