"""Where adapters meet the core: one readable page per process, and nowhere else."""
