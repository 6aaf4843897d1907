"""The columns of evaluate's tables, name -> meaning with unit; the stage writes, the page reads, docs print them."""

from collections.abc import Iterable

PLANE = {"valence": "valence, 0 (negative) to 1 (positive)", "arousal": "arousal, 0 (calm) to 1 (excited)"}
PREDICTIONS = {
    "experiment": "model",
    "emotion": "asked for",
    "seed": "seed of the clip",
    "predicted": "class by the judge",
    **PLANE,
    "nearest": "most similar training clip",
    "nearest_ratio": "1 - similarity to it, over what is usual between training songs",
}
REAL_CLIPS = {
    "song_id": "the song",
    "segment": "window",
    "place": "0: at the start of the window, 1: at its end",
    "start_seconds": "start in the song (s)",
    **PLANE,
    "emotion": "annotated class",
    "artist": "artist; `song ID`: unknown",
    "split": "train, validation or test; all songs of an artist are in one",
    "predicted": "class by the judge",
    "predicted_valence": "by the judge, 0..1",
    "predicted_arousal": "by the judge, 0..1",
}
KAD_MATRIX = {
    "experiment": "model",
    "generated": "emotion asked for",
    "real": "emotion of the real clips",
    "kad": "distance",
    "low": "interval, lower end",
    "high": "interval, upper end",
    "n": "clips",
    "reason": "why there is no value, or no interval",
    "fad": "Frechet Audio Distance of the same clips",
}
CONFUSION = {
    "arm": "system: a model, or which real clips",
    "true": "asked for or annotated",
    "predicted": "class by the judge",
    "n": "clips",
}


def with_posteriors(columns: dict[str, str], classes: Iterable[str], after: str) -> dict[str, str]:
    """The columns with one per class after the column `after`: predictions and real clips have them.

    >>> list(with_posteriors({"a": "", "b": ""}, ["sad"], after="a"))
    ['a', 'posterior_sad', 'b']
    """
    posteriors = {posterior(name): f"judge's probability of {name}, 0..1" for name in classes}
    place = list(columns).index(after) + 1
    items = list(columns.items())
    return {**dict(items[:place]), **posteriors, **dict(items[place:])}


def posterior(emotion: str) -> str:
    """The name of the column with the judge's probability of an emotion."""
    return f"posterior_{emotion}"
