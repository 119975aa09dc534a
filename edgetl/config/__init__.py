"""What a user writes: recipes, targets and calibration recipes, checked as a whole."""
