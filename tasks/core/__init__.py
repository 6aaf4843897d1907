"""What every package uses: files, tables, errors, paths, parameters. It knows nothing of music.

- `files`: whole or absent files, hashes, digests, seeds; `storage`: how bytes get to the disk
- `errors.EmoriffError`: what went wrong, where, expected, got, what to do; `messages.shown` for what strangers wrote
- `layout`: where each artifact stands; `params_base.Block`: what a stage's parameters are made of
"""
