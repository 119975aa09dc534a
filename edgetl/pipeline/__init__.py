"""Order stages, decide which must run, run them, explain why."""
