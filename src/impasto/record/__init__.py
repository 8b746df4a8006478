"""Record a run: provenance in the picture, snapshots, timelapse, loss plot and contact sheet."""
