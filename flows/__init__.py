"""Prefect: one flow per stage in flows/STAGE.py, with the tasks that it calls.

- `engine`: how a stage runs (lock, server, buckets, cache policy, progress, record)
- `deploy`: how the stages run together (`emoriff repro`, schedules, `emoriff serve`, `emoriff doctor`)
- `__main__`: the command line
"""
