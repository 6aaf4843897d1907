"""Stage 6, dataset: data/labels + data/spectrograms -> **data/dataset** (pictures by split, tables, data card).

In: pictures, labels of songs and segments, the record of sources. Out: SPLIT/NAME.png with metadata.jsonl as Hugging
Face's imagefolder reads it, dataset.parquet, excluded.parquet with a reason per picture, and README.md, the data card.
No artist is in two splits, and no class has too few pictures: the stage stops otherwise.

`write_dataset` is the stage, `join` decides which picture is in, `card` (data_card.py) writes the data card.
"""
