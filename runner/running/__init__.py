"""A run while it lives: its order, its watch and brake, its targets and loads, and what it leaves to undo."""
