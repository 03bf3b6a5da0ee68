"""What is traded, and how."""
