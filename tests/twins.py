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


def halves(points, rows, levels, level=0, part=0):
    """The rows of a cloud (N, D), all of different coordinates, in 2 ** levels parts.

    Each part is halved across its longest side. The i-th of P parts begins at i N / P, rounded down.
    """
    if level == levels:
        return [set(rows)]
    extent = points[rows].max(0) - points[rows].min(0)
    rows = sorted(rows, key=lambda row: points[row, extent.argmax()])
    middle = len(points) * (2 * part + 1) // 2 ** (level + 1) - len(points) * part // 2**level
    left = halves(points, rows[:middle], levels, level + 1, 2 * part)
    return left + halves(points, rows[middle:], levels, level + 1, 2 * part + 1)


def nearest(points, query, count):
    """Rows of the ``count`` nearest points (N, D) to one query, by sorting all distances."""
    return sorted(range(len(points)), key=lambda row: float(((points[row] - query) ** 2).sum()))[:count]


def gathered_maximum(y, index):
    """The maximum over each centre's neighbours' rows, and the row that won it, the first of equals: (B, Q, C) each."""
    top = np.empty((*index.shape[:2], y.shape[2]))
    won = np.empty(top.shape, int)
    for b, q, c in np.ndindex(top.shape):
        values = [y[b, j, c] for j in index[b, q]]
        top[b, q, c] = max(values)
        won[b, q, c] = index[b, q][values.index(max(values))]
    return top, won


def edge_block(x, index, kernel, bias, gamma, beta, epsilon, positions=None, edge="pair", slope=0.0):
    """Linear + batch norm over all edges + (leaky) ReLU + maximum, edge by edge: (B, Q, C), mean and variance (C,)."""
    y = np.empty((*index.shape, kernel.shape[1]))
    for b, q, m in np.ndindex(index.shape):
        i, j = q, index[b, q, m]
        own, other = (np.asarray(x[b, row], np.float64) for row in (i, j))
        features = {"pair": [own, other - own], "difference": [other - own], "neighbour": [other]}[edge]
        if positions is not None:
            features = [np.asarray(positions[b, j], np.float64) - positions[b, i], *features]
        y[b, q, m] = np.concatenate(features) @ kernel + bias
    mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
    z = (y - mean) / np.sqrt(variance + epsilon) * gamma + beta
    return np.where(z > 0, z, slope * z).max(2), mean, variance
