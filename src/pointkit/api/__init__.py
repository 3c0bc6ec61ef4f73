"""The commands as functions: ``pointkit.learn``, ``prepare``, ``train``, ``evaluate``, ``predict``, ``view``.

Their arguments are the words of the commands' flags. A path is text or a path; a store, a run or what one of these
functions returned may stand for its folder; a list may stand for words joined by commas. Each returns what it made,
which shows itself in a few lines, in a notebook with pictures. Nothing is printed, but notebooks have bars;
``progress`` decides otherwise. What the command line says beside its results goes to the logger ``pointkit``.
"""

from pointkit.api.collected import Answers
from pointkit.api.make import learn, prepare, train
from pointkit.api.use import evaluate, predict, view

__all__ = ["Answers", "evaluate", "learn", "predict", "prepare", "train", "view"]
