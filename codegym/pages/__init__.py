"""Pages: self-contained HTML of episodes, runs and comparisons, in one file."""
