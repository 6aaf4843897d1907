"""How the stages run together.

- `repro.repro`: `emoriff repro`, DVC under a lock with a table at the end
- `reproduce`: the flows of prefect.yaml, run by schedule or on demand
- `serve.serve`: Prefect server, worker and deployments on loopback
- `doctor.examine`: what this machine has and lacks
"""
