"""Synthetic images of small parts on a conveyor belt: single parts, or scenes with boxes."""
