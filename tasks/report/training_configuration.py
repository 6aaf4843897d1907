"""What each model was trained with, in words: results -> **training configuration** -> page."""

from collections.abc import Mapping
from typing import Any

from tasks.report.results import BASE, Results

WORDS = {"{emotion}": "the emotion's word", "": "nothing"}  # prompts that are better described than quoted


def training_configurations(results: Results) -> list[tuple[str, str]]:
    """(experiment, one sentence about how it was made), of every model that says so."""
    return [(name, sentence(name, results.models[name])) for name in results.experiments if name in results.models]


def sentence(name: str, made: Mapping[str, Any]) -> str:
    """What a model's emoriff.json says of its making; the name of a base that was taken as it is."""
    params, figures = made.get("parameters"), made.get("figures", {})
    if not params:
        return f"taken as it is: {made.get('name', 'a Stable Diffusion')}"
    prompts = " / ".join(WORDS.get(prompt, f"“{prompt}”") for prompt in params["prompts"])
    per_step = params["batch"] * params["accumulation"] * params["processes"]
    optimizer = params["optimizer"]
    parts = [
        f"prompted with {prompts}",
        f"{figures.get('steps', params['steps'])} steps of {per_step} picture{'s' if per_step > 1 else ''}",
        f"{params['resolution']} pixels",
        f"learning rate {optimizer['learning_rate']:g}, {optimizer['schedule']}",
        "classes in turn" if params["sampling"] == "balanced" else "pictures as they come",
        *(extra for extra, on in (("LoRA", params["lora"]), ("prior preservation", params["prior"])) if on),
        *figures.get("notes", []),
    ]
    return ("before fine-tuning; " if name == BASE else "") + "; ".join(parts)


def drawn(results: Results) -> dict[str, dict[str, int]]:
    """Experiment -> emotion -> pictures that training drew, of the configurations that draw the classes in turn.

    The others draw every picture once an epoch, so their shares are those of the training pictures.
    """
    found = {}
    for name in results.experiments:
        made = results.models.get(name, {})
        if name == BASE or made.get("parameters", {}).get("sampling") != "balanced":
            continue
        seen, emotions = made["figures"]["pictures_seen"], made["parameters"]["emotions"]
        whole, rest = divmod(seen, len(emotions))
        found[name] = {emotion: whole + (index < rest) for index, emotion in enumerate(emotions)}
    return found
