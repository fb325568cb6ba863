"""A link: a TCP proxy of ours, in a process of its own, whose properties can be set and healed one by one."""
