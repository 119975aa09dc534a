"""User files: recipes, targets and calibration recipes, validated as a whole."""
