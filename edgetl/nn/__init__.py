"""Pure torch: layers and losses. No files, no state, no randomness."""
