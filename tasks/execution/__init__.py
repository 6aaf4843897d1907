"""How the work of a stage is done: items from the cache or computed, in processes, under a lock.

Comes in: a bucket of items (a song, a batch of clips), the function that makes one, its parameters.
Goes out: rows for the stage's table and files in the stage's folder, each remembered by content.

Nothing here decides a byte of a result, so none of it is part of a key (closure.PLUMBING).

- `buckets.in_pool`, `buckets.in_process`: what a Prefect task of flows/STAGE.py calls
- `cache.Cache`: records by key, hashes by file state; what DVC's cache can give back
- `closure.code_digest`: the code's part of a key
"""
