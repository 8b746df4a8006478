"""Plan which pictures a batch makes, hand them to workers, and record the results."""
