"""Artifacts by what was asked for: immutable folders with a manifest."""
