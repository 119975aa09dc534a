"""A package outside edgetl that adds one plug-in of each kind."""
