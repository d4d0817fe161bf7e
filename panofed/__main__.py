"""`python -m panofed`: how this program starts its own parts."""

from __future__ import annotations

from panofed.cli import main

if __name__ == "__main__":
    main()
