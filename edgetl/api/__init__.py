"""What ``import edgetl`` offers: functions with the names of the commands, and typed results.

They check their arguments, print nothing unless requested, and raise `EdgetlError`. The command
line turns options into calls of these functions and prints the results. No module here imports a
framework, or numpy, at the top.
"""
