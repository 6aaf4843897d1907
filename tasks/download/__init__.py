"""Stage 1, download: declared sources -> **data/raw** (audio/, annotations/, metadata/, sources.json).

In: params.yaml's `download` block: zip archives by address, size, hash and licence, or a folder of one's own. Out:
files named by song id, and sources.json with hash, licence and citation of each source. Nothing gets its final name
before its SHA-256 is right, nothing is downloaded twice, and an interrupted download goes on where it stopped.

    sources.py    mirrors, hashes, receipts (obtain, fetch)
    http.py       one address into a partial file: resume, retries, stalls (download)
    archives.py   zip members by name, bombs and path traversal refused (unpack)
    folder.py     a user's own audio with a table of labels (take_folder)

`obtain` is what flows/download.py calls; `fetch` and `unpack` are the other two to know. The demo's songs are
rendered by tasks/demo_corpus instead.
"""
