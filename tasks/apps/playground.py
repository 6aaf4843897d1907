"""The playground: a model, an emotion or a point of the plane, a seed -> **a clip to see, hear and keep**.

It needs Gradio (`pip install "emoriff[play]"`), which is imported when the playground starts and not before. It
listens on loopback only unless another host is asked for, and reports nothing to anybody.
"""

import html
import ipaddress
import json
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tasks.apps.emotion_plane import Mixture, Point, centres, mixture_at
from tasks.core.errors import EmoriffError, ModelError
from tasks.core.files import seed_from
from tasks.settings import Params

MAX_SECONDS = 60.0
log = logging.getLogger("emoriff.playground")


@dataclass(frozen=True)
class Played:
    """One clip: a coloured picture to look at, the sound, the files to keep, and where it came from."""

    shown: Path
    sound: Path
    files: tuple[Path, ...]
    lineage: str


@dataclass(frozen=True)
class Playground:
    """What the page can ask for; `folder` takes the clips."""

    root: Path
    params: Params
    folder: Path

    @property
    def experiments(self) -> list[str]:
        """The trained models, the base model last.

        Raises:
            ModelError: there is none.
        """
        names = sorted(path.parent.name for path in (self.root / "models").glob("[!.]*/model_index.json"))
        if not names:
            raise ModelError(
                "no model to play with",
                where=self.root / "models",
                expected="a trained experiment",
                todo="`emoriff repro` trains them",
            )
        return sorted(names, key=lambda name: (name == "base", name != "ours", name))

    @property
    def centres(self) -> dict[str, Point]:
        """Where the emotions lie in the plane; empty before the label stage."""
        import pandas as pd

        songs = self.root / "data/labels/songs.parquet"
        return centres(pd.read_parquet(songs), self.params.generate.prompts) if songs.is_file() else {}

    def of_emotion(self, experiment: str, emotion: str, seed: int, seconds: float) -> Played:
        """A clip of one emotion.

        Raises:
            ModelError: the experiment was not trained.
            ParameterError: an unknown emotion.
        """
        return self._play(experiment, Mixture(emotion, emotion, 0.0), seed, seconds, {})

    def of_point(self, experiment: str, point: Point, seed: int, seconds: float) -> Played:
        """A clip of the mixture of the emotions nearest to a point of the plane."""
        mixture = mixture_at(point, self.centres)
        extra = {"valence": point[0], "arousal": point[1], "second": mixture.second, "share": round(mixture.share, 6)}
        return self._play(experiment, mixture, seed, seconds, extra)

    def _play(self, experiment: str, mixture: Mixture, seed: int, seconds: float, extra: dict[str, Any]) -> Played:
        from tasks.generate import clip_writer, sampling

        generate, spectrogram = self.params.generate, self.params.spectrogram
        for emotion in (mixture.first, mixture.second):
            sampling.check_emotion(emotion, generate.prompts)
        model = sampling.cached_model(sampling.trained_model(experiment, self.root / "models"))
        length = sampling.latent_length(model, seconds, spectrogram)
        pixels = mixed(model, mixture, seed_from(self.params.seed, mixture.first, seed), generate, length)
        name = mixture.first if not mixture.share else f"{mixture.first} {mixture.second}"
        request = clip_writer.Request(experiment, name, seed, seconds, extra)
        folder = Path(tempfile.mkdtemp(prefix="clip-", dir=self.folder))
        row = clip_writer.write_clip(pixels, request, generate, spectrogram, folder, self.params.seed)
        return self._played(folder, row, mixture)

    def _played(self, folder: Path, row: dict[str, Any], mixture: Mixture) -> Played:
        from tasks.codec.image import load
        from tasks.report.media import save_in_colour

        shown = folder / "shown.png"
        save_in_colour(load(folder / row["png"]), shown)
        files = tuple(folder / row[name] for name in ("wav", "listening", "png", "sidecar"))
        facts = json.loads((folder / row["sidecar"]).read_text(encoding="utf-8"))
        text = (
            f"{mixture.text}\n\n{json.dumps(facts, indent=1, sort_keys=True)}\n\n{self.lineage_of(row['experiment'])}"
        )
        return Played(shown, folder / row["listening"], files, text)

    def lineage_of(self, experiment: str) -> str:
        """From the model back to songs, parameters and code; the reason where that cannot be found."""
        from tasks.lineage.show import show

        try:
            return show(self.root, Path("models") / experiment / "model_index.json", None, "tree", None)
        except EmoriffError as error:
            return f"the lineage of this model is not recorded: {error}"


