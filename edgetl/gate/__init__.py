"""The CI gate: a bundle is checked case by case on a device, against limits and a baseline."""
