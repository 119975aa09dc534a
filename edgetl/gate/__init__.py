"""What CI trusts: a bundle checked case by case on a device, against limits and a baseline."""
