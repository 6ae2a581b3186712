"""One issue of a newsletter, from its source to every customer who agreed to get it."""
