"""Curves of a run: training -> **reports/train/NAME/loss.csv, validation.csv**; DVCLive and TensorBoard by choice.

The CSV files are artifacts: the same run gives the same bytes. The trackers' own files carry times and so stay in
the work folder.
"""

import csv
import io
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.core.csv_tables import safe
from tasks.core.files import write_text

LOSS_COLUMNS = {"step": "int64", "loss": "float64", "learning_rate": "float64", "validation_loss": "float64"}
VALIDATION_COLUMNS = {"step": "int64", "group": "str", "name": "str", "loss": "float64"}


def write_curves(folder: Path, losses: list[list[Any]], validations: list[list[Any]]) -> None:
    """loss.csv (a row a step; validation_loss empty between) and validation.csv (total, band, emotion)."""
    totals = {step: loss for step, group, _name, loss in validations if group == "total"}
    rows: list[list[Any]] = [[0, "", "", totals[0]]] if 0 in totals else []
    rows += [[step, loss, rate, totals.get(step, "")] for step, loss, rate in losses]
    write_text(folder / "loss.csv", table(LOSS_COLUMNS, rows))
    write_text(folder / "validation.csv", table(VALIDATION_COLUMNS, validations))


def table(columns: Iterable[str], rows: list[list[Any]]) -> str:
    """CSV text with 7 significant digits, more than a float32 holds with certainty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{value:.7g}" if isinstance(value, float) else safe(value) for value in row] for row in rows)
    return text.getvalue()


class Trackers:
    """DVCLive and TensorBoard, as asked for; neither sees an image or a weight.

    A resumed run logs its whole curves again, so that they too are those of an undisturbed one.
    """

    def __init__(self, names: Sequence[str], folder: Path) -> None:
        self.live: Any = None
        self.board: Any = None
        self.n_logged = [0, 0]  # rows of the losses and of the validations
        if names:  # of several processes only the first logs; the others must not remove what it has made
            shutil.rmtree(folder, ignore_errors=True)
        if "dvclive" in names:
            from dvclive import Live

            self.live = Live(str(folder / "dvclive"), save_dvc_exp=False, dvcyaml=None, report=None)
        if "tensorboard" in names:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder / "tensorboard"))

    def log_new(self, losses: Sequence[list[Any]], validations: Sequence[list[Any]]) -> None:
        """Tell what has been added to the curves since the last call."""
        new = [
            (step, f"validation/{group}/{name}", loss) for step, group, name, loss in validations[self.n_logged[1] :]
        ]
        for step, loss, rate in losses[self.n_logged[0] :]:
            new += [(step, "loss", loss), (step, "learning_rate", rate)]
        self.n_logged = [len(losses), len(validations)]
        for step, name, value in new:
            if self.live:
                self.live.step = step
                self.live.log_metric(name, value)
            if self.board:
                self.board.add_scalar(name, value, step)
        if self.live and new:
            self.live.make_summary()

    def close(self) -> None:
        """Flush and end."""
        if self.live:
            self.live.end()
        if self.board:
            self.board.close()
