"""From trained models to a published bundle."""
