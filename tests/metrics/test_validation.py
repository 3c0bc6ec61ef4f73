"""What a training measures after each epoch."""

import numpy as np
import pytest

from pointkit.metrics.validation import PartScores


def test_a_part_that_no_validation_shape_has_chooses_no_epoch():
    """Category "a" has three parts, of which the third is in no shape; each shape alone lacks a part, which counts."""
    scores = PartScores({"a": range(3)})
    truth = np.array([[0, 0, 1, 1], [0, 0, 0, 0]], np.int32)
    logits = np.eye(3, dtype=np.float32)[np.array([[0, 0, 1, 1], [0, 0, 0, 2]])]
    scores.add(logits, truth, np.ones_like(truth, bool), np.zeros(2, np.int32))
    # The first shape: 1 and 1. The second: 3/4, and 1 for the part that it lacks. The third part counts nowhere.
    assert scores.figures(8.0)["val_miou"] == pytest.approx((1 + (0.75 + 1) / 2) / 2)
