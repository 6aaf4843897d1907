"""Stage train: data/dataset + models/base -> **models/EXPERIMENT, reports/train/EXPERIMENT** -> generate, report.

In: the dataset's images with their emotions and the base model. Out: a fine-tuned pipeline folder per experiment of
params.yaml (`train.defaults` overlaid with `train.experiments.NAME`), and its loss curves.

Three functions to know:
- `train.fine_tune`: one experiment; the loop is `tasks.trainer`.
- `params.experiment_of`: the whole parameter set of an experiment.
- `tasks.trainer.params.overlay`: how an experiment is laid over the defaults.
"""
