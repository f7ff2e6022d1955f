"""The work of the commands, one file each: these load PyTorch, which takes seconds."""
