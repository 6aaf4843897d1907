"""Stage spectrogram: data/wav + data/segments -> **data/spectrograms** -> dataset.

In: a WAV file per song and the rows of its segments. Out: PNG files named SONG_SEGMENT_TILE.png, with -AUGMENTATION
for a changed copy, and manifest.parquet with a row per image (columns: `render.COLUMNS`). A song is an item: songs
run side by side and are cached one by one.

Three functions to know:
- `render.render_song`: the images of one song and their rows.
- `render.manifest`: all rows as the table.
- `augmentation.augment`: a changed copy of a segment whose label stays true.
"""
