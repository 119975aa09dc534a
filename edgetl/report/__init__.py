"""From facts to what people read."""
