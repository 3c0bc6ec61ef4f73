"""What a run's history.csv says."""

import csv


def read_history(path):
    """The rows of a run, as numbers."""
    with (path / "history.csv").open(newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]
