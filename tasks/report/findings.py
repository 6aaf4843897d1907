"""What the numbers say, in sentences: results -> **findings** -> page.

Every sentence is built from measured figures with their n and interval. A result that is not there, or that is
negative, is said to be so.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tasks.report.results import BASE, Measure, Results

HEADLINE = "emotion_accuracy"
SIGNIFICANT = 0.01
FROM_REAL = "0: as real clips"


@dataclass(frozen=True)
class Kind:
    """How a measure is shown: its name for people, and whether more is better (None: neither)."""

    label: str
    more_is_better: bool | None
    meaning: str


KINDS = {
    "emotion_accuracy": Kind("Emotion accuracy", True, "share of clips judged to be the emotion asked for"),
    "emotion_balanced_accuracy": Kind("Balanced accuracy", True, "mean over the emotions of that share"),
    "shuffled_accuracy": Kind(
        "With shuffled prompts", None, "the same with the prompts dealt out anew: what chance gives"
    ),
    "valence_r": Kind("Valence r", True, "correlation of intended and judged valence"),
    "arousal_r": Kind("Arousal r", True, "correlation of intended and judged arousal"),
    "valence_mae": Kind("Valence error", False, "mean absolute difference, scale 0 to 1"),
    "arousal_mae": Kind("Arousal error", False, "mean absolute difference, scale 0 to 1"),
    "kad": Kind("KAD", False, "Kernel Audio Distance to real clips, times 100; 0: the same distribution"),
    "fad": Kind("FAD", False, "Frechet Audio Distance to real clips; biased upwards for few clips"),
    "fad_infinity": Kind("FAD infinity", False, "FAD extrapolated to infinitely many clips"),
    "kld": Kind("KL divergence", False, "of the judge's posteriors, real against generated"),
    "own_class_nearest": Kind("Own class nearest", True, "share of the emotions whose nearest real class is their own"),
    "diversity": Kind("Diversity", None, "distance between seeds of one emotion; real songs: 1, all alike: 0"),
    "copies": Kind("Copies", False, "share of clips more alike to a training song than 99 % of other songs are"),
    "distance_to_training": Kind(
        "Distance to training", None, "to the most similar song; 1: as songs are apart, 0: copies"
    ),
    "music_distance": Kind("Distance from real music", False, "mean of the seven below, in standard deviations"),
    "harmonicity_db_from_real": Kind("Harmonicity", None, f"{FROM_REAL}; how far the strongest pitch stands out"),
    "notes_per_second_from_real": Kind("Notes per second", None, f"{FROM_REAL}; clear pitches that last"),
    "pitch_spread_semitones_from_real": Kind("Spread of pitch", None, f"{FROM_REAL}; of those notes"),
    "onsets_per_second_from_real": Kind("Onsets per second", None, f"{FROM_REAL}; sudden beginnings"),
    "onset_regularity_from_real": Kind("Regularity of onsets", None, f"{FROM_REAL}; how evenly they repeat"),
    "spectral_contrast_db_from_real": Kind("Spectral contrast", None, f"{FROM_REAL}; peaks against valleys"),
    "spectral_flatness_db_from_real": Kind("Spectral flatness", None, f"{FROM_REAL}; noise is flat"),
    "noise_floor_db": Kind("Noise floor (dB)", None, "nearer to the real clips' is better"),
    "spectral_flatness_db": Kind("Spectral flatness (dB)", None, "nearer to the real clips' is better"),
}
JUDGE = {
    "real_test_accuracy": "Accuracy on real clips of unseen artists",
    "real_test_balanced_accuracy": "Balanced accuracy on them",
    "codec_accuracy": "Accuracy after picture and back",
    "codec_balanced_accuracy": "Balanced accuracy after picture and back",
    "codec_vae_accuracy": "Accuracy after the VAE and back",
    "codec_vae_balanced_accuracy": "Balanced accuracy after the VAE and back",
    "chance": "Chance",
    "majority": "Always the most frequent class",
    "ceiling": "What the raters' disagreement allows",
    "panel_agreement": "A fresh panel of raters",
    "valence_r": "Valence r",
    "arousal_r": "Arousal r",
    "valence_mae": "Valence error",
    "arousal_mae": "Arousal error",
}


def hundredths(value: float) -> str:
    """A share times 100; with a decimal where rounding would make a few errors none.

    >>> hundredths(0.874), hundredths(0.995), hundredths(1.0), hundredths(0.004)
    ('87', '99.5', '100', '0.4')
    """
    digits = 1 if 0 < value < 0.02 or 0.98 < value < 1 else 0
    return f"{100 * round(value, 2 + digits):.{digits}f}"  # as the tables round: 0.175 is not quite 0.175


def percent(value: float) -> str:
    """A share for a sentence: `87 %`, not broken over lines."""
    return f"{hundredths(value)}\N{NO-BREAK SPACE}%"


def share_with_interval(measure: Measure) -> str:
    """`87 % (82 to 91, n = 200)`, `87 % (no interval, n = 144 by 4 artists)`."""
    interval = (
        "no interval"
        if measure.low is None or measure.high is None
        else f"{hundredths(measure.low)} to {hundredths(measure.high)}"
    )
    counted = "" if measure.n is None else f"n\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{measure.n}"
    counted += "" if measure.n_artists is None else f" by {measure.n_artists} artists"
    inside = ", ".join(part for part in (interval, counted) if part)
    return percent(measure.value) + (f" ({inside})" if inside else "")


def p_text(p: float) -> str:
    """`p < 0.001` or `p = 0.042`, not broken over lines."""
    text = "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def sentences(results: Results) -> list[str]:
    """Asked, found, how musical it is where that was measured, and what was not reached."""
    return [_asked(results), _found(results), *_musical(results), _negative(results)]


def _asked(results: Results) -> str:
    train = results.dataset[results.dataset.split == "train"]
    fine_tuned = [name for name in results.experiments if name != BASE]
    plural = "s" if len(fine_tuned) != 1 else ""
    return (
        f"Asked: can a spectrogram diffusion model be fine-tuned so that it plays the emotion it is asked for "
        f"({', '.join(results.emotions) or 'no emotion in this run'}), from {train.song_id.nunique()} songs by "
        f"{artists_of(train)} ({len(train)} pictures), with {len(fine_tuned)} "
        f"training configuration{plural} ({', '.join(fine_tuned) or 'none'}) on one base model?"
    )


def artists_of(rows: pd.DataFrame) -> str:
    """How many artists, as words; songs without one (an empty name) are not one artist's.

    >>> artists_of(pd.DataFrame({"artist": ["A", "B", "A"]})), artists_of(pd.DataFrame({"artist": ["", ""]}))
    ('2 artists', 'unknown artists')
    """
    n = rows.artist.replace("", None).nunique()
    return f"{n} artist{'s' if n != 1 else ''}" if n else "unknown artists"


def _headlines(results: Results) -> dict[str, Measure]:
    return {name: values[HEADLINE] for name, values in results.measures.items() if HEADLINE in values}


def best_system(results: Results) -> str | None:
    """The fine-tuned system with the highest emotion accuracy; None when none was judged."""
    tuned = {name: measure for name, measure in _headlines(results).items() if name != BASE}
    return max(tuned, key=lambda name: tuned[name].value) if tuned else None


def _found(results: Results) -> str:
    best, headlines = best_system(results), _headlines(results)
    if best is None:
        return "Found: nothing yet; no generated clip of a fine-tuned model was judged in this run."
    recognised = share_with_interval(headlines[best])
    text = f"Found: the judge recognised the emotion asked for in {recognised} of the clips of {best}"
    if BASE in headlines:
        text += f", and in {share_with_interval(headlines[BASE])} of those of the base model before fine-tuning"
    tested: dict[str, list[str]] = {}
    for other in headlines:
        if (p := p_against(results, best, other)) is not None:
            tested.setdefault(p_text(p), []).append(other)
    if tested:
        text += f" ({'; '.join(f'{p} against ' + ', '.join(others) for p, others in tested.items())})"
    limits = []
    if "real_test_accuracy" in results.judge:
        right = share_with_interval(results.judge["real_test_accuracy"])
        limits.append(f"the judge itself is right on {right} of real clips of unseen artists")
    if "chance" in results.judge:
        limits.append(f"chance is {percent(results.judge['chance'].value)}")
    return text + (f"; {', and '.join(limits)}" if limits else "") + "."


def _musical(results: Results) -> list[str]:
    """How far the best system's clips are from music, beside real clips and what the VAE leaves of them."""
    best = best_system(results)
    sets = {
        "real clips": results.floors.get("codec", {}),
        "real clips after the VAE": results.floors.get("codec_vae", {}),
    }
    named = {f"the clips of {best}": results.measures.get(best or "", {})} | sets
    parts = [
        f"{name} {values['notes_per_second'].value:.1f} ({values['harmonicity_db'].value:.0f} dB)"
        for name, values in named.items()
        if {"notes_per_second", "harmonicity_db"} <= values.keys()
    ]
    if best is None or len(parts) < 2:
        return []
    return [f"Heard as music: clear notes per second, and how far the strongest pitch stands out: {', '.join(parts)}."]


