"""PointNeXt-S: the published layers. Its answers are tested in ``test_pointnet2.py``."""

import numpy as np

from pointkit import models
from tests.models.test_pointnet2 import blocks, learned


def encoder(channels, inputs, depth):
    """Parameters of the first map and of four set abstractions, each with its shortcut, by hand."""
    total = inputs * channels + channels
    for c in channels * 2 ** np.arange(4):
        total += blocks((c,) * (depth - 1) + (2 * c,), 3 + c, norm=2) + 2 * c * c + 2 * c
    return int(total)


def test_parameters_for_classes_are_those_of_the_published_layers():
    whole = encoder(32, 4, 2) + blocks((512, 512), 3 + 512, norm=2) + blocks((512, 256), 512, norm=2) + 256 * 15 + 15
    assert whole == 1_367_119  # 1.367 M, as the authors' configuration says, with each point's height as a feature
    biases = 512 + 256  # in our head, before the norm
    assert learned(models.classifier("pointnext", 15, num_features=1, blank=True)) == whole + biases
    assert learned(models.classifier("pointnext", 15, blank=True)) == whole + biases - 32


def test_parameters_for_parts_are_those_of_the_published_layers():
    pooled = 256 * 64 + 64 + 512 * 128 + 128
    back = sum(blocks((c, c), 3 * c, norm=2) for c in (256, 128, 64)) + blocks(
        (32, 32), 32 + 64 + 64 + 128 + 16, norm=2
    )
    head = blocks((96,), 96, norm=2) + 96 * 50 + 50
    whole = encoder(32, 7, 3) + pooled + back + head
    assert round(whole / 1e6, 1) == 1.0  # as the paper's table says
    model = models.segmenter("pointnext", 50, num_features=4, parts=[3] * 14 + [4] * 2, blank=True)
    category = 16 * 96 - 16 * 32  # which ours sees in the head
    assert learned(model) == whole + category + 96
