"""Metrics, NumPy only: what a report says about a network, each tested against a slow, plain twin."""

from pointkit.metrics.calibration import (
    Bin,
    Calibration,
    cross_entropy,
    expected_calibration_error,
    log_softmax,
    softmax,
)
from pointkit.metrics.classification import (
    PerClass,
    classification_report,
    confusion,
    mean_class_accuracy,
    mean_sd,
    overall_accuracy,
    per_class,
    wilson_interval,
)
from pointkit.metrics.ranking import auroc
from pointkit.metrics.segmentation import ShapeScore, restricted_answer, score_shape, segmentation_report

__all__ = [
    "Bin",
    "Calibration",
    "PerClass",
    "ShapeScore",
    "auroc",
    "classification_report",
    "confusion",
    "cross_entropy",
    "expected_calibration_error",
    "log_softmax",
    "mean_class_accuracy",
    "mean_sd",
    "overall_accuracy",
    "per_class",
    "restricted_answer",
    "score_shape",
    "segmentation_report",
    "softmax",
    "wilson_interval",
]
