"""The artifact store: immutable folders with a manifest, addressed by their request."""
