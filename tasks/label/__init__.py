"""Stage 4, label: annotations + segments -> **data/labels** (songs, segments, report.json).

In: DEAM's tables of valence and arousal, per song and per second, and the artists. Out: a row per song with values
on 0..1, emotion, artist and split, or with the reason why it is excluded; a row per segment; a report of what was
checked and corrected. Valence and arousal are swapped in DEAM's first thousand songs: that is found in the data.

    annotations.py     CSV files by content, whatever their names (read_folder)
    swap.py            are the axes swapped? a decision per part (check_parts)
    emotions.py        classes of the valence-arousal plane (fit_plane, emotions_of)
    splits.py          train, validation, test by artist; a song more moves no other (split_by_artist)
    segment_labels.py  values of a segment by its per-second curves
    labels.py          all of it (write_labels), and `emoriff label --look`

`write_labels`, `check_parts` and `fit_plane` are the three functions to know.
"""
