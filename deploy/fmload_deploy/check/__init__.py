"""What would keep a deployment from working, looked for before anything is created."""
