"""Settings: what is refused, and in which words; recipes; what is chosen for a set of unknown size."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointkit import config
from pointkit.config import Settings
from pointkit.errors import PointkitError
from pointkit.models.families import FAMILIES
from pointkit.task import Classification, Parts

FOUR = Classification(("a", "b", "c", "d"))


def recipe(tmp_path, text):
    file = tmp_path / "mine.toml"
    file.write_text(text)
    return str(file)


def refused(call, *words):
    """The one line in which ``call`` is refused, after checking that the words are in it."""
    with pytest.raises(PointkitError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line
    return line


def test_every_default_stands_and_has_a_reason():
    own = [rule for family in FAMILIES.values() for rule in family.settings.values()]
    assert all(rule.help for rule in [*config.RULES.values(), *own])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", 0, ("at least 1", "0")),
        ("epochs", 1.5, ("type int", "1.5")),
        ("epochs", True, ("type int", "True")),
        ("epochs", "20", ("type int", "'20'")),
        ("batch_size", -3, ("at least 1", "-3")),
        ("num_points", 0, ("at least 1",)),
        ("dropout", 1, ("below 1", "got 1")),
        ("dropout", -0.1, ("at least 0",)),
        ("momentum", 1.0, ("below 1",)),
        ("average", 1.0, ("below 1",)),
        ("scale", 1.0, ("below 1",)),
        ("learning_rate", float("nan"), ("at least 0", "nan")),
        ("learning_rate", float("inf"), ("at least 0", "inf")),
        ("jitter", "much", ("type float", "'much'")),
        ("seed", -1, ("at least 0",)),
        ("seed", 2**31, ("below 2147483648",)),
        ("model", 3, ("type str", "3")),
        ("model", "pointnett", ("one of pointnet", "did you mean 'pointnet'?")),
        ("schedule", "step", ("one of constant, cosine", "'step'")),
        ("class_weight", "balance", ("did you mean 'balanced'?",)),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(name, value, words):
    refused(lambda: Settings(**{name: value}), name, *words)


@pytest.mark.parametrize(
    ("model", "own", "words"),
    [
        ("pointnet", {"widths": "papr"}, ("widths must be one of", "did you mean 'paper'?")),
        ("pointnet", {"penalty": "much"}, ("penalty must be of type float", "'much'")),
        ("pointnet", {"width": "half"}, ("width is no setting", "did you mean 'widths'?", "transforms, penalty")),
        ("pointnet", {"units": 8}, ("units is a setting of small, not of pointnet", "its own are widths")),
        ("small", {"widths": "half"}, ("widths is a setting of pointnet", "not of small", "its own are units")),
        ("small", {"units": 0}, ("units must be at least 1", "got 0")),
        (
            "pointreach",
            {"widths": "half"},
            ("widths must be one of standard, small, got 'half'", "'half' is of pointnet"),
        ),
    ],
)
def test_a_network_has_its_own_settings(model, own, words):
    refused(lambda: Settings(model=model, own=own), *words)


def test_own_settings_are_complete_and_stand_flat_behind_the_others():
    settings = Settings(model="small")
    assert settings.own == {"units": 16}
    assert list(settings.flat())[-1] == "units"
    assert "widths" not in settings.flat()
    assert config.combine(settings.flat(), {"units": 4}).own == {"units": 4}
    assert hash(settings) == hash(Settings(model="small"))


def test_whole_numbers_do_for_real_ones():
    assert Settings(dropout=0, learning_rate=1, seed=2**31 - 1).dropout == 0


@given(st.sampled_from(list(config.RULES)), st.one_of(st.integers(), st.floats(), st.text()))
def test_any_value_is_taken_or_refused_in_a_line_with_the_name(name, value):
    try:
        taken = getattr(Settings(**{name: value}), name)
    except PointkitError as refusal:
        taken, line = None, str(refusal)
    assert taken == value if taken is not None else line.startswith(f"{name} must be ")


@pytest.mark.parametrize("name", config.recipes())
def test_shipped_recipes_are_settings(name):
    values = config.read_recipe(name)
    assert values["task"]
    settings = config.combine(values)
    assert {key: settings.flat()[key] for key in values} == values


def test_the_reference_recipe_is_the_reference():
    values = config.combine(config.read_recipe("modelnet10-reference"))
    assert (values.epochs, values.batch_size, values.learning_rate, values.jitter) == (20, 32, 0.001, 0.005)
    assert (values.schedule, values.scale, values.rotate, values.own["widths"]) == ("constant", 0, 0, "reference")


def test_a_recipe_may_be_a_file(tmp_path):
    assert config.read_recipe(recipe(tmp_path, 'epochs = 3\nschedule = "cosine"\n')) == {
        "epochs": 3,
        "schedule": "cosine",
    }
    assert config.read_recipe(recipe(tmp_path, "")) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", ("unknown key 'epoch'", "did you mean 'epochs'?", "learning_rate")),
        ("[train]\nepochs = 3", ("unknown key 'train'",)),
        ("epochs = \ndropout = 0.1", ("not TOML", "line 1")),
        ("epochs = 3\nepochs = 4", ("not TOML",)),
        ("a = " + "[" * 5000, ("not TOML",)),
        ("epochs = 0", ("epochs must be at least 1",)),
        ("epochs = '3'", ("epochs must be of type int",)),
        ("epochs = 2026-11-24", ("epochs must be of type int",)),
        ("dropout = [0.1]", ("dropout must be of type float",)),
        ('widths = "papr"', ("widths must be one of", "did you mean 'paper'?")),
        ('widhts = "half"', ("unknown key 'widhts'", "did you mean 'widths'?")),
        ('model = "small"\nwidths = "half"', ("widths is a setting of pointnet", "not of small", "its own are units")),
        ("units = 3", ("units is a setting of small, not of pointnet",)),
        ('model = "smal"', ("model must be one of", "did you mean 'small'?")),
    ],
)
def test_a_bad_recipe_file_is_named(tmp_path, text, words):
    file = recipe(tmp_path, text)
    assert refused(lambda: config.read_recipe(file), *words).startswith(file)


def test_a_recipe_that_is_no_text(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_bytes(b"\xff\xfe\x00")
    refused(lambda: config.read_recipe(str(file)), str(file), "text")


def test_a_recipe_that_is_not_there(tmp_path):
    refused(lambda: config.read_recipe("modelnet10-referenc"), "did you mean 'modelnet10-reference'?")
    refused(lambda: config.read_recipe(str(tmp_path)), "neither a file nor one of")


def test_later_layers_win_and_none_counts_as_not_given():
    combined = config.combine({"epochs": 5, "dropout": 0.1, "seed": 4}, {"epochs": 7}, {"dropout": None, "seed": 0})
    assert (combined.epochs, combined.dropout, combined.seed) == (7, 0.1, 0)
    assert config.combine() == Settings()


@pytest.mark.parametrize(
    ("shapes", "epochs"), [(0, 200), (1, 200), (400, 200), (800, 100), (1999, 40), (3593, 24), (10**6, 20)]
)
def test_small_sets_get_more_passes(shapes, epochs):
    values, reason = config.choose(Classification(tuple("abcdefghij")), shapes, "pointnet")
    assert config.combine(values).epochs == epochs
    assert str(epochs) in reason
    assert f"{shapes} training shapes" in reason


@given(
    epochs=st.integers(1, 300),
    rotate=st.sampled_from([0.0, 10.0, 45.0]),
    widths=st.sampled_from(["reference", "paper"]),
)
def test_flags_give_the_settings_again(epochs, rotate, widths):
    settings = Settings(epochs=epochs, rotate=rotate, own={"widths": widths})
    written = config.flags(settings, FOUR, 500)
    assert written[:2] == ["--model", "pointnet"]
    written = written[2:]
    kinds = {name: rule.kind for name, rule in (config.RULES | FAMILIES["pointnet"].settings).items()}
    names = [flag.removeprefix("--").replace("-", "_") for flag in written[::2]]
    given_flags = {name: kinds[name](value) for name, value in zip(names, written[1::2], strict=True)}
    assert config.combine(config.choose(FOUR, 500, "pointnet")[0], given_flags) == settings
    assert config.flags(config.combine(config.choose(FOUR, 500)[0]), FOUR, 500) == []


def test_a_large_set_is_learned_as_in_the_best_recipe_a_small_one_with_more_variety():
    best = config.combine(config.read_recipe("modelnet10-best"))
    values, reason = config.choose(FOUR, 3593)
    assert config.combine(values) == dataclasses.replace(best, dataset="", task="")
    assert "modelnet10-best" in reason
    old = config.combine(config.read_recipe("modelnet10-pointnet"))
    assert config.combine(config.choose(FOUR, 3593, "pointnet")[0]) == dataclasses.replace(old, dataset="", task="")
    for model in ("", "pointnet"):
        small = config.combine(config.choose(FOUR, 1999, model)[0])
        assert (small.scale, small.rotate, small.schedule, small.drop) == (0.25, 10.0, "cosine", 0.0)


def test_the_network_is_chosen_by_the_time_unless_it_is_named():
    long, short = (config.choose(FOUR, 500, minutes=minutes) for minutes in (10, 1))
    assert (long[0]["model"], short[0].get("model", "pointnet")) == ("pointreach", "pointnet")
    assert "pointreach; " in long[1]
    assert "pointnet, as pointreach needs about 3 minutes or more; " in short[1]
    assert config.choose(FOUR, 500)[0]["model"] == "pointreach"
    settings, _ = config.decide(None, {"transforms": "none"}, FOUR, 500)  # a flag that only PointNet has
    assert (settings.model, settings.own["transforms"]) == ("pointnet", "none")
    with pytest.raises(PointkitError, match="transforms is a setting of pointnet, not of pointreach"):
        config.decide(None, {"transforms": "none", "model": "pointreach"}, FOUR, 500)


def test_parts_are_learned_as_in_the_recipe_with_what_the_store_has():
    parts = {"cup": ("body", "handle")}
    best = config.read_recipe("parts-best")
    values, reason = config.choose(Parts(("cup",), parts, ("nx", "ny", "nz")), 228)
    without = {key: value for key, value in best.items() if key not in ("epochs", "task")}
    assert {key: values[key] for key in values if key != "epochs"} == without
    assert 60 <= values["epochs"] <= 110
    assert "with normals" in reason
    values, reason = config.choose(Parts(("cup",), parts), 20_000)
    assert "features" not in values
    assert (values["batch_size"], values["epochs"]) == (32, 20)
    assert "normals" not in reason


def test_another_network_takes_its_own_defaults_with_what_is_chosen():
    parts = Parts(("cup",), {"cup": ("body", "handle")})
    for task, shapes in ((FOUR, 3593), (FOUR, 100), (parts, 228)):
        values, _ = config.choose(task, shapes, "small")
        settings = config.combine(values)
        assert (settings.model, settings.own) == ("small", {"units": 16})
        assert settings.epochs == config.combine(config.choose(task, shapes)[0]).epochs
        assert config.flags(settings, task, shapes) == ["--model", "small"]
        assert config.flags(config.combine(values, {"units": 3}), task, shapes)[-2:] == ["--units", "3"]


def test_what_decides_a_training(tmp_path):
    file = recipe(tmp_path, 'model = "small"\nepochs = 3\n')
    settings, reason = config.decide(file, {"epochs": 4, "units": 5, "seed": None}, FOUR, 100)
    assert (settings.model, settings.epochs, settings.own, settings.seed) == ("small", 4, {"units": 5}, 0)
    assert reason == f"recipe {file}"
    settings, reason = config.decide(None, {"model": "small"}, FOUR, 100)
    assert settings.model == "small"
    assert "100 training shapes in 4 classes" in reason


def test_seeds_make_a_run_each(tmp_path):
    base = Settings(epochs=2, seed=9)
    assert config.seeded(base, tmp_path, None) == [(tmp_path, base)]
    assert config.seeded(base, tmp_path, "2,0") == [
        (tmp_path / "seed-2", dataclasses.replace(base, seed=2)),
        (tmp_path / "seed-0", dataclasses.replace(base, seed=0)),
    ]
    refused(lambda: config.seeded(base, tmp_path, "1,x"), "--seeds must be whole numbers like 0,1,2", "'1,x'")
    refused(lambda: config.seeded(base, tmp_path, "1,1"), "--seeds must differ")
    refused(lambda: config.seeded(base, tmp_path, "-1"), "seed must be at least 0")
