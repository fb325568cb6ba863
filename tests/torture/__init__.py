"""The torture chamber: everything that holds a fault is killed, stopped or starved, and the world must be as before."""
