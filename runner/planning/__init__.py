"""Everything before a run: a scenario worked out against an environment, what it can prove, what it would leave standing."""