def mixed(model: Any, mixture: Mixture, seed: int, params: Any, length: int) -> np.ndarray:
    """A picture uint8 [resolution, length * scale] conditioned on a mixture: the texts' embeddings on a great circle.

    With share 0 it is the stage's clip of the same seed. Emotion embeddings beside the prompt, where the model
    has them, are those of the larger share.
    """
    from tasks.generate import diffusion, sampling

    if not mixture.share:
        return sampling.generate_long(model, [mixture.first], [seed], params, length)[0]
    first, second = diffusion.embed(model, [mixture.first, mixture.second])
    n_windows = sampling.n_windows(model, length, params)
    between = diffusion.slerp(first, second, mixture.share, axis=-1)
    conditioning = diffusion.Conditioning(
        between[None, None].expand(1, n_windows, -1, -1),
        diffusion.embed(model, [params.negative_prompt])[0],
        [[mixture.first] * n_windows],
    )
    latents = diffusion.denoise(model, conditioning, diffusion.draw_noise(model, seed, length)[None], params)
    return diffusion.decode(model, latents, params.overlap)[0]


def launch(root: Path, host: str, port: int, params: Params) -> None:
    """Serve the playground until Ctrl-C.

    Raises:
        EmoriffError: Gradio is not installed, or there is no model.
    """
    with tempfile.TemporaryDirectory(prefix="emoriff-play-") as folder:
        app = build(Playground(root, params, Path(folder)))
        if not is_loopback(host):
            log.warning("the playground can be reached from other machines (%s), without a password", host)
        app.launch(server_name=host, server_port=port, share=False, inbrowser=False, footer_links=[])


def is_loopback(host: str) -> bool:
    """Is it this machine only?

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def gradio() -> Any:
    """The module, with its reports home and its update check switched off.

    Raises:
        EmoriffError: not installed.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    try:
        import gradio as module
    except ImportError as error:
        raise EmoriffError(
            "the playground needs Gradio, which is an optional extra",
            got=error,
            todo='pip install "emoriff[play]" (or: pip install gradio)',
        ) from error
    return module


def build(playground: Playground) -> Any:
    """The page as a Gradio app: what is asked for at the left, what comes out at the right."""
    gr = gradio()
    experiments, emotions = playground.experiments, playground.params.generate.prompts
    with gr.Blocks(title="emoriff playground", analytics_enabled=False) as app:
        gr.Markdown("# emoriff playground\nMusic of an emotion, from the models of this repository.")
        with gr.Row():
            with gr.Column():
                experiment = gr.Dropdown(experiments, value=experiments[0], label="Experiment")
                seed = gr.Number(0, precision=0, minimum=0, label="Seed")
                default = playground.params.generate.seconds
                seconds = gr.Slider(1, MAX_SECONDS, value=default, step=0.01, label="Length (s)")
                with gr.Tab("Emotion"):
                    emotion = gr.Dropdown(emotions, value=emotions[0], label="Emotion")
                    by_emotion = gr.Button("Play this emotion", variant="primary")
                with gr.Tab("Valence and arousal"):
                    valence = gr.Slider(0, 1, value=0.5, step=0.01, label="Valence (unpleasant to pleasant)")
                    arousal = gr.Slider(0, 1, value=0.5, step=0.01, label="Arousal (calm to excited)")
                    said = gr.Markdown(_mixture_text(playground, 0.5, 0.5))
                    by_point = gr.Button("Play this point", variant="primary")
            with gr.Column():
                shown = gr.Image(
                    label=_axes_text(playground.params), interactive=False, buttons=["download", "fullscreen"]
                )
                sound = gr.Audio(label="Sound", interactive=False, buttons=["download"])
                files = gr.File(label="Files", file_count="multiple", interactive=False)
                with gr.Accordion("Lineage", open=False):
                    lineage = gr.Code(label="From this clip back", interactive=False)
        outputs = [shown, sound, files, lineage]

        def play_emotion(*asked: Any) -> list[Any]:
            return _shown(gr, lambda: playground.of_emotion(asked[0], asked[1], int(asked[2]), float(asked[3])))

        def play_point(name: str, x: float, y: float, number: float, length: float) -> list[Any]:
            return _shown(gr, lambda: playground.of_point(name, (x, y), int(number), float(length)))

        one_at_a_time = {"concurrency_id": "play", "concurrency_limit": 1}  # the two share a model
        by_emotion.click(play_emotion, [experiment, emotion, seed, seconds], outputs, **one_at_a_time)
        by_point.click(play_point, [experiment, valence, arousal, seed, seconds], outputs, **one_at_a_time)
        for slider in (valence, arousal):
            slider.change(lambda x, y: _mixture_text(playground, x, y), [valence, arousal], said)
    return app


def _axes_text(params: Params) -> str:
    picture = params.spectrogram
    return f"Spectrogram: time across, {picture.min_hz} to {picture.max_hz} Hz upwards (mel scale)"


def _mixture_text(playground: Playground, valence: float, arousal: float) -> str:
    try:
        return mixture_at((valence, arousal), playground.centres).text
    except EmoriffError as error:
        return str(error)


def _shown(gr: Any, play: Any) -> list[Any]:
    """What a click gives; our errors become a message on the page."""
    try:
        played = play()
    except EmoriffError as error:
        raise gr.Error(html.escape(str(error))) from error  # Gradio takes it for HTML
    return [str(played.shown), str(played.sound), [str(path) for path in played.files], played.lineage]
