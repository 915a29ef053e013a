"""Progress: how far a training run has come."""

from dataclasses import dataclass

from codegym.training.config import Phase


@dataclass(slots=True)
class Progress:
    """Training progress; saved in the checkpoint.

    Attributes:
        phase: Number of the phase.
        updates: Updates done in the phase.
        programs: Programs of the phase.
        elapsed_s: Seconds of training in the phase.
        total_programs: Programs of the whole run.
        total_s: Seconds of training of the whole run.
        next_point: Number of the next evaluation within the phase.
        best: The best held-out figure of the phase so far; higher is better.
        points_since_best: Evaluations since then.
    """

    phase: int = 0
    updates: int = 0
    programs: int = 0
    elapsed_s: float = 0.0
    total_programs: int = 0
    total_s: float = 0.0
    next_point: int = 1
    best: float | None = None
    points_since_best: int = 0

    def advance(self, *, programs: int, seconds: float) -> None:
        """Count an update of so many programs."""
        self.updates += 1
        self.programs += programs
        self.total_programs += programs
        self.elapsed_s += seconds
        self.total_s += seconds

    def compare(self, figure: float) -> None:
        """Compare an evaluation's figure with the best so far."""
        if self.best is None or figure > self.best:
            self.best, self.points_since_best = figure, 0
        else:
            self.points_since_best += 1

    def next_phase(self) -> "Progress":
        """Return the progress at the start of the next phase."""
        return Progress(
            phase=self.phase + 1, total_programs=self.total_programs, total_s=self.total_s
        )

    def share(self, phase: Phase) -> float:
        """Return the share of the phase's budget that is spent, in [0, 1]."""
        if phase.minutes:
            return min(1.0, self.elapsed_s / (60.0 * phase.minutes))
        if phase.updates:
            return min(1.0, self.updates / phase.updates)
        return min(1.0, self.programs / phase.programs)
