"""Stage base: a hub's repository, a local folder, or data/dataset -> **models/base** -> train, generate, evaluate.

In: `base.repository` at a pinned commit, or `base.demo`, the sizes of a small Stable Diffusion that is pre-trained here
on the dataset's images without their labels. Out: an ordinary diffusers pipeline folder in safetensors.

Three functions to know:
- `base.make_base`: the stage's entry; chooses between the two.
- `adoption.adopt`: a pipeline from elsewhere, checked, loaded by stock diffusers and saved again.
- `pretraining.make_demo`: the demo's model: first its VAE (`vae.load_or_train`), then U-Net and text encoder by the
  training loop of the experiments. `demo_model` builds the untrained parts.
"""
