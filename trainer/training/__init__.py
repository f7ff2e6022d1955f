"""How encoders and rankers learn."""
