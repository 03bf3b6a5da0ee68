"""What a version must show before it may go up: policies, gates, schemas and names; pure."""
