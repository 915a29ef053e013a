"""The papers' ablations as data: what is asked, the arms, the seeds, and the sign in question."""
