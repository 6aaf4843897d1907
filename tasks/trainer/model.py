"""The trainable parts of a pipeline as one module: models/base -> **TrainableModel** -> loop.

One module holds U-Net, text encoder and emotion conditioning, so that gradients, clipping and several processes are
dealt with once.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tasks.core.errors import ModelError, ParameterError
from tasks.core.seeding import drawn_from
from tasks.models.emotion_conditioning import EmotionConditioning
from tasks.trainer import lora
from tasks.trainer.batches import filled
from tasks.trainer.optimizers import choose_layers
from tasks.trainer.params import ExperimentParams


class TrainableModel(nn.Module):
    """Predicts from noisy latents, time steps, prompts (rows of the run's prompts) and emotion labels."""

    tokens: torch.Tensor
    embeddings: torch.Tensor

    def __init__(self, unet: Any, text_encoder: Any, tokens: torch.Tensor, emotion: EmotionConditioning | None) -> None:
        super().__init__()
        self.unet, self.emotion = unet, emotion
        self.text_encoder = text_encoder if any(p.requires_grad for p in text_encoder.parameters()) else None
        self.register_buffer("tokens", tokens, persistent=False)
        with torch.no_grad():
            states = text_encoder(tokens.to(text_encoder.device))[0]
            self.register_buffer("embeddings", states, persistent=False)

    def forward(self, noisy: Any, timesteps: Any, prompts: Any, labels: Any) -> Any:
        """The prediction [n, c, h, w]."""
        if self.emotion is not None:
            self.emotion.labels = labels
        return self.unet(noisy, timesteps, self.states(prompts)).sample

    def states(self, prompts: Any) -> Any:
        """Text states [n, tokens, width]: cached ones, or each distinct prompt encoded once."""
        if self.text_encoder is None:
            return self.embeddings[prompts]
        distinct, places = torch.unique(prompts, return_inverse=True)
        return self.text_encoder(self.tokens[distinct])[0][places]

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that get gradients, by name."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def groups(self, params: ExperimentParams) -> list[tuple[list[Any], float]]:
        """(parameters, peak learning rate): the text encoder has its own."""
        rate = params.optimizer.learning_rate
        text_rate = params.optimizer.text_learning_rate or rate
        trainable_parameters = self.trainable_parameters()
        text = [parameter for name, parameter in trainable_parameters.items() if name.startswith("text_encoder.")]
        rest = [parameter for name, parameter in trainable_parameters.items() if not name.startswith("text_encoder.")]
        return [(rest, rate), (text, text_rate)]


def build(pipeline: Any, texts: Sequence[str], params: ExperimentParams, seed: int) -> TrainableModel:
    """The model of an experiment: gradients where it asks for them, adapters and conditioning added."""
    unet, text_encoder = pipeline.unet, pipeline.text_encoder
    refuse_resolution(pipeline, params.resolution)
    with drawn_from(seed, "new weights"):
        if params.lora is None:
            choose_layers(unet, params.unet_layers)
            text_encoder.requires_grad_(params.text_encoder == "train")
        else:
            lora.add(unet, params.lora, params.unet_layers)
            text_encoder.requires_grad_(False)
            if params.text_encoder == "train":
                lora.add(text_encoder, params.lora, ["all"])
        conditioning = params.conditioning
        emotion = (
            EmotionConditioning(params.emotions, unet, conditioning.adaptive_norm)
            if conditioning.emotion_embedding
            else None
        )
    if params.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        if params.text_encoder == "train":
            text_encoder.gradient_checkpointing_enable()
    return TrainableModel(unet, text_encoder, tokens_of(pipeline.tokenizer, texts), emotion)


def tokens_of(tokenizer: Any, texts: Sequence[str]) -> torch.Tensor:
    """Token ids int64 [texts, model_max_length], padded as the pipeline pads them."""
    return tokenizer(
        list(texts),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids


def word_notes(tokenizer: Any, emotions: Sequence[str]) -> list[str]:
    """A note for each emotion word that the tokenizer cuts into pieces: it is learned, but shares them with others.

    Raises:
        ModelError: a word that becomes unknown or nothing, or two words that become the same tokens.
    """
    notes: list[str] = []
    words: dict[tuple[int, ...], str] = {}
    for emotion in emotions:
        tokens = tuple(tokenizer(emotion, add_special_tokens=False).input_ids)
        pieces = tokenizer.convert_ids_to_tokens(list(tokens))
        if not tokens or tokenizer.unk_token_id in tokens or tokens in words:
            raise ModelError(
                "the base's tokenizer cannot tell the emotion words apart",
                where="models/base/tokenizer",
                expected=f"tokens of its own for {emotion!r}",
                got=f"the same as {words[tokens]!r}" if tokens in words else f"unknown: {pieces}",
                todo="name the emotion otherwise (train.*.emotions), or take a base with a CLIP tokenizer",
            )
        words[tokens] = emotion
        if len(tokens) > 1:
            notes.append(f"the tokenizer cuts {emotion!r} into {' + '.join(pieces)}")
    return notes


def refuse_cut_prompts(tokenizer: Any, params: ExperimentParams) -> None:
    """Raise when a prompt is so long that the tokenizer cuts the emotion off its end.

    Raises:
        ModelError: names the prompt.
    """
    for template in params.prompts:
        texts = [filled(template, emotion) for emotion in params.emotions]
        different = len(torch.unique(tokens_of(tokenizer, texts), dim=0))
        if "{emotion}" in template and different < len(texts):
            raise ModelError(
                "a prompt is cut before its emotion",
                where=f"train: prompts, {template!r}",
                expected=f"at most {tokenizer.model_max_length} tokens",
                got=f"{len(tokenizer(texts[0]).input_ids)} tokens",
                todo="shorten it, or put {emotion} nearer to its start",
            )


def refuse_resolution(pipeline: Any, resolution: int) -> None:
    """Raise unless the U-Net can halve the latents of such an image as often as it is deep."""
    multiple = pipeline.vae_scale_factor * 2 ** (len(pipeline.unet.config.block_out_channels) - 1)
    if resolution % multiple:
        near = max(multiple, round(resolution / multiple) * multiple)
        raise ParameterError(
            "this base cannot take images of that size",
            where="train: resolution",
            expected=f"a multiple of {multiple} pixels ({pipeline.vae_scale_factor} a latent, and the U-Net's depth)",
            got=resolution,
            todo=f"try {near}",
        )
