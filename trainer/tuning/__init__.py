"""Looking for better settings of a recipe."""
