"""From a bundle and a user to the inputs of the models, and from their outputs to lists."""
