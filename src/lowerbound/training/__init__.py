"""Floor 4: one loop over players; the run folder, written and read in one place; checkpoints; alarms."""
