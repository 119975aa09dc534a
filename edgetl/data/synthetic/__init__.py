"""Synthetic images of small parts on a conveyor belt, alone or in scenes with boxes."""
