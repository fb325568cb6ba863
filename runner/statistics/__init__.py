"""What measurements mean: pure functions of rows, samples and assertions."""
