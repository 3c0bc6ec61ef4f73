"""Train a run and let it name files that it has never seen.

    python examples/03_predict.py [FOLDER]

With a run of your own you need only the last lines of ``main``. A few small epochs show how it goes here. For
answers worth having, give the training the time that it takes.
"""

import pathlib
import sys
import tempfile

import pointkit
from pointkit import store, synthetic
from pointkit.config import Settings
from pointkit.prepare import prepare
from pointkit.train import train


def main(folder: pathlib.Path) -> None:
    synthetic.write(folder / "shapes", shapes_per_class=20, classes=("airplane", "lamp", "mug"))
    prepare(folder / "shapes", folder / "store", num_points=256)
    settings = Settings(num_points=128, batch_size=8, epochs=6, momentum=0.7, schedule="cosine")
    outcome = train(store.open(folder / "store"), folder / "run", settings)
    print(f"trained {len(outcome.history)} epochs, kept epoch {outcome.best_epoch}")

    synthetic.write(folder / "new", seed=1, shapes_per_class=10, classes=("airplane", "lamp", "mug"))
    predictor = pointkit.Predictor(folder / "run")
    for file, answer in predictor.files(sorted((folder / "new").glob("*/test/*.ply"))):
        if isinstance(answer, Exception):  # one bad file does not stop the others
            print(f"{file.name}: {answer}")
        else:
            print(f"{file.name}: {answer.class_name} {answer.probability:.2f}, then {answer.runner_up}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(pathlib.Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(pathlib.Path(temporary))
