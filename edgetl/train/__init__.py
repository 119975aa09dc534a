"""Training: one plain loop, its objectives, and the figures it reports."""
