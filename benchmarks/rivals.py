"""The reference systems as people write them: layer by layer in Keras, and by hand in PyTorch, for comparison.

Both have the corrected orthogonality penalty, so that every contender does the same work. They use nothing of pointkit.
"""


def keras_system(system, num_classes):
    """System A or B in Keras, layer by layer: Conv1D of width 1, batch norm, ReLU, global maximum."""
    import keras
    from keras import layers, ops

    class Orthogonal(keras.regularizers.Regularizer):
        def __init__(self, size):
            self.size = size

        def __call__(self, x):
            x = ops.reshape(x, (-1, self.size, self.size))
            gap = ops.matmul(x, ops.transpose(x, (0, 2, 1))) - ops.eye(self.size)
            return 0.001 * ops.sum(ops.square(gap))  # Keras divides an activity penalty by the batch size

    def conv(x, units):
        x = layers.Conv1D(units, 1)(x)
        return layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))

    def dense(x, units):
        x = layers.Dense(units)(x)
        return layers.Activation("relu")(layers.BatchNormalization(momentum=0.9)(x))

    def transformed(x, size, widths, dense_widths):
        h = x
        for units in widths:
            h = conv(h, units)
        h = layers.GlobalMaxPooling1D()(h)
        for units in dense_widths:
            h = dense(h, units)
        start = keras.initializers.Constant(ops.convert_to_numpy(ops.reshape(ops.eye(size), (-1,))))
        h = layers.Dense(
            size * size, kernel_initializer="zeros", bias_initializer=start, activity_regularizer=Orthogonal(size)
        )(h)
        return layers.Dot(axes=(2, 1))([x, layers.Reshape((size, size))(h)])

    points = keras.Input((None, 3))
    if system == "a":
        x = transformed(points, 3, (32, 64, 512), (256, 128))
        x = conv(conv(x, 32), 32)
        x = transformed(x, 32, (32, 64, 512), (256, 128))
        x = layers.GlobalMaxPooling1D()(conv(conv(conv(x, 32), 64), 512))
        x = layers.Dropout(0.3)(dense(x, 256))
        x = layers.Dropout(0.3)(dense(x, 128))
        return keras.Model(points, layers.Dense(num_classes)(x))
    x = transformed(points, 3, (64, 128, 1024), (512, 256))
    f64 = conv(x, 64)
    f128 = conv(f64, 128)
    f128_2 = conv(f128, 128)
    turned = transformed(f128_2, 128, (64, 128, 1024), (512, 256))
    f512 = conv(turned, 512)
    pooled = layers.GlobalMaxPooling1D(keepdims=True)(conv(f512, 2048))
    tiled = layers.Lambda(lambda pair: ops.repeat(pair[0], ops.shape(pair[1])[1], 1), output_shape=(None, 2048))(
        [pooled, points]
    )
    x = conv(layers.Concatenate()([f64, f128, f128_2, turned, f512, tiled]), 128)
    return keras.Model(points, layers.Conv1D(num_classes, 1)(x))


def torch_system(system, num_classes):
    """System A or B in plain PyTorch, channels first; returns logits and the T-Nets' matrices."""
    import torch
    from torch import nn

    def conv(k, c):
        return nn.Sequential(nn.Conv1d(k, c, 1), nn.BatchNorm1d(c), nn.ReLU(inplace=True))

    def dense(k, c, *more):
        return nn.Sequential(nn.Linear(k, c), nn.BatchNorm1d(c), nn.ReLU(inplace=True), *more)

    class TNet(nn.Module):
        def __init__(self, k, widths, dense_widths):
            super().__init__()
            self.k = k
            self.convs = nn.Sequential(*(conv(a, b) for a, b in zip((k, *widths), widths, strict=False)))
            pairs = zip((widths[-1], *dense_widths), dense_widths, strict=False)
            self.denses = nn.Sequential(*(dense(a, b) for a, b in pairs))
            self.out = nn.Linear(dense_widths[-1], k * k)
            nn.init.zeros_(self.out.weight)
            self.out.bias.data = torch.eye(k).flatten()

        def forward(self, x):
            t = self.out(self.denses(self.convs(x).amax(2))).view(-1, self.k, self.k)
            return torch.bmm(t.transpose(1, 2), x), t

    class A(nn.Module):
        def __init__(self):
            super().__init__()
            self.t1, self.t2 = TNet(3, (32, 64, 512), (256, 128)), TNet(32, (32, 64, 512), (256, 128))
            self.first = nn.Sequential(conv(3, 32), conv(32, 32))
            self.second = nn.Sequential(conv(32, 32), conv(32, 64), conv(64, 512))
            drop = (nn.Dropout(0.3),)
            self.head = nn.Sequential(dense(512, 256, *drop), dense(256, 128, *drop), nn.Linear(128, num_classes))

        def forward(self, points):
            x, t1 = self.t1(points.transpose(1, 2))
            x, t2 = self.t2(self.first(x))
            return self.head(self.second(x).amax(2)), (t1, t2)

    class B(nn.Module):
        def __init__(self):
            super().__init__()
            self.t1, self.t2 = TNet(3, (64, 128, 1024), (512, 256)), TNet(128, (64, 128, 1024), (512, 256))
            self.c1, self.c2, self.c3 = conv(3, 64), conv(64, 128), conv(128, 128)
            self.c4, self.c5 = conv(128, 512), conv(512, 2048)
            self.head = nn.Sequential(conv(3008, 128), nn.Conv1d(128, num_classes, 1))

        def forward(self, points):
            x, t1 = self.t1(points.transpose(1, 2))
            f64 = self.c1(x)
            f128 = self.c2(f64)
            f128_2 = self.c3(f128)
            turned, t2 = self.t2(f128_2)
            f512 = self.c4(turned)
            pooled = self.c5(f512).amax(2, keepdim=True).expand(-1, -1, points.shape[1])
            return self.head(torch.cat([f64, f128, f128_2, turned, f512, pooled], 1)), (t1, t2)

    torch.manual_seed(0)
    return A() if system == "a" else B()


def torch_step(system, num_classes, compiled, dtype="float32"):
    """A function of (points, labels) that takes one Adam step in plain PyTorch; returns the loss."""
    import torch
    import torch.nn.functional as F

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = torch_system(system, num_classes).to(device).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def penalty(t):
        gap = torch.bmm(t, t.transpose(1, 2)) - torch.eye(t.shape[-1], device=t.device)
        return 0.001 * gap.square().sum((1, 2)).mean()

    def loss_of(points, labels):
        with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
            logits, matrices = model(points)
        logits, matrices = logits.float(), [matrix.float() for matrix in matrices]
        return F.cross_entropy(logits, labels) + sum(map(penalty, matrices))

    loss_of = torch.compile(loss_of) if compiled else loss_of

    def step(points, labels):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(points, labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    def prepared(points, labels):
        return torch.from_numpy(points).to(device), torch.from_numpy(labels).long().to(device)

    return step, prepared


def onnx_file(system, num_classes, points, path):
    """Write the PyTorch system as ONNX, for inference: any batch size of clouds of as many points."""
    import torch

    model = torch_system(system, num_classes).eval()
    wrapped = torch.nn.Sequential(model)
    wrapped.forward = lambda x: model(x)[0]
    torch.onnx.export(
        wrapped,
        (torch.zeros(2, points, 3),),
        str(path),
        input_names=["points"],
        output_names=["logits"],
        dynamic_axes={"points": {0: "b"}, "logits": {0: "b"}},
        dynamo=False,
    )
