"""Stable Diffusion pipelines on the disk: hub or folder -> **models/NAME** -> training, generation, evaluation.

In: a diffusers folder, local or from the hub at a pinned commit, in safetensors only. Out: a StableDiffusionPipeline in
memory, or a folder that stock diffusers and transformers read, with a model card (README.md) and the facts of its
making (emoriff.json).

Three functions to know:
- `pipelines.load`: the pipeline of a folder, in float32 on the CPU.
- `pipelines.save`: a pipeline as a folder, whole or not at all.
- `hub.fetch`: a folder from the hub, refused unless it is a Stable Diffusion without pickled weights.

Beside them: `emotion_conditioning` (a learned vector per emotion, saved beside the stock weights), `model_card`,
`pixels` (uint8 images <-> the VAE's range).
"""
