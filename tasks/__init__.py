"""Nouns: plain functions of the pipeline, importable without Prefect.

Data flow: download -> convert -> segment -> label -> spectrogram -> dataset -> base -> train
-> generate -> evaluate -> report.
"""
