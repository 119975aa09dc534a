"""Order stages, decide what must run, run it, explain why."""
