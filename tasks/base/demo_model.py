"""A Stable Diffusion of the real classes, small and untrained: sizes -> **parts** -> base.

Every part is the class that riffusion-model-v1 has, only smaller, so that what works here works there.
"""

from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

from tasks.base.params import DemoBaseParams

# Words that come in one piece. The emotion words are here so that they can be taught; pre-training never
# shows them.
WORDS = """
a an and audio background bass beat clip drums dynamic emotion fast feeling for from guitar high in
instrument instrumental loud low major melody minor mood music of on piano piece quiet rhythm slow soft
song sound spectrogram strings synth tempo the track tune voice with angry anxious calm cheerful dark
depressed dreamy energetic epic excited gentle gloomy happy joyful melancholic mellow neutral nostalgic
peaceful relaxed romantic sad scary serene tender tense triumphant
"""
TOKENS_PER_PROMPT = 16
START, END = "<|startoftext|>", "<|endoftext|>"


@cache
def byte_symbols() -> list[str]:
    """The 256 printable symbols that stand for bytes in GPT-2's and CLIP's vocabularies, in CLIP's order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(rest))]


def learn_merges(words: tuple[str, ...] | list[str]) -> list[tuple[str, str]]:
    """Byte-pair merges (Sennrich et al. 2016) after which every word is one piece.

    The most frequent pair first, ties by alphabet, so that the list depends on the words alone.
    """
    pieces = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges: list[tuple[str, str]] = []
    while any(len(word) > 1 for word in pieces):
        counts = Counter(pair for word in pieces for pair in pairwise(word))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        pieces = [merge(word, best) for word in pieces]
    return merges


def merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    """`word` with each occurrence of `pair` joined, left to right."""
    joined: list[str] = []
    for piece in word:
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def build_tokenizer() -> Any:
    """A CLIPTokenizer whose vocabulary is written here; any other text falls into bytes, never into unknown."""
    from transformers import CLIPTokenizer

    merges: Any = learn_merges(sorted(WORDS.split()))
    symbols = byte_symbols()
    pieces = [*symbols, *(symbol + "</w>" for symbol in symbols), *(left + right for left, right in merges)]
    vocabulary = {piece: index for index, piece in enumerate([*pieces, START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS_PER_PROMPT)


def build_text_encoder(params: DemoBaseParams, tokenizer: Any) -> Any:
    """A two-layer CLIPTextModel, freshly drawn."""
    from transformers import CLIPTextConfig, CLIPTextModel

    width = params.text_width
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS_PER_PROMPT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_vae(params: DemoBaseParams) -> Any:
    """An AutoencoderKL with 8 pixels a latent and 4 channels, as Stable Diffusion's; scale 1 (it is whitened)."""
    from diffusers import AutoencoderKL

    levels = len(params.vae_channels)
    return AutoencoderKL(
        block_out_channels=params.vae_channels,
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=params.training.resolution,
        scaling_factor=1.0,
    )


def build_unet(params: DemoBaseParams) -> Any:
    """A UNet2DConditionModel with cross-attention on all levels but the first."""
    from diffusers import UNet2DConditionModel

    deeper = len(params.unet_channels) - 1
    return UNet2DConditionModel(
        sample_size=params.training.resolution // 8,
        block_out_channels=params.unet_channels,
        down_block_types=["DownBlock2D"] + ["CrossAttnDownBlock2D"] * deeper,
        up_block_types=["CrossAttnUpBlock2D"] * deeper + ["UpBlock2D"],
        layers_per_block=1,
        cross_attention_dim=params.text_width,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def build_scheduler() -> Any:
    """DDIM with v-prediction (Salimans & Ho 2022) and zero terminal SNR, trailing steps (Lin et al. 2024).

    Spectrograms are mostly background: the mean brightness of an image must be drawn too, which the usual
    schedule, never quite pure noise at its end, cannot learn.
    """
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
