"""Ready-made recipes: ``edgetl run NAME`` without a file of one's own."""
