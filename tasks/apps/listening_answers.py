"""What listeners said: answers (CSV) + key -> **wins, means, agreement**.

Intervals are over listeners (tasks.evaluate.intervals), because one person's answers resemble each other; with fewer
than MIN_LISTENERS they are over single answers, and the text says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.core.errors import InputError
from tasks.core.reading import json_of
from tasks.evaluate.intervals import Clusters, Inference, LeaveOneOut, Value, weighted_mean

COLUMNS = ("test", "listener", "order", "kind", "emotion", "clip", "other", "scale", "answer", "seconds")
SCALES = ("valence", "arousal", "quality")  # each 1 to 9
PAIR, RATING = "pair", "rating"
MIN_LISTENERS = 5
INFERENCE = Inference(confidence=0.95, n_permutations=0, seed=0)


@dataclass(frozen=True)
class Summary:
    """The test's result; tables are keyed by system, then by what was compared or rated."""

    n_listeners: int
    over_listeners: bool
    wins: dict[str, Value]
    pairwise: dict[tuple[str, str], Value]  # share of the first system's wins over the second
    ratings: dict[str, dict[str, Value]]
    agreement: dict[str, float]


def read_answers(folder: Path) -> str:
    """The summary of the answers in `folder`/answers (made by `make`), as text for a person.

    Raises:
        InputError: no answers, or answers that are not of this test.
    """
    return as_text(summarise(read(folder)))


def read(folder: Path) -> pd.DataFrame:
    """All answers with the systems they are about: columns of COLUMNS, `system`, and for pairs `other_system`.

    A file given twice counts once; of two answers of one listener to one question the later file's counts.
    """
    test, key = _test_of(folder), _key_of(folder)
    files = sorted((folder / "answers").glob("*.csv"))
    if not files:
        raise InputError(
            "no answers yet",
            where=folder / "answers",
            expected="the CSV files that listeners saved",
            todo="give the folder test/ to listeners and put what they send into answers/",
        )
    table = pd.concat([_read_file(file, test, key) for file in files], ignore_index=True)
    clips = [frozenset(pair) for pair in zip(table["clip"], table.other, strict=True)]  # whichever is on the left
    again = table[["listener", "kind", "scale"]].assign(clips=clips).duplicated(keep="last")
    table = table[~again].reset_index(drop=True)
    systems = key["arm"]
    return table.assign(system=table["clip"].map(systems), other_system=table.other.map(systems))


def _test_of(folder: Path) -> str:
    if not (folder / "plan.json").is_file():
        raise InputError(
            "not the folder of a listening test",
            where=folder,
            expected="plan.json, key.csv and answers/",
            todo="`emoriff listening-test FOLDER` makes one",
        )
    return str(json_of(folder / "plan.json").get("test"))


def _key_of(folder: Path) -> pd.DataFrame:
    """The system of each clip.

    Raises:
        InputError: no such file, other columns, or a clip twice.
    """
    file = folder / "key.csv"
    key = _table(file)
    if not {"clip", "arm"} <= set(key.columns) or not key["clip"].is_unique:
        got = f"the columns {', '.join(key.columns)}"
        raise InputError("not the key of this test", where=file, expected="a row per clip, with its system", got=got)
    return key.set_index("clip")


def _table(file: Path) -> pd.DataFrame:
    """A CSV file as text."""
    try:
        return pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, ValueError, LookupError, OverflowError) as error:  # pandas' own errors are some of these
        raise InputError("cannot be read", where=file, expected="a CSV saved by the page", got=error) from error


def _read_file(file: Path, test: str, key: pd.DataFrame) -> pd.DataFrame:
    """One listener's answers, checked.

    Raises:
        InputError: other columns, another test, an unknown clip, an answer off the scale.
    """
    table = _table(file)
    if list(table.columns) != list(COLUMNS):
        raise InputError("other columns", where=file, expected=", ".join(COLUMNS), got=", ".join(table.columns))
    if set(table.test) - {test}:
        raise InputError("answers of another test", where=file, expected=test, got=", ".join(sorted(set(table.test))))
    unknown = (set(table["clip"]) | set(table.other) - {""}) - set(key.index)
    if unknown:
        raise InputError("clips that the key does not know", where=file, got=", ".join(sorted(unknown)))
    _check_values(table, file)
    return table


def _check_values(table: pd.DataFrame, file: Path) -> None:
    rated = table[table.kind == RATING]
    wrong = [answer for answer in rated.answer if answer not in set("123456789")]
    wrong += [row.scale for row in rated.itertuples() if row.scale not in SCALES or row.other or not row.clip]
    compared = table[table.kind == PAIR]
    wrong += [row.answer for row in compared.itertuples() if row.answer not in (row.clip, row.other)]
    wrong += [row.scale for row in compared.itertuples() if row.scale or not row.clip or not row.other]
    wrong += sorted(set(table.kind) - {PAIR, RATING})
    if wrong:
        expected = "1 to 9 for ratings, one of the two clips for pairs"
        raise InputError("answers that cannot be", where=file, expected=expected, got=", ".join(map(repr, wrong[:5])))


