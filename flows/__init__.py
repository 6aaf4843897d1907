"""Verbs: one Prefect flow a stage, wiring only."""
