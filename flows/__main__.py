"""The command line `emoriff` (also `python -m flows`): one command a stage, and tools for people."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from tasks.core.errors import EmoriffError
from tasks.core.storage import CANNOT_WRITE

HELP = """Music of an emotion from a fine-tuned Riffusion: a reproducible, measured pipeline.

`emoriff repro` runs what has to run (DVC decides), `emoriff why` says beforehand what and because of what.
Every knob is in params.yaml: `emoriff params` explains them, `emoriff use PROFILE` chooses a whole set.
"""
app = typer.Typer(help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
HERE = Path(__file__).parent
stage_help = "Stages (each a Prefect flow; `emoriff repro` calls them in order)"
Experiment = Annotated[str, typer.Option(help="experiment of params.yaml, or base")]


def stage_files() -> list[Path]:
    """flows/STAGE.py of every stage, in the order of dvc.yaml."""
    graph = HERE.parent / "dvc.yaml"
    text = graph.read_text(encoding="utf-8") if graph.is_file() else ""
    files = {path.stem: path for path in sorted(HERE.glob("[a-z]*.py"))}
    order = [name for name in re.findall(r"^  (\w+):$", text, re.MULTILINE) if name in files]
    return [files[name] for name in dict.fromkeys([*order, *files])]


def _stage_command(path: Path) -> None:
    """The command of flows/STAGE.py, explained by the first line of that file."""
    first_line = path.read_text(encoding="utf-8").split("\n", 1)[0].strip('".')

    @app.command(path.stem, help=first_line.removeprefix(f"{path.stem}: "), rich_help_panel=stage_help)
    def command() -> None:
        from flows.engine.run import stage

        stage(path.stem)


OWN_COMMANDS = ("train", "generate")  # they take an experiment, and more
for _path in stage_files():
    if _path.stem not in OWN_COMMANDS:
        _stage_command(_path)


@app.command(rich_help_panel=stage_help)
def train(experiment: Annotated[str, typer.Argument(help="name of an experiment of params.yaml")]) -> None:
    """Fine-tune the base model by DreamBooth -> models/EXPERIMENT."""
    from flows.engine.run import stage

    stage("train", experiment)


@app.command(rich_help_panel=stage_help)
def generate(
    prompt: Annotated[str | None, typer.Argument(help="an emotion: one clip for you; without it, the stage")] = None,
    experiment: Experiment = "ours",
    seconds: Annotated[
        float | None, typer.Option(min=1, max=600, help="length (s); default: generate.seconds of params.yaml")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="another seed, another piece")] = 0,
    to: Annotated[str | None, typer.Option(help="second emotion: glide from PROMPT to it")] = None,
    like: Annotated[Path | None, typer.Option(help="vary this audio clip or spectrogram picture")] = None,
    strength: Annotated[float, typer.Option(min=0.05, max=1, help="with --like: how far from it")] = 0.6,
    out: Annotated[Path | None, typer.Option(help="folder for the clip; default: clips/EXPERIMENT")] = None,
) -> None:
    """Generate music. With PROMPT: one clip to hear; without: all clips of an experiment (the stage)."""
    if prompt is None:
        from flows.engine.run import stage

        stage("generate", experiment)
        return
    from tasks.apps.single_clip import generate_clip
    from tasks.settings import load

    folder, values = out or Path("clips") / experiment, load()
    length = seconds or values.generate.seconds
    row = generate_clip(prompt, experiment, values, length, seed, folder, to, like, strength)
    for name in ("png", "wav", "listening"):
        typer.echo(folder / row[name])


@app.command(rich_help_panel="Run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def repro(context: typer.Context) -> None:
    """Run every stage whose inputs changed (`dvc repro`, further arguments are passed to it)."""
    from flows.deploy.repro import repro as run

    raise typer.Exit(run(context.args))


@app.command(rich_help_panel="Run")
def use(
    profile: Annotated[str, typer.Argument(help="demo, thesis, folder, or another file of profiles/")],
    path: Annotated[Path | None, typer.Argument(help="with `folder`: your folder of audio")] = None,
    labels: Annotated[Path | None, typer.Option(help="with `folder`: CSV with song_id, valence, arousal")] = None,
    scale: Annotated[tuple[float, float], typer.Option(help="with `folder`: lowest and highest rating")] = (
        1,
        9,
    ),
) -> None:
    """Write a profile into params.yaml (what differs from a profile in the old file is kept beside it)."""
    from tasks.apps.profiles import use_profile

    for line in use_profile(profile, path, labels, scale):
        typer.echo(line)


@app.command(rich_help_panel="Run")
def why(
    stage: Annotated[str | None, typer.Option(help="only this stage, in detail")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Tell what would run again and because of what, before running it."""
    from tasks.why.text import explain

    typer.echo(explain(Path(), stage, as_json))


@app.command(rich_help_panel="Look")
def lineage(
    file: Annotated[Path | None, typer.Argument(help="any artifact: a WAV, a model, a spectrogram, a metric")] = None,
    downstream: Annotated[str | None, typer.Option(help="song id: all that was ever made from it")] = None,
    form: Annotated[str, typer.Option("--format", help="tree, json, prov, or crate")] = "tree",
    out: Annotated[
        Path | None, typer.Option(help="with --format crate the folder, with prov the file to write")
    ] = None,
) -> None:
    """From an artifact back to songs, parameters, code and base model; or from a song forward."""
    from tasks.lineage.show import show

    typer.echo(show(Path(), file, downstream, form, out))


