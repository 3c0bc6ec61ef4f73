"""How a verdict is printed: every line with its command, and the worst one's command as the next step."""

from pointkit.console.verdict import said

CHANCE = {"kind": "chance", "text": "at chance", "command": "pointkit info stores/a"}
RARE = {"kind": "rare", "text": "rare ones do badly", "command": "pointkit train stores/a -o runs/b"}
GOOD = {"kind": "good", "text": "90 % [right]", "command": "pointkit predict runs/a FILE..."}


def printed(capsys, lines, otherwise="pointkit predict runs/a FILE..."):
    said(lines, otherwise)
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def test_an_alarm_says_what_to_type_next(capsys):
    out, err = printed(capsys, [CHANCE, RARE])
    assert out == [
        "verdict:",
        "  ✗ at chance",
        "      pointkit info stores/a",
        "  · rare ones do badly",
        "      pointkit train stores/a -o runs/b",
    ]
    assert err == ["next: pointkit info stores/a"]


def test_what_is_good_goes_on_with_predict(capsys):
    out, err = printed(capsys, [GOOD, RARE])
    assert out[:3] == ["verdict:", "  ✓ 90 % [right]", "  · rare ones do badly"]
    assert err == ["next: pointkit predict runs/a FILE..."]


def test_several_runs_have_no_next_step_and_no_verdict_is_no_line(capsys):
    assert printed(capsys, [RARE], "")[1] == []
    assert printed(capsys, [], "pointkit predict") == ([], ["next: pointkit predict"])
