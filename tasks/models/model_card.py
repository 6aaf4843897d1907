"""The README.md of a model folder, as Hugging Face reads it: what it is, of what, how, with what result."""

from typing import Any

CARD = """---
library_name: diffusers
pipeline_tag: text-to-image
tags: [stable-diffusion, riffusion, dreambooth, music, emotion]
license: other
---
# {title}

{summary}

## For what
To draw pictures that become short pieces of music of a named emotion, for research and for play. Not to tell what a
person feels, and not to pass its music off as somebody's own. The data's licence below decides on other uses.

## Use
```python
from diffusers import StableDiffusionPipeline
pipeline = StableDiffusionPipeline.from_pretrained("{folder}")
picture = pipeline("{prompt}", height={resolution}, width={resolution}).images[0]
```
The picture is a mel spectrogram in Riffusion's form (time to the right, low pitch below, dark is loud);
`emoriff decode` turns it into audio.

## How it was made
{made}

## Numbers
{numbers}
How its clips are judged stands in `reports/metrics.json` of the run that made it.

## Data and licence
{licence}

## Limits
Emotion labels are averages of a few listeners. The model draws pictures of music of one tile's length, without a
form.
"""


def bullets(facts: dict[str, Any]) -> str:
    """A list, one fact a line, in the order given."""
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def card(title: str, summary: str, prompt: str, resolution: int, licence: str, made: str, numbers: str) -> str:
    """The card's text; `made` and `numbers` are lists of `bullets`."""
    return CARD.format(
        title=title,
        summary=summary,
        folder=f"models/{title}",
        prompt=prompt,
        resolution=resolution,
        licence=licence,
        made=made,
        numbers=numbers,
    )
