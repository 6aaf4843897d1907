"""report: everything a run left behind -> reports/index.html and reports/media, the page a person reads.

In: the tables of labels, data set and evaluation, `reports/metrics.json`, loss curves, the facts of each model, and
generated clips; whatever is missing is named on the page. Out: one folder that needs no network and no server.

The same inputs give the same bytes. Every sentence and figure is computed from the results, with n and interval.

Three functions to know:
- `report.write_report` is the whole stage.
- `results.load` reads what is there into one `Results`; every other module here takes that.
- `findings.sentences` says what was asked, what was found, and what was not shown.
"""
