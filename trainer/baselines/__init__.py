"""Models that the encoders and rankers are measured beside."""
