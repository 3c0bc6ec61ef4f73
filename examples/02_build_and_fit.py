"""From files to a Keras model of your own training: prepare, open, build, compile, fit.

    python examples/02_build_and_fit.py [FOLDER]

The set is small and the training short, so the accuracy means nothing; the calls are those of a real one.
"""

import pathlib
import sys
import tempfile

from pointkit import models, store
from pointkit.datasets import synthetic
from pointkit.loader import Batches
from pointkit.prepare import prepare

# isort: split
import keras  # after pointkit, which tells it to run on JAX where nobody has chosen a backend


def main(folder: pathlib.Path) -> None:
    synthetic.write(folder / "shapes", shapes_per_class=20, classes=("airplane", "lamp", "mug"))
    prepare(folder / "shapes", folder / "store", num_points=256)

    shapes = store.open(folder / "store")
    print(f"classes: {', '.join(shapes.classes)}; training shapes: {len(shapes.select('train'))}")

    model = models.classifier("pointnet", num_classes=len(shapes.classes), seed=0)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        # The last batch is filled up with shapes of weight 0; this mean leaves them out.
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight"),
        weighted_metrics=["accuracy"],
    )
    training = Batches(shapes, "train", num_points=128, batch_size=16, training=True, seed=0)
    validation = Batches(shapes, "val", num_points=128, batch_size=16)
    history = model.fit(training, validation_data=validation, epochs=2, shuffle=False, verbose=0).history
    for epoch, (loss, accuracy) in enumerate(zip(history["loss"], history["accuracy"], strict=True), 1):
        print(f"epoch {epoch}: loss {loss:.3f}, accuracy {accuracy:.2f}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(pathlib.Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(pathlib.Path(temporary))
