"""How any recipe runs: settings, folder, stages, several runs side by side."""
