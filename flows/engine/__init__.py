"""How a stage runs: locked, on one Prefect server, in buckets, from the cache where it can, recorded.

- `run.stage`: `python -m flows STAGE`; `run.run`: items through a Prefect task
- `content.Content`: the cache policy of every task
- `server.ensure`: a Prefect server of our own on loopback, or the one that is asked for
- `graph`: what dvc.yaml says of code and plots
"""
