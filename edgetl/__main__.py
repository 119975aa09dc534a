"""``python -m edgetl`` and the ``edgetl`` command."""

from __future__ import annotations

from edgetl.cli import main

if __name__ == "__main__":
    main()
