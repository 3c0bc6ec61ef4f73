"""Networks that see neighbourhoods as people write them in plain PyTorch, for comparison. They use nothing of pointkit.

Features come first, (B, K, N), and edges are arrays (B, K, N, M) of all pairs.
"""

import public_balls
import torch
from torch import nn
from torch.nn import functional


def nearest(x, count):
    """The nearest points of each, (B, N, count), by the distances of all pairs of x (B, K, N)."""
    product = torch.matmul(x.transpose(2, 1), x)
    length = (x**2).sum(1)
    return (2 * product - length[:, :, None] - length[:, None]).topk(count, dim=-1).indices


def rows(x, index):
    """The features of the points that index (B, N, M) names, (B, K, N, M)."""
    size, features, n = x.shape
    flat = (index + torch.arange(size, device=x.device)[:, None, None] * n).flatten()
    return x.transpose(2, 1).reshape(size * n, features)[flat].view(*index.shape, features).permute(0, 3, 1, 2)


class EdgeConv(nn.Module):
    """The pairs (x_j - x_i, x_i), one linear map, norm, leaky ReLU, and the maximum over the neighbours."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv = nn.Conv2d(2 * inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x, index):
        own = x[..., None].expand(-1, -1, -1, index.shape[2])
        edges = torch.cat((rows(x, index) - own, own), 1)
        return functional.leaky_relu(self.norm(self.conv(edges)), 0.2).amax(-1)


class GeometricEdgeConv(nn.Module):
    """The same by torch_geometric: a list of edges, and a perceptron on each."""

    def __init__(self, inputs, outputs):
        super().__init__()
        from torch_geometric.nn import EdgeConv as Conv

        layers = nn.Linear(2 * inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.LeakyReLU(0.2)
        self.conv = Conv(nn.Sequential(*layers), aggr="max")

    def forward(self, x, index):
        size, features, n = x.shape
        start = torch.arange(size)[:, None, None] * n
        to = (torch.arange(n)[None, :, None] + start).expand(index.shape)
        edges = torch.stack([(index + start).flatten(), to.flatten()])
        return self.conv(x.transpose(2, 1).reshape(size * n, features), edges).view(size, n, -1).transpose(2, 1)


class DGCNN(nn.Module):
    def __init__(self, classes, conv=EdgeConv, neighbours=20):
        super().__init__()
        self.neighbours = neighbours
        widths = ((3, 64), (64, 64), (64, 128), (128, 256))
        self.blocks = nn.ModuleList(conv(inputs, outputs) for inputs, outputs in widths)
        self.last = nn.Sequential(nn.Conv1d(512, 1024, 1, bias=False), nn.BatchNorm1d(1024), nn.LeakyReLU(0.2))
        self.head = nn.Sequential(
            nn.Linear(2048, 512, bias=False), nn.BatchNorm1d(512), nn.LeakyReLU(0.2), nn.Dropout(0.5),
            nn.Linear(512, 256), nn.BatchNorm1d(256), nn.LeakyReLU(0.2), nn.Dropout(0.5),
            nn.Linear(256, classes),
        )  # fmt: skip

    def forward(self, x):
        found = []
        for block in self.blocks:
            x = block(x, nearest(x, self.neighbours))
            found.append(x)
        x = self.last(torch.cat(found, 1))
        return self.head(torch.cat((x.amax(-1), x.mean(-1)), 1))


def dgcnn(classes, geometric):
    return DGCNN(classes, GeometricEdgeConv if geometric else EdgeConv)


MAKERS = {
    "dgcnn": dgcnn,
    "pointnet2": lambda classes, geometric: public_balls.pointnet2(classes),
    "pointnext": lambda classes, geometric: public_balls.pointnext(classes),
}


def step(network, classes, points, labels, lists=(), geometric=False):
    """A function that takes a training step with Adam on points (B, N, 3) and labels (B,), and waits for it.

    With ``lists`` (B, Q, M), as many as the network has stages, it does not look for neighbours.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = MAKERS[network](classes, geometric).to(device)
    if lists:
        model.lists = [torch.tensor(each, device=device).long() for each in lists]
    x = torch.tensor(points, device=device).transpose(2, 1).contiguous()
    y = torch.tensor(labels, device=device).long()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)

    def once():
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return once
