"""How good a picture is: the metrics of `impasto compare`."""
