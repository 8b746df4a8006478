"""Read and write clips and films, and paint their frames without flicker."""
