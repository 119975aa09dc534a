"""Labelled images: where they come from, how they are split, stored and fed to training."""
