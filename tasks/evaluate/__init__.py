"""evaluate: generated clips and held-out real audio -> reports/metrics.json and four tables.

In: `data/generated/NAME` (clips with their prompts), `data/wav`, `data/segments`, `data/labels` (real clips with
artist, split, emotion, valence and arousal), `models/base/vae` (what the VAE does to real clips).
Out: `reports/metrics.json`, `predictions.parquet`, `real_clips.parquet`, `kad_matrix.csv`, `confusion.csv`; their
columns are declared in `tables`.

A *system* is a set of clips that is measured together: an experiment, the base model, or real clips in one condition
(as they are, through the codec, through the VAE besides). The *reference* is real clips of artists that training
never saw, after the codec; the *matched reference* has also been through the VAE.

Three functions to know:
- `evaluation.measure_clips` is the whole stage: choose clips, describe them, train the judge, measure, write.
- `features.describe` gives the numbers that describe how a clip sounds; `judge.train_judge` learns emotions from them.
- `reference.distances` gives FAD, FAD-infinity and KAD to the reference; `intervals` says how sure each measure is.
"""
