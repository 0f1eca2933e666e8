"""Public data sets, from the archives on their servers to folders that `data.layouts` reads."""
