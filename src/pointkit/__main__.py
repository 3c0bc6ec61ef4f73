"""``python -m pointkit`` runs the command ``pointkit``."""

from pointkit.cli import main

main()
