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


def moments(x):
    """Mean (B, K) and covariance (B, K, K) of each cloud, point by point, in float64."""
    x = np.asarray(x, np.float64)
    mean = np.stack([sum(cloud) / len(cloud) for cloud in x])
    covariance = [sum(np.outer(p - m, p - m) for p in cloud) / len(cloud) for cloud, m in zip(x, mean, strict=True)]
    return mean, np.stack(covariance)


def normed_relu(y, gamma, beta, epsilon):
    """Batch norm over all points, and ReLU: (B, N, C) -> the same, mean (C,) and variance (C,)."""
    y = np.asarray(y, np.float64)
    mean, variance = y.mean((0, 1)), y.var((0, 1))
    return np.maximum((y - mean) / np.sqrt(variance + epsilon) * gamma + beta, 0), mean, variance
