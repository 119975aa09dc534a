"""The smallest task whose models take two rows of token ids instead of an image."""
