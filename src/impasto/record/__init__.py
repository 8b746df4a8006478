"""What a run leaves behind: provenance in the picture, snapshots, a timelapse, a loss plot."""
