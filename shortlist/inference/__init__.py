"""From a bundle and a person to what the models are given, and what they say."""
