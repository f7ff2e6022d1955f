"""What is asked of models, and how well they answer."""
