"""What the names of folders and lists say: a split, a date, a number, or something of its own.

One rule finds splits. A name is cut into words, and exactly one of them names a split (``train_data``, ``TestSet``,
``valid``). The other words must be words for a set, or the same in all its siblings (``my_train``, ``my_test``).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

SPLIT_WORDS: Mapping[str, str] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
SET_WORDS = ("set", "sets", "data", "dataset", "split", "files", "samples", "shapes", "clouds", "scans")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = re.compile(
    "(?<![a-z])(?:january|february|march|april|june|july|august|september|october|november|december|sept|"
    + "|".join(MONTHS)
    + ")(?![a-z])"
)
_YEAR = r"(?:19|20)\d\d"
_DATE = re.compile(rf"{_YEAR}(?:[-_. ]?\d\d?){{0,2}}(?:[-_ T]\d[\d\-_.:hms]*)?|\d\d?[-_. ](?:\d\d?[-_. ])?{_YEAR}")


def words(name: str) -> list[str]:
    """The words and numbers in a name, in lower case: ``TrainSet_2`` is train, set, 2."""
    parted = re.sub(r"(?<=[a-zä-ÿ])(?=[A-ZÄ-Þ])", " ", name)
    found: list[str] = []
    for word in re.findall(r"[^\W\d_]+|\d+", parted.lower()):
        found += _unstuck(word)
    return found


def _unstuck(word: str) -> list[str]:
    """``trainset`` and ``testdata`` are two words."""
    for split in SPLIT_WORDS:
        if word.startswith(split) and word[len(split) :] in SET_WORDS:
            return [split, word[len(split) :]]
    return [word]


def _parted(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The split that a name speaks of and its other words; None where it speaks of none or of several."""
    some = words(name)
    splits = {SPLIT_WORDS[word] for word in some if word in SPLIT_WORDS}
    if len(splits) != 1:
        return None
    others = tuple(word for word in some if word not in (*SPLIT_WORDS, *SET_WORDS) and not word.isdigit())
    return splits.pop(), others


def split_of(name: str) -> str:
    """The split that a name by itself means; "" where it means none."""
    found = _parted(name)
    return found[0] if found and not found[1] else ""


def listed_split(name: str) -> str:
    """The split that a list of that name may hold, whatever other words it has; "" for none. trainval is train."""
    some = {SPLIT_WORDS[word] for word in words(name) if word in SPLIT_WORDS}
    if some == {"train", "val"} or "trainval" in words(name):
        return "train"
    return some.pop() if len(some) == 1 else ""


def splits_among(names: Collection[str]) -> dict[str, str]:
    """Name -> split, for those of the names of one folder's folders that mean splits."""
    found = {name: split for name in names if (split := split_of(name))}
    alike: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name in names:
        parted = _parted(name)
        if parted and parted[1]:
            alike[parted[1]][name] = parted[0]
    several = [group for group in alike.values() if len(set(group.values())) > 1]
    return found | several[0] if len(several) == 1 else found


def classes_and_splits(names: Collection[str]) -> dict[str, tuple[str, str]]:
    """Name -> class and split, where every name has both (``chair_train``, ``chair_test``, ``lamp_train``); else {}."""
    found: dict[str, tuple[str, str]] = {}
    splits: dict[str, set[str]] = defaultdict(set)
    for name in names:
        parted = _parted(name)
        if not parted or not parted[1]:
            return {}
        found[name] = "_".join(parted[1]), parted[0]
        splits[found[name][0]].add(parted[0])
    return found if len(splits) > 1 and all(len(some) > 1 for some in splits.values()) else {}


def stem(name: str) -> str:
    """A name without its numbers and what joins them: ``wall_12`` is wall."""
    return re.sub(r"[\W\d_]+", " ", name.lower()).strip()


def numbered(names: Collection[str]) -> bool:
    """Whether several names differ by a number or a date alone: scan_1, scan_2; 100, 101; 2024-01, 2024-02."""
    plain = [_MONTH.sub("1", name.lower()) for name in names]
    same = len({stem(name) for name in plain}) == 1
    return len(plain) > 1 and same and all(any(letter.isdigit() for letter in name) for name in plain)


def synsets(names: Iterable[str]) -> bool:
    """Whether names are WordNet's numbers of nouns, as ShapeNet calls its categories: 02691156."""
    return all(re.fullmatch(r"0\d{7}", name) for name in names)


def dates(names: Collection[str]) -> bool:
    """Whether several names are dates, or months."""
    return numbered(names) and all(
        _DATE.fullmatch(name.strip()) or _MONTH.search(name.lower()) is not None for name in names
    )
