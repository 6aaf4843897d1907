"""Runs of the whole pipeline: by hand, by schedule, and what they need.

    repro.py      `emoriff repro`: `dvc repro` with one lock, one Prefect server and a table at the end
    reproduce.py  the flows of prefect.yaml's deployments: nightly, weekly from scratch, an experiment on demand
    serve.py      `emoriff serve`: Prefect's server and a worker on loopback
    doctor.py     `emoriff doctor`: does this machine have what the profile needs?

`repro`, `reproduce` and `serve` are the three functions to know.
"""
