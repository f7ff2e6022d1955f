"""The commands of the command line. Each module adds its parser, whose ``run`` returns the exit code."""
