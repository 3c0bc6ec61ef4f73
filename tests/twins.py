"""Slow, plain doubles of fast operations: NumPy loops that read as the definition."""

import numpy as np


def orthogonality(matrices):
    """Mean over the batch of ||A A^T - I||^2, one matrix at a time, in float64."""
    total = 0.0
    for a in np.asarray(matrices, np.float64):
        gap = a @ a.T - np.eye(len(a))
        total += (gap**2).sum()
    return total / len(matrices)


def pointwise(x, kernel, bias):
    """A linear map of each point by itself, (B, N, K) -> (B, N, C)."""
    out = np.zeros((*x.shape[:2], kernel.shape[1]))
    for b in range(x.shape[0]):
        for n in range(x.shape[1]):
            out[b, n] = np.asarray(x[b, n], np.float64) @ kernel + bias
    return out


def transform(points, matrices):
    """Each cloud's points times its own matrix."""
    return np.stack([np.asarray(p, np.float64) @ a for p, a in zip(points, matrices, strict=True)])