def _negative(results: Results) -> str:
    """Which systems are not better than the base model, which are worse, and what no judge can show."""
    headlines, best = _headlines(results), best_system(results)
    if best is None:
        return "Not shown: whether fine-tuning works, because nothing was measured."
    if BASE not in headlines:
        parts = ["Not shown: an advantage over the base model, which was not judged in this run"]
    else:
        tuned = [name for name in headlines if name != BASE]
        signs = {name: compared_with_base(results, name) for name in tuned}
        parts = [
            f"{said}: {', '.join(f'{name} {share_with_interval(headlines[name])}' for name in chosen)}"
            for said, chosen in (
                (
                    "Not reached: an accuracy above the base model's",
                    [name for name in tuned if signs[name] == 0],
                ),
                ("Below the base model", [name for name in tuned if signs[name] < 0]),
            )
            if chosen
        ] or ["Every training configuration did better than the base model"]
    return (
        f"{'; '.join(parts)}; a judge trained on the same kind of music is no listener, so what people answer "
        "(emoriff listening-test) counts more."
    )


def p_against(results: Results, name: str, other: str) -> float | None:
    """The p-value of the difference in emotion accuracy between two systems; None where it was not tested."""
    difference = results.comparisons.get(name, {}).get(f"{other}.{HEADLINE}")
    tests = dict(difference.tests if difference else results.measures[name][HEADLINE].tests)
    return tests.get(other)


