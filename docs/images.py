"""The picture of the README: a finished run -> **docs/images/clips.png** (`python -m docs.images [FOLDER]`).

The same clips as on the page: of every emotion the first seed, and the first song of artists that training never
heard. FOLDER is a repository that has run; this one, when it is left out.
"""

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.core.errors import InputError
from tasks.core.storage import replacing
from tasks.report.findings import best_system
from tasks.report.media import REAL, Clip, collect
from tasks.report.results import BASE, load

TARGET = Path(__file__).parent / "images" / "clips.png"
COLOURS = 96  # of the palette: a few hundred kB


def draw(root: Path, target: Path) -> None:
    """Rows: emotions; columns: real music, the base model, the best experiment; axes in seconds and Hz."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    found = load(root)
    best = best_system(found)
    if best is None:
        raise InputError("no experiment was judged yet", where=root, todo="emoriff repro")
    titles = {REAL: "real music", BASE: "base model", best: f"our experiment “{best}”" if best == "ours" else best}
    with tempfile.TemporaryDirectory() as folder:
        rows = collect(found, Path(folder) / "media")
        firsts = {emotion: {clip.system: clip for clip in clips[0]} for emotion, clips in rows.items() if clips}
        figure, axes = pyplot.subplots(
            len(firsts), len(titles), figsize=(10, 1.45 * len(firsts)), sharex=True, squeeze=False, layout="constrained"
        )
        for line, (emotion, clips) in zip(axes, firsts.items(), strict=True):
            for place, system in zip(line, titles, strict=True):
                show(place, clips[system], Path(folder))
            line[0].set_ylabel(f"{emotion}\nHz", fontsize=10)
        for place, title in zip(axes[0], titles.values(), strict=True):
            place.set_title(title, fontsize=11)
        for place in axes[-1]:
            place.set_xlabel("s", fontsize=9)
        content = io.BytesIO()
        figure.savefig(content, dpi=100)
    image = Image.open(content).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    target.parent.mkdir(exist_ok=True)
    with replacing(target) as temporary:
        image.save(temporary, format="PNG", optimize=True)


def show(place: Any, clip: Clip, folder: Path) -> None:
    """One spectrogram with its ticks, and what the judge heard in it."""
    pixels = np.asarray(Image.open(folder / clip.picture).convert("RGB"))
    place.imshow(pixels, extent=(0, 1, 0, 1), aspect="auto")
    place.set_xticks([tick.share for tick in clip.x_ticks], [tick.text for tick in clip.x_ticks])
    place.set_yticks([tick.share for tick in clip.y_ticks], [tick.text for tick in clip.y_ticks])
    place.tick_params(labelsize=7, length=2)
    if clip.predicted:
        box = {"boxstyle": "round,pad=.2", "facecolor": "black", "alpha": 0.6, "linewidth": 0}
        place.text(0.98, 0.94, f"heard as {clip.predicted}", color="white", fontsize=8, ha="right", va="top", bbox=box)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(), TARGET)
