"""Stage 3, segment: data/wav/manifest.parquet -> **data/segments/segments.parquet**.

In: the lengths of the songs. Out: a row per window (song_id, segment, start and length in seconds and samples,
whether it is padded). No audio is copied.

`write_table` is the stage, `cut` the rule for one song. `spectrogram_name` and `parse_name` are the names of the
pictures that later stages make of a window: song, segment, tile, augmentation.
"""
