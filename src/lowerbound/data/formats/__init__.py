"""One file a format: each turns a file into arrays, or into one line that says why not."""
