"""A network is one file and one entry: the families of ``tests/families.py`` through every command, on both tasks."""

import json

import numpy as np
import pytest

from pointkit import formats, models
from pointkit.cli import run
from pointkit.cloud import PointCloud
from pointkit.models import families
from pointkit.prepare import prepare
from tests import shapes

TRAINING = ("--num-points", "32", "--batch-size", "8", "--epochs", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Labelled clouds of two categories, as a user would have them."""
    folder = tmp_path_factory.mktemp("families") / "mine"
    for row, sample in shapes.tiny_labelled(codes={"box": [1, 2], "stick": [0, 1, 2]}):
        path = folder / f"{row.ident}.ply"
        path.parent.mkdir(parents=True, exist_ok=True)
        fields = dict(zip(("nx", "ny", "nz"), sample.features.T, strict=True))
        formats.write(path, PointCloud(sample.points, fields, sample.labels))
    return folder


def done(arguments, capsys):
    """What a command says on its standard output, after it went well."""
    code = run(list(map(str, arguments)))
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def refused(arguments, capsys, *words):
    """The one line in which a command is refused."""
    assert run(list(map(str, arguments))) == 2
    said = capsys.readouterr()
    [line] = [line for line in said.err.splitlines() if line.startswith("pointkit: ")]
    assert "Traceback" not in said.err
    for word in words:
        assert word in line
    return line


@pytest.mark.parametrize("task", ["classification", "parts"])
@pytest.mark.parametrize(
    ("model", "own"),
    [("small", ("--units", "5")), pytest.param("mean", ("--centre", "yes"), marks=pytest.mark.slow)],
)
def test_a_network_of_ones_own_goes_through_every_command(model, own, task, folder, tmp_path, capsys):
    store, trained, output = tmp_path / "store", tmp_path / "run", tmp_path / "out"
    file = folder / "stick" / "test" / "stick_0000.ply"
    done(["prepare", folder, "-o", store, "--task", task, "--features", "normals"], capsys)
    flags = [*TRAINING, "--model", model, *own, "--features", "normals"]
    said = done(["train", store, "-o", trained, *flags], capsys)
    assert f"model={model}" in said
    assert f"{own[0].removeprefix('--')}={own[1]}" in said
    assert "widths" not in said

    report = json.loads(done(["evaluate", trained, "--json"], capsys))
    assert report["task"] == task
    assert report["run"]["settings"]["model"] == model
    assert f"--model {model}" in report["run"]["command"]
    assert (trained / "report.html").is_file()

    answer = json.loads(
        done(["predict", trained, file, "--json", *(["-o", output] if task == "parts" else [])], capsys)
    )
    if task == "parts":
        labelled = formats.read(answer["output"])
        assert set(np.unique(labelled.fields["label"])) <= {0, 1, 2}
    else:
        assert answer["class"] in ("box", "stick")

    about = json.loads(done(["info", trained, "--json"], capsys))
    assert about["settings"][own[0].removeprefix("--")] == (int(own[1]) if own[1].isdigit() else own[1])
    explain = ["predict", trained, file, "--explain", "-o", tmp_path / "explained"]
    named = families.find(model).maxima_alone
    assert ("points decided" if named else "points hold half of the influence") in done(explain, capsys)

    flags[flags.index(model)] = "pointnet"
    refused(["train", store, "-o", trained, *flags], capsys, f"{own[0].removeprefix('--')} is a setting of {model}")
    flags = [*TRAINING, "--features", "normals"]
    refused(["train", store, "-o", trained, *flags], capsys, str(trained), "model of a run cannot change")


def test_a_recipe_of_ones_own_network_is_described_and_checked(tmp_path, capsys):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('model = "small"\nunits = 7\ntask = "parts"\n')
    about = json.loads(done(["info", "--recipe", recipe, "--json"], capsys))
    assert {layer["name"]: layer["shape"] for layer in about["layers"]}["pooled"] == [None, 7]
    recipe.write_text('model = "small"\nwidths = "half"\n')
    refused(["info", "--recipe", recipe], capsys, str(recipe), "widths is a setting of pointnet and", "not of small")
    recipe.write_text('model = "small"\nunit = 7\n')
    refused(["info", "--recipe", recipe], capsys, str(recipe), "unknown key 'unit'", "did you mean 'units'?")


def test_help_says_whose_a_setting_is(capsys):
    said = " ".join(done(["train", "--help"], capsys).replace("│", " ").split())
    pointnet, small = said.index("Settings of pointnet alone"), said.index("Settings of small alone")
    assert pointnet < said.index("T-Nets, which turn points and features")
    assert small < said.index("its pooled features [16]")


@pytest.mark.parametrize("build", [models.classifier, models.segmenter])
def test_in_pieces_where_points_meet_in_maxima_alone(build):
    points = np.random.default_rng(0).standard_normal((2, 50, 3)).astype("float32")
    model = build("small", 4, seed=0)
    np.testing.assert_allclose(models.InParts(model, 16)(points), model.predict_on_batch(points), rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="points must meet in pooled maxima alone, here they may meet in"):
        models.InParts(build("mean", 4, seed=0))


def test_exact_and_layer_by_layer_have_the_same_weights():
    settings = {"model": "small", "dropout": 0.3, "momentum": 0.9, "seed": 3, "units": 4}
    exact, plain = (models.build(settings, 3, exact=exact) for exact in (True, False))
    assert [layer.exact for layer in (*exact.layers, *plain.layers) if hasattr(layer, "exact")] == [True, False]
    for one, other in zip(exact.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_no_family_is_called_is_refused_with_a_suggestion():
    with pytest.raises(ValueError, match=r"model must be one of pointnet, .*got 'pointnett' \(did you mean 'pointnet'"):
        models.classifier("pointnett", 3)


def test_families_are_asked_without_keras():
    import subprocess
    import sys

    code = "import sys; from pointkit.models import FAMILIES, families; families.find('pointnet'); "
    code += "from pointkit import config; config.Settings(); print('keras' in sys.modules, 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False False\n"


def test_prepared_for_another_network_the_store_is_the_same(folder, tmp_path):
    """Nothing in a store is any network's."""
    made = prepare(folder, tmp_path / "store", task="parts", workers=1)
    assert not {"model", *families.FAMILIES} & made.store.manifest.keys()
