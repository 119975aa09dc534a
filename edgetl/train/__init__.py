"""Training: one plain loop, what it optimises, and what its figures mean."""
