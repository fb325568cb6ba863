"""The guardian: the only process that does harm, and the one that always undoes it."""
