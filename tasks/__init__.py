"""The work: plain functions of values and paths, without Prefect.

Shared libraries: core < execution < audio < codec < models < trainer. Stages in data-flow order: download, convert,
segment, label, spectrogram, dataset, base, train, generate, evaluate, report. Beside them demo_corpus, lineage, apps.
A stage imports libraries and earlier stages, never a later one; `settings` holds the whole of params.yaml.
"""
