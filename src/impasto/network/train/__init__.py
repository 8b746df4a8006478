"""Train the one-pass network: data, losses, trainer, and the session that keeps a run on disk."""
