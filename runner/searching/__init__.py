"""The search for the edge: the highest rate, or the largest fault, at which a scenario's expectations hold."""