@app.command(rich_help_panel="Look")
def labels(
    folder: Annotated[Path, typer.Argument(help="any folder with DEAM's annotation files, at any depth")],
    scheme: Annotated[str, typer.Option(help="quadrants, five or clusters")] = "quadrants",
    published: Annotated[bool, typer.Option(help="keep the published values, swap and all")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
) -> None:
    """Counts per class, the swap check per part, and what was refused."""
    from tasks.label.labels import look
    from tasks.settings import load_or_demo

    values = load_or_demo()
    typer.echo(look(folder, values.label, scheme, published, as_json, values.seed))


@app.command(rich_help_panel="Look")
def params() -> None:
    """Every parameter with meaning, unit, range, default (the demo's) and present value."""
    from tasks.apps.profiles import table

    typer.echo(table())


@app.command(rich_help_panel="Look")
def doctor() -> None:
    """Versions, disk, memory, ffmpeg, GPU, and whether the sources and the hub can be reached."""
    from flows.deploy.doctor import examine

    raise typer.Exit(examine())


@app.command(rich_help_panel="Tools")
def encode(
    audio: Annotated[Path, typer.Argument(help="WAV, MP3 or other audio")],
    png: Annotated[Path, typer.Argument(help="picture to write")],
    channel: Annotated[
        Literal["left", "right", "mix", "stereo"] | None,
        typer.Option(help="what is pictured; default: as in params.yaml"),
    ] = None,
    tile: Annotated[bool, typer.Option(help="cut tiles instead of one picture of the whole file")] = False,
) -> None:
    """Audio -> spectrogram picture, as Riffusion has it."""
    from tasks.codec.files import encode_file
    from tasks.settings import load_or_demo

    values = load_or_demo().spectrogram
    values = values.model_copy(update={"channel": channel}) if channel else values
    for path in encode_file(audio, png, values, tile):
        typer.echo(path)


@app.command(rich_help_panel="Tools")
def decode(
    png: Annotated[list[Path], typer.Argument(help="spectrogram picture, Riffusion's too; or all tiles of one")],
    audio: Annotated[Path, typer.Argument(help="audio to write: .wav, .mp3 or .ogg")],
    seed: Annotated[int, typer.Option(min=0, help="of the first phases")] = 0,
    method: Annotated[
        Literal["pghi", "griffin_lim"], typer.Option(help="first phases: gradient integration, or random as reference")
    ] = "pghi",
    iterations: Annotated[int, typer.Option(min=0, max=512, help="Griffin-Lim iterations")] = 16,
) -> None:
    """Spectrogram picture -> audio (WAV, MP3 or OGG by the ending); the overlaps of tiles are cross-faded."""
    from tasks.codec.files import decode_file
    from tasks.codec.params import DecodeParams

    decode_file(png, audio, DecodeParams(method=method, iterations=iterations), seed)
    typer.echo(audio)


@app.command(rich_help_panel="Tools")
def clips(
    folder: Annotated[Path, typer.Argument(help="gets a WAV file for each clip that needs an embedding")],
) -> None:
    """Write the clips that evaluate compares, named by their keys, for embeddings made elsewhere (.npz)."""
    from flows.engine.progress import Progress
    from tasks.apps.export_clips import write_clips
    from tasks.settings import load

    typer.echo(f"{write_clips(folder, load(), Progress('clips'))} clips in {folder}")


@app.command("listening-test", rich_help_panel="Tools")
def listening_test(
    folder: Annotated[Path, typer.Argument(help="folder to make, or with --read the folder of answers")],
    read: Annotated[bool, typer.Option(help="read answers (CSV) instead of making a test")] = False,
    seed: Annotated[int, typer.Option(help="of the order and the choice of pairs")] = 0,
) -> None:
    """A blind listening test as a self-contained folder, and the reading of its answers."""
    from tasks.apps.listening import make, read_answers

    typer.echo(read_answers(folder) if read else make(Path(), folder, seed))


@app.command(rich_help_panel="Tools")
def play(
    host: Annotated[str, typer.Option(help="0.0.0.0 opens it to the network")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="of the page")] = 7860,
) -> None:
    """The playground in a browser (needs the optional extra `play`: README)."""
    from tasks.apps.playground import launch
    from tasks.settings import load

    launch(Path(), host, port, load())


@app.command(rich_help_panel="Run")
def serve(port: Annotated[int, typer.Option(help="of Prefect's server")] = 4200) -> None:
    """Prefect server, worker and the deployments of prefect.yaml, on loopback, until Ctrl-C."""
    from flows.deploy.serve import serve as run

    raise typer.Exit(run(port))


def main(arguments: list[str] | None = None) -> Any:
    """Run a command; an error of ours is a message, not a traceback."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait starve on a busy machine
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # what is not installed on purpose is no news
    try:
        return app(arguments, prog_name="emoriff")
    except EmoriffError as error:
        if os.environ.get("EMORIFF_TRACEBACK"):
            raise
        message = error
    except OSError as error:
        if os.environ.get("EMORIFF_TRACEBACK") or not (error.filename or error.errno in CANNOT_WRITE):
            raise  # it says too little without where it came from
        todo = "see to it that it is there and may be used, then run the same command again: finished work is kept"
        message = EmoriffError(f"cannot be used: {error.strerror}", where=error.filename, todo=todo)
    print(f"emoriff: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
