"""Ready-made recipes for ``edgetl run NAME``."""
