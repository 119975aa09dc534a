"""Reports for people, made from facts."""
