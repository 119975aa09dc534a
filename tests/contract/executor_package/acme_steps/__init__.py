"""An executor, and stages whose nodes add numbers, wait, fail or kill their process."""
