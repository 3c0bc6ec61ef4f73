"""Two families of networks for tests, registered as anybody would register one: a file and an entry.

``small`` is quick to compile and has what matters in a training: batch norm, dropout, seeds, an own setting. In
``mean`` points meet in their mean, too, so that its critical points cannot be named, and no cloud computed in pieces.
"""

from pointkit.models.families import FAMILIES, Family
from pointkit.rules import Rule

FAMILIES["small"] = Family(
    "tests.small_network", {"units": Rule(16, "its pooled features", low=1, below=2**16)}, maxima_alone=True
)
FAMILIES["mean"] = Family("tests.mean_network", {"centre": Rule("yes", "whether it sees the mean", ("yes", "no"))})
