"""What every app stands on; knows no other app."""
