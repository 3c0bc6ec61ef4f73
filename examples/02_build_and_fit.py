"""From files to a small Keras network of your own: prepare, open, build, compile, fit.

    python examples/02_build_and_fit.py [FOLDER]

The set is small and the training short, so the accuracy means little. The calls are those of a real training.
One line builds the network that comes with pointkit: ``pointkit.models.classifier("pointnet", num_classes=3)``.
"""

import pathlib
import sys
import tempfile

from pointkit import nn, store, synthetic
from pointkit.loader import Batches
from pointkit.prepare import prepare

# isort: split
import keras  # after pointkit, which tells it to run on JAX where nobody has chosen a backend


def network(num_classes: int) -> keras.Model:
    """Points (B, N, 3) -> logits (B, num_classes): each point alone, the maximum over points, one linear layer."""
    points = keras.Input((None, 3), name="points")
    x = nn.Jitter(0.005, seed=0)(points)
    for units in (32, 128):
        x = nn.Pointwise(units)(x)  # (B, N, units)
        x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalMaxPooling1D()(x)  # (B, 128): the order of the points is forgotten here
    return keras.Model(points, keras.layers.Dense(num_classes)(x))


def main(folder: pathlib.Path) -> None:
    synthetic.write(folder / "shapes", shapes_per_class=20, classes=("airplane", "lamp", "mug"))
    prepare(folder / "shapes", folder / "store", num_points=256)
    shapes = store.open(folder / "store")
    print(f"classes: {', '.join(shapes.classes)}; training shapes: {len(shapes.select('train'))}")

    keras.utils.set_random_seed(0)
    model = network(len(shapes.classes))
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        # The last batch is filled up with shapes of weight 0. This mean leaves them out.
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=["accuracy"],
    )
    training = Batches(shapes, "train", num_points=128, batch_size=16, training=True, seed=0)
    validation = Batches(shapes, "val", num_points=128, batch_size=16)
    history = model.fit(training, validation_data=validation, epochs=10, shuffle=False, verbose=0).history
    print(f"loss {history['loss'][0]:.2f} in the first epoch, {history['loss'][-1]:.2f} in the last")
    print(f"validation accuracy {history['val_accuracy'][-1]:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(pathlib.Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(pathlib.Path(temporary))
