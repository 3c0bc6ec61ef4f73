"""Part segmentation without learning: each test shape takes its labels from the nearest training shape.

    python benchmarks/parts_baseline.py STORE [--split test]

STORE is a prepared set of parts. Every shape is centred and scaled to the unit sphere. The nearest training shape of
its category is the one of least Chamfer distance (the mean distance to the nearest point, both ways). Each point takes
the part of the nearest point there. A network should be better than this, by the metrics of its report.
"""

import argparse

import numpy as np
from scipy.spatial import cKDTree

from pointkit import metrics, preprocess, store


def carried(points, train):
    """The labels (N,) of points (N, 3), from the nearest of ``train``: (points, their tree, their labels) each."""
    tree = cKDTree(points)
    distances = [theirs.query(points)[0].mean() + tree.query(cloud)[0].mean() for cloud, theirs, _ in train]
    _, theirs, labels = train[int(np.argmin(distances))]
    return labels[theirs.query(points)[1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store")
    parser.add_argument("--split", choices=store.SPLITS, default="test")
    arguments = parser.parse_args()
    opened = store.open(arguments.store)
    train = {}
    for i in opened.select("train"):
        points = preprocess.normalise(opened.cloud(i))[0]
        labelled = opened.point_labels[opened.span(i)] != -1
        shape = points, cKDTree(points[labelled]), opened.point_labels[opened.span(i)][labelled]
        train.setdefault(opened.rows[i].class_name, []).append(shape)
    scores = []
    for i in opened.select(arguments.split):
        name = opened.rows[i].class_name
        first = opened.part_ids[name].start
        truth = opened.point_labels[opened.span(i)]
        answer = carried(preprocess.normalise(opened.cloud(i))[0], train[name])
        local = np.where(truth == -1, -1, truth - first)
        scores.append(metrics.score_shape(name, local, answer - first, len(opened.parts[name])))
    report = metrics.segmentation_report(scores, opened.parts)
    for category in report["categories"]:
        print(f"{category['name']:12} {100 * category['miou']:5.1f} mIoU of {category['shapes']} shapes")
    print(
        f"{report['num_shapes']} {arguments.split} shapes: instance mIoU {100 * report['instance_miou']:.1f}, "
        f"class mIoU {100 * report['class_miou']:.1f}, point accuracy {100 * report['point_accuracy']:.1f} %"
    )


if __name__ == "__main__":
    main()
