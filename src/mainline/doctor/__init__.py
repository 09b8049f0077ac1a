"""What is configured and live, what is not, and the command that closes each gap. It only looks."""
