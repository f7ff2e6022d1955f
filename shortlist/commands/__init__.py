"""The commands of the command line, a module for each group: it adds its parser, whose ``run`` gives the exit code."""
