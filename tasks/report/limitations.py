"""The seven limitations that the thesis names, each with what is done and what was measured: results -> page."""

from dataclasses import dataclass

import pandas as pd

from tasks.report.findings import KINDS, artists_of, label, percent, share_with_interval
from tasks.report.results import REAL_FLOOR, Results
from tasks.report.training_configuration import drawn


@dataclass(frozen=True)
class Limitation:
    """One weakness that the thesis names, what is done about it, and the effect that was measured."""

    name: str
    done: str
    measured: str


def limitations(results: Results) -> list[Limitation]:
    """The seven that the thesis names, in its order."""
    return [
        Limitation(
            "Small data",
            "Split by artist, so that nothing heard in training is tested; overlapping tiles; optional augmentation "
            "and prior preservation; copies are looked for.",
            _small_data(results),
        ),
        Limitation(
            "Imbalance",
            "The training configuration “ours” draws the classes in turn, whatever their sizes; class-weighted loss is "
            "an option.",
            _imbalance(results),
        ),
        Limitation(
            "Compute",
            "Latents and text are encoded once; gradient accumulation, 8-bit Adam, LoRA and lower precision are "
            "parameters; every stage and every item is cached.",
            _compute(results),
        ),
        Limitation(
            "Outdated model",
            "The base model is one parameter (repository and revision), and every model is measured beside it. "
            "A newer architecture was not tried.",
            _base_figures(results),
        ),
        Limitation(
            "Noise",
            "The way back to audio starts from estimated phases (PGHI) instead of noise; spectral gating and filters "
            "are optional.",
            _figures(results, ("noise", "flatness"), NOT_MEASURED),
        ),
        Limitation(
            "Sensitivity of spectrograms",
            "Lossless pictures in Riffusion's own scale; tiles of the trained width instead of squeezed ones; the "
            "maximum is kept.",
            _codec(results),
        ),
        Limitation(
            "Fluctuating loss",
            "A validation loss on fixed pictures of unseen artists, fixed noise and fixed time steps is drawn beside "
            "the training loss.",
            _fluctuation(results),
        ),
    ]


NOT_MEASURED = "Not measured in this run."


def _small_data(results: Results) -> str:
    table = results.dataset
    if table.empty:
        return NOT_MEASURED
    counts = [
        f"{split}: {part.song_id.nunique()} songs, {artists_of(part)}, {len(part)} pictures"
        for split, part in table.groupby("split")
    ]
    return "; ".join(counts) + ". " + _figures(results, ("copies", "training"), "")


def _imbalance(results: Results) -> str:
    train = results.dataset[results.dataset.split == "train"]
    if train.empty:
        return NOT_MEASURED
    counts = train.emotion.value_counts()
    smallest = counts.index[-1]
    text = f"Largest class {counts.index[0]} ({counts.iloc[0]} pictures), smallest {smallest} ({counts.iloc[-1]})."
    for name, of_each in drawn(results).items():
        text += f" {name} drew {' or '.join(map(str, sorted(set(of_each.values()))))} of each."
    rarest = results.predictions[results.predictions.emotion == smallest]
    if rarest.empty:
        return text
    recognised = (rarest.predicted == rarest.emotion).groupby(rarest.experiment).mean()
    parts = [f"{system} {percent(recognised[system])}" for system in results.experiments if system in recognised]
    return f"{text} Clips of the smallest class recognised as it: {', '.join(parts)}."


def _compute(results: Results) -> str:
    parts = [
        f"{name} {made['figures']['pictures_seen']:,} pictures for {made['figures']['learnt_parameters']:,} weights"
        for name, made in results.models.items()
        if "figures" in made
    ]
    return f"Seen in training: {'; '.join(parts)}." if parts else NOT_MEASURED


def _base_figures(results: Results) -> str:
    parts = []
    for name in ("kad", "fad"):
        values = [f"{system} {found[name].value:.3g}" for system, found in results.measures.items() if name in found]
        if values:
            parts.append(f"{KINDS[name].label}: {', '.join(values)}")
    return "; ".join(parts) + "." if parts else NOT_MEASURED


def _figures(results: Results, words: tuple[str, ...], otherwise: str) -> str:
    """Every measure whose name holds one of `words`: of real clips where there is one, and of all systems."""
    systems = {"real clips": results.floors.get(REAL_FLOOR, {}), **results.measures}
    names = sorted(
        {name for found in results.measures.values() for name in found if any(word in name for word in words)}
    )
    parts = [
        f"{label(name)}: "
        + ", ".join(f"{system} {found[name].value:.3g}" for system, found in systems.items() if name in found)
        for name in names
    ]
    return "; ".join(parts) + "." if parts else otherwise


def _codec(results: Results) -> str:
    names = {
        "real_test_accuracy": "unseen real clips",
        "codec_accuracy": "after picture and back",
        "codec_vae_accuracy": "after the VAE and back",
    }
    parts = [
        f"{text} {share_with_interval(results.judge[name])}" for name, text in names.items() if name in results.judge
    ]
    return f"The judge is right on: {', '.join(parts)}." if parts else NOT_MEASURED


def _fluctuation(results: Results) -> str:
    """Standard deviation of the change from one step to the next, training loss against validation loss."""
    parts = []
    for name, table in results.losses.items():
        raw, fixed = (pd.to_numeric(table[column]).dropna().diff().std() for column in ("loss", "validation_loss"))
        if raw > 0 and fixed > 0:
            parts.append(f"{name} {raw:.2g} against {fixed:.2g}")
    if not parts:
        return NOT_MEASURED
    return "Step-to-step deviation, training loss against validation loss: " + ", ".join(parts) + "."
