"""Face images, the people in them, and the pairs to verify."""
