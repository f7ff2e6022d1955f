"""Training: data to encoders and rankers to an exported, evaluated bundle. The only package that knows torch."""
