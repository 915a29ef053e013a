"""Member: what each further process of a run executes; see ``team_processes``."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codegym.learning.team import Team
from codegym.training.config import TrainConfig
from codegym.training.run_folder import RunFolder
from codegym.training.team_processes import follow
from codegym.training.trainer import Trainer


def _train(team: Team, job: Mapping[str, Any]) -> None:
    trainer = Trainer(TrainConfig.from_mapping(job["config"]), RunFolder(Path(job["folder"])))
    trainer.follow(team, resume=job["resume"])


if __name__ == "__main__":
    sys.exit(follow(Path(sys.argv[1]), int(sys.argv[2]), _train))