def summarise(answers: pd.DataFrame) -> Summary:
    """Wins, pairwise comparisons, mean ratings and agreement of `read`'s table."""
    n_listeners = answers.listener.nunique()
    over_listeners = n_listeners >= MIN_LISTENERS
    compared, rated = answers[answers.kind == PAIR], answers[answers.kind == RATING]
    first = _sides(compared)

    def units_of(part: pd.DataFrame) -> LeaveOneOut:
        labels = part.listener if over_listeners else pd.Series(range(len(part)))
        return LeaveOneOut(Clusters(labels.to_numpy(dtype=str), "listeners" if over_listeners else "answers"))

    def wins_of(part: pd.DataFrame) -> Value:
        return _mean(part.won, units_of(part), INFERENCE.share)

    def rating_of(part: pd.DataFrame) -> Value:
        return _mean(part.answer.astype(float), units_of(part), INFERENCE.value)

    return Summary(
        n_listeners,
        over_listeners,
        {system: wins_of(part) for system, part in first.groupby("system")},
        {
            (str(system), str(other)): wins_of(part)
            for (system, other), part in first.groupby(["system", "other_system"])
            if str(system) < str(other)
        },
        {
            str(system): {str(scale): rating_of(values) for scale, values in part.groupby("scale")}
            for system, part in rated.groupby("system")
        },
        {scale: krippendorff_alpha(_matrix(rated[rated.scale == scale])) for scale in SCALES},
    )


def _sides(compared: pd.DataFrame) -> pd.DataFrame:
    """Each comparison seen from both systems: system, other_system, listener, won (1 or 0)."""
    won = (compared.answer == compared["clip"]).astype(float)
    one = pd.DataFrame(
        {"system": compared.system, "other_system": compared.other_system, "listener": compared.listener, "won": won}
    )
    return pd.concat(
        [one, one.assign(system=one.other_system, other_system=one.system, won=1 - one.won)], ignore_index=True
    )


def _matrix(rated: pd.DataFrame) -> np.ndarray:
    """Ratings [listeners, clips], NaN where there is none."""
    return (
        rated.assign(answer=rated.answer.astype(float))
        .pivot(index="listener", columns="clip", values="answer")
        .to_numpy()
    )


def _mean(values: pd.Series, units: LeaveOneOut, interval: Callable[..., Value]) -> Value:
    answers = values.to_numpy(dtype=float)
    return interval(answers.mean(), weighted_mean(answers, units.weights[0]), units, len(answers))


def krippendorff_alpha(ratings: np.ndarray) -> float:
    """Krippendorff's alpha for interval data (2004) of [raters, units], NaN where missing.

    1: full agreement, 0: as by chance, below: worse. NaN where nothing was rated twice or nothing varies.
    """
    units = ratings[:, (~np.isnan(ratings)).sum(axis=0) >= 2] if ratings.size else np.empty((0, 0))
    if units.size == 0:
        return float("nan")
    observed = sum(_squares(column) / (len(column) - 1) for column in (c[~np.isnan(c)] for c in units.T))
    every = units[~np.isnan(units)]
    expected = _squares(every) / (len(every) - 1)
    return float(1 - observed / expected) if expected > 0 else float("nan")


def _squares(values: np.ndarray) -> float:
    """Sum of squared differences over all ordered pairs."""
    return float(2 * len(values) * ((values - values.mean()) ** 2).sum())


def shown(mean: Value) -> str:
    """`0.62 (0.51 to 0.72, n = 40)`, or why there is no interval."""
    interval = mean.reason if mean.low is None else f"{mean.low:.2f} to {mean.high:.2f}"
    return f"{mean.value:.2f} ({interval}, n = {mean.n})"


def as_text(summary: Summary) -> str:
    """The summary for a terminal."""
    basis = "listeners" if summary.over_listeners else f"answers (fewer than {MIN_LISTENERS} listeners: too narrow)"
    lines = [f"{summary.n_listeners} listener(s); 95 % intervals over {basis}", ""]
    lines += ["Preferred as the better match of the emotion (share of its pairs)"]
    lines += [f"  {system:<12} {shown(summary.wins[system])}" for system in _best_first(summary.wins)]
    lines += ["", "Pair by pair (share won by the first)"]
    lines += [
        f"  {f'{system} : {other}':<18} {shown(mean)}" for (system, other), mean in sorted(summary.pairwise.items())
    ]
    for scale in SCALES:
        lines += ["", f"{scale.capitalize()} (1 to 9)"]
        lines += [
            f"  {system:<12} {found[scale]}" for system, found in sorted(summary.ratings.items()) if scale in found
        ]
    lines += ["", "Agreement of listeners (Krippendorff's alpha, interval data; 1 full, 0 chance)"]
    lines += [f"  {scale:<12} {alpha:.2f}" for scale, alpha in summary.agreement.items()]
    return "\n".join(lines)


def _best_first(wins: dict[str, Value]) -> list[str]:
    return sorted(wins, key=lambda system: (-wins[system].number, system))