def compared_with_base(results: Results, name: str) -> int:
    """1: more accurate than the base, -1: less, 0: cannot be told; by the test, else by disjoint intervals."""
    own, base = results.measures[name][HEADLINE], results.measures[BASE][HEADLINE]
    sign = 1 if own.value > base.value else -1
    p = p_against(results, name, BASE)
    if p is not None:
        return sign if p < SIGNIFICANT else 0
    (left, left_high), (right, right_high) = ((measure.low, measure.high) for measure in (own, base))
    if None in (left, left_high, right, right_high):
        return 0
    return sign if left > right_high or right > left_high else 0  # type: ignore[operator]


def best_systems(measures: Mapping[str, Mapping[str, Measure]], name: str) -> set[str]:
    """The systems whose value is best; empty for a measure without a better side, or where all systems are alike."""
    values = {system: found[name].value for system, found in measures.items() if name in found}
    kind = KINDS.get(name)
    if kind is None or kind.more_is_better is None or len(set(values.values())) < 2:
        return set()
    top = (max if kind.more_is_better else min)(values.values())
    return {system for system, value in values.items() if value == top}


def label(name: str) -> str:
    """A measure's name for people.

    >>> label("kad"), label("accuracy_relative_to_judge")
    ('KAD', 'Accuracy relative to judge')
    """
    return KINDS[name].label if name in KINDS else name.replace("_", " ").replace(".", ": ").capitalize()
