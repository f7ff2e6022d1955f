"""The commands, one file each: their arguments, and the checks that need neither PyTorch nor the data.

Each loads its work from ``trainer.jobs`` after the checks, so that a mistake in a command line or a recipe is refused
within a second.
"""
