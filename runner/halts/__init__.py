"""When a run must stop: rules that trip and evidence that dries up."""

from runner.halts.rules import HaltRules as HaltRules
