"""DreamBooth training, for experiments and the demo's base: data/dataset + a pipeline -> **a fine-tuned pipeline**.

In: labelled spectrogram images, a Stable Diffusion folder, ExperimentParams, a seed. Out: a model folder, its curves
(loss.csv, validation.csv, training.json), and while it goes on checkpoints that a killed run continues from. Every
random draw is keyed by seed and step, so that an interrupted run gives the same bytes as an undisturbed one on a CPU.

Three functions to know:
- `loop.train`: the whole run; `loop.fit` is the training loop on one screen.
- `data.load`: all that a step draws from; `data.inputs_of`: what a checkpoint is valid for.
- `export.export`: the model folder and the curves.

In data-flow order: `images` -> `latents` -> `batches`, `prior`, `validation` -> `data` -> `model`, `lora`, `optimizers`
-> `losses`, `emotion_classifier` -> `loop` (with `run`, `processes`, `checkpoints`, `preview`, `trackers`) -> `export`.
"""
