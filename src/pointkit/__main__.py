"""``python -m pointkit`` is ``pointkit``."""

from pointkit.cli import main

main()
